// Answers the validator's requests for JSON schemas from a folder, so that it validates without a network:
// node --import local_schemas.mjs, with PBIP_SCHEMAS as the folder of Microsoft's schemas.
import fs from "node:fs";
import https from "node:https";
import path from "node:path";
import { Readable } from "node:stream";

const PREFIX = "/json-schemas/";

https.get = (address, options, answer) => {
  const { pathname } = new URL(address);
  const file = path.join(process.env.PBIP_SCHEMAS, pathname.slice(PREFIX.length));
  const found = pathname.startsWith(PREFIX) && fs.existsSync(file);
  const response = Readable.from(found ? [fs.readFileSync(file)] : []);
  response.statusCode = found ? 200 : 404;
  response.headers = {};
  queueMicrotask(() => answer(response));
  return { on: () => {}, destroy: () => {} };
};
