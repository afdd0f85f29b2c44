// The names that the report validator imports. `validate` calls none of them.
const absent = () => {
  throw new Error("there is no Power BI Desktop here");
};

export const METHODS = {};
export const getMethodNames = () => [];
export const isDesktopBridgeError = () => false;
export {
  absent as normalizeReportFolder,
  absent as openDesktop,
  absent as openSession,
  absent as readDesktopStatus,
  absent as reportFoldersEqual,
  absent as resolveInstanceForReportFolder,
  absent as resolveReportDir,
};
