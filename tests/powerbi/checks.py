"""Other people's checks of a written project: Microsoft's schemas, report validator and M parser, and a DAX parser.

Each gives the mistakes that it finds, none for a project that is right. What does not belong here: our own lint.
"""

from __future__ import annotations

import json
import os
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import pbi_parsers.dax
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from venue_assets.powerbi.project import MODEL
from venue_assets.powerbi.tmdl import Node, TmdlError, read

SITE = "https://developer.microsoft.com/json-schemas/"


def schema_mistakes(project: Path, schemas: Path) -> list[str]:
    """Every JSON file against the schema that it names, references between schemas resolved in the folder."""
    known = _registry(schemas)
    mistakes = []
    for path in json_files(project):
        name = path.relative_to(project).as_posix()
        if "StaticResources" in name:
            continue  # a theme names no schema
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            mistakes.append(f"{name}: {error}")
            continue
        schema = content.get("$schema")
        if schema not in known:
            mistakes.append(f"{name}: the schema {schema} is not Microsoft's")
            continue
        validator = jsonschema.Draft7Validator({"$ref": schema}, registry=known)
        mistakes += [f"{name}: {error.json_path}: {error.message[:200]}" for error in validator.iter_errors(content)]
    return mistakes


@lru_cache(maxsize=1)
def _registry(schemas: Path) -> Registry[Any]:
    resources = {
        f"{SITE}{path.relative_to(schemas).as_posix()}": Resource.from_contents(
            json.loads(path.read_text(encoding="utf-8-sig")), default_specification=DRAFT7
        )
        for path in schemas.rglob("*.json")
    }
    return Registry().with_resources(resources.items())


def json_files(project: Path) -> list[Path]:
    """Everything in a project that is JSON, whatever its ending."""
    return sorted(path for path in project.rglob("*") if path.is_file() and path.suffix not in (".tmdl", ".md"))


def dax_mistakes(project: Path) -> list[str]:
    """Every measure, parsed."""
    found = {m.name: _dax_mistake(m.value or "") for table in objects(project, "table") for m in table.of("measure")}
    return [f"{name}: {mistake}" for name, mistake in found.items() if mistake]


@lru_cache
def _dax_mistake(expression: str) -> str:
    try:
        pbi_parsers.dax.to_ast(expression)
    except (ValueError, AssertionError) as error:
        return repr(error)
    return ""


def m_mistakes(project: Path, tools: Path) -> list[str]:
    """Every query and parameter, parsed by Microsoft's parser."""
    queries = {node.name: node.value or "" for node in objects(project, "expression")}
    for table in objects(project, "table"):
        queries |= {f"{table.name}'s partition": partition.text("source") for partition in table.of("partition")}
    ran = subprocess.run(
        ["node", "parse_m.cjs"], cwd=tools, input=json.dumps(queries), capture_output=True, text=True, check=True
    )
    found = json.loads(ran.stdout)
    assert set(found) == set(queries)
    return [f"{name}: {mistake}" for name, mistake in found.items() if mistake]


def report_mistakes(project: Path, tools: Path, schemas: Path) -> list[str]:
    """What Microsoft's validator of reports says, with the schemas of the folder for those of the network."""
    command = ["node", "--import", "./local_schemas.mjs", "node_modules/.bin/powerbi-report-author", "validate"]
    ran = subprocess.run(
        [*command, str(project.resolve() / "Venue.pbip")],
        cwd=tools,
        env={**os.environ, "PBIP_SCHEMAS": str(schemas)},
        capture_output=True,
        text=True,
        check=False,
    )
    answer = json.loads(ran.stdout)
    if "error" in answer:
        return [answer["error"]["message"]]
    assert answer["data"]["result"] in ("succeeded", "succeededWithWarnings", "failed")
    return [
        f"{code}: {item['message']}"
        for code, group in answer["data"].get("diagnostics", {}).items()
        for item in group["items"]
    ]


def objects(project: Path, kind: str) -> list[Node]:
    """The objects of a kind in the model's files that can be read."""
    found: list[Node] = []
    for path in sorted((project / MODEL / "definition").rglob("*.tmdl")):
        try:
            found += [node for node in read(path.read_text(encoding="utf-8")) if node.kind == kind]
        except TmdlError:
            continue  # lint reports it
    return found
