"""What the schemas of a Power BI report miss: fields that the model has not, pages that are not there, bad places.

What does not belong here: the semantic model by itself (lint.py).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from venue_assets.pictures.colours import SEEN, against_white
from venue_assets.powerbi.pbir import AGGREGATIONS, KINDS
from venue_assets.powerbi.project import MODEL, NAME, REPORT

Json = dict[str, Any]

ROLES: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    "card": (frozenset({"Values"}), frozenset()),
    "slicer": (frozenset({"Values"}), frozenset()),
    "lineChart": (frozenset({"Category", "Y"}), frozenset({"Series", "Rows"})),
    "clusteredColumnChart": (frozenset({"Category", "Y"}), frozenset({"Series", "Rows"})),
    "clusteredBarChart": (frozenset({"Category", "Y"}), frozenset({"Series", "Rows"})),
    "funnel": (frozenset({"Category", "Y"}), frozenset()),
    "pivotTable": (frozenset({"Rows", "Values"}), frozenset({"Columns"})),
    "tableEx": (frozenset({"Values"}), frozenset()),
    "textbox": (frozenset(), frozenset()),
}
"""Kind of visual -> roles that it needs, roles that it may have besides."""


def lint_report(
    project: Path,
    columns: Mapping[str, set[str]],
    measures: Mapping[str, str],
    blank_by: Mapping[str, frozenset[str]],
) -> Iterator[str]:
    """What is wrong with the report of a project whose model has these columns, by table, and measures, with table.

    `blank_by` has the tables and columns by which a measure is cut into blanks.
    """
    yield from _links(project)
    definition = project / REPORT / "definition"
    report = _json(definition / "report.json")
    yield from _theme(project, report)
    listed = _json(definition / "pages" / "pages.json")
    order: list[str] = listed.get("pageOrder", [])
    there = {path.parent.name for path in definition.glob("pages/*/page.json")}
    for name in sorted({*order} ^ there):
        yield f"pages.json: page {name} is {'named but not there' if name in order else 'not named'}"
    yield from (f"pages.json: page {name} is named {n} times" for name, n in Counter(order).items() if n > 1)
    if listed.get("activePageName") not in there:
        yield f"pages.json: the active page {listed.get('activePageName')} is not there"
    for name in sorted(there):
        yield from _page(definition / "pages" / name, columns, measures, blank_by)


def _json(path: Path) -> Json:
    """What a file holds; nothing where it cannot be read, which _links and the schemas report."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _links(project: Path) -> Iterator[str]:
    for path in (
        f"{NAME}.pbip",
        f"{REPORT}/definition.pbir",
        f"{MODEL}/definition.pbism",
        f"{REPORT}/definition/report.json",
    ):
        if not _json(project / path):
            yield f"{path}: is not there, or no JSON object"
    for file in project.rglob("*.json"):
        if not _json(file):
            yield f"{file.relative_to(project).as_posix()}: no JSON object"
    reports = [a.get("report", {}).get("path") for a in _json(project / f"{NAME}.pbip").get("artifacts", [])]
    if not reports or not all((project / str(report)).is_dir() for report in reports):
        yield f"{NAME}.pbip: {reports} is not there"
    reference = _json(project / REPORT / "definition.pbir").get("datasetReference", {}).get("byPath") or {}
    if not reference.get("path") or not (project / REPORT / reference["path"]).is_dir():
        yield f"definition.pbir: the model {reference.get('path')} is not there"
    identities = {_json(project / item / ".platform").get("config", {}).get("logicalId") for item in (MODEL, REPORT)}
    if len(identities) < 2 or None in identities:
        yield ".platform: model and report have not each a logicalId of their own"


def _theme(project: Path, report: Json) -> Iterator[str]:
    name = report.get("themeCollection", {}).get("customTheme", {}).get("name")
    items = [
        i for p in report.get("resourcePackages", []) for i in p.get("items", []) if i.get("type") == "CustomTheme"
    ]
    for item in items:
        path = project / REPORT / "StaticResources" / "RegisteredResources" / item.get("path", "?")
        if not path.is_file():
            yield f"report.json: the theme {item.get('path')} is not there"
        for colour in _json(path).get("dataColors", []):
            if (found := against_white(colour)) < SEEN:
                yield f"{path.name}: {colour} stands out from white by {found:.1f} to 1; {SEEN:g} to 1 is expected"
    if name and name not in {item.get("name") for item in items}:
        yield f"report.json: the theme {name} is not among its resources"


def _page(
    folder: Path,
    columns: Mapping[str, set[str]],
    measures: Mapping[str, str],
    blank_by: Mapping[str, frozenset[str]],
) -> Iterator[str]:
    page = _json(folder / "page.json")
    what = f"page {folder.name}"
    if page.get("name") != folder.name:
        yield f"{what}: is named {page.get('name')} inside"
    if " · " not in page.get("displayName", ""):
        yield f"{what}: its title is not in both languages"
    boxes: dict[str, Json] = {}
    for path in sorted(folder.glob("visuals/*/visual.json")):
        container = _json(path)
        name = path.parent.name
        if container.get("name") != name:
            yield f"{what}: visual {name} is named {container.get('name')} inside"
        boxes[name] = container.get("position", {})
        yield from (f"{what}: visual {name}: {finding}" for finding in _visual(container, columns, measures))
        yield from (f"{what}: visual {name}: {finding}" for finding in _always_blank(container, blank_by))
    for interaction in page.get("visualInteractions", []):
        for end in ("source", "target"):
            if interaction.get(end) not in boxes:
                yield f"{what}: an interaction's {end} {interaction.get(end)} is not there"
    yield from (f"{what}: {finding}" for finding in _places(boxes, page))


def _places(boxes: Mapping[str, Json], page: Json) -> Iterator[str]:
    names = sorted(boxes)
    for at, name in enumerate(names):
        left, top, right, bottom = _corners(boxes[name])
        if left < 0 or top < 0 or right > page.get("width", 0) or bottom > page.get("height", 0):
            yield f"visual {name} reaches beyond the page"
        for other in names[at + 1 :]:
            left2, top2, right2, bottom2 = _corners(boxes[other])
            if left < right2 and left2 < right and top < bottom2 and top2 < bottom:
                yield f"visuals {name} and {other} overlap"


def _corners(box: Json) -> tuple[float, float, float, float]:
    x, y = float(box.get("x", 0)), float(box.get("y", 0))
    return x, y, x + float(box.get("width", 0)), y + float(box.get("height", 0))


def _visual(container: Json, columns: Mapping[str, set[str]], measures: Mapping[str, str]) -> Iterator[str]:
    visual = container.get("visual", {})
    kind = visual.get("visualType", "")
    if kind not in KINDS:
        yield f"{kind} is no kind of visual that we know"
        return
    roles = visual.get("query", {}).get("queryState", {})
    needed, possible = ROLES[kind]
    yield from (f"has no {role}" for role in sorted(needed - set(roles)))
    yield from (f"has {role}, which {kind} does not take" for role in sorted(set(roles) - needed - possible))
    for role, state in roles.items():
        fields = state.get("projections", [])
        if not fields:
            yield f"{role} holds nothing"
        for shown in fields:
            yield from _field(shown.get("field", {}), columns, measures)
    for sort in visual.get("query", {}).get("sortDefinition", {}).get("sort", []):
        yield from _field(sort.get("field", {}), columns, measures)
    for found in container.get("filterConfig", {}).get("filters", []):
        yield from _filter(found, columns, measures)
    looks = visual.get("visualContainerObjects", {})
    if " / " not in _text(looks, "general", "altText"):
        yield "has no alternative text in both languages"
    if kind != "textbox" and " · " not in _text(looks, "title", "text"):
        yield "has no title in both languages"


def _always_blank(container: Json, blank_by: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """A measure beside a column that cuts it into blanks: next to others it would look like zero."""
    state = container.get("visual", {}).get("query", {}).get("queryState", {})
    fields = [shown.get("field", {}) for role in state.values() for shown in role.get("projections", [])]
    cuts = [
        (str(of.get("Expression", {}).get("SourceRef", {}).get("Entity")), of.get("Property"))
        for of in (field["Column"] for field in fields if "Column" in field)
    ]
    for name in (field["Measure"].get("Property") for field in fields if "Measure" in field):
        for table, column in cuts:
            if {table, f"{table}[{column}]"} & blank_by.get(name, frozenset()):
                yield f"shows [{name}], which is always blank by {table}[{column}]"


def _text(looks: Json, group: str, name: str) -> str:
    for entry in looks.get(group, []):
        found = entry.get("properties", {}).get(name, {}).get("expr", {}).get("Literal", {}).get("Value", "")
        if found:
            return str(found)
    return ""


def _field(field: Json, columns: Mapping[str, set[str]], measures: Mapping[str, str]) -> Iterator[str]:
    if "Aggregation" in field:
        if field["Aggregation"].get("Function") not in AGGREGATIONS.values():
            yield f"sums up by {field['Aggregation'].get('Function')}, which we do not know"
        field = field["Aggregation"].get("Expression", {})
    for kind in ("Measure", "Column"):
        if kind in field:
            table = field[kind].get("Expression", {}).get("SourceRef", {}).get("Entity")
            name = field[kind].get("Property")
            there = measures.get(name) == table if kind == "Measure" else name in columns.get(table, ())
            if not there:
                yield f"shows {kind.lower()} {table}[{name}], which is not there"
            return
    yield f"shows {json.dumps(field)}, which is neither a measure nor a column"


def _filter(found: Json, columns: Mapping[str, set[str]], measures: Mapping[str, str]) -> Iterator[str]:
    yield from _field(found.get("field", {}), columns, measures)
    tables = {source.get("Name"): source.get("Entity") for source in found.get("filter", {}).get("From", [])}
    for where in found.get("filter", {}).get("Where", []):
        for expression in where.get("Condition", {}).get("In", {}).get("Expressions", []):
            column = expression.get("Column", {})
            table = tables.get(column.get("Expression", {}).get("SourceRef", {}).get("Source"))
            if column.get("Property") not in columns.get(str(table), ()):
                yield f"is filtered by {table}[{column.get('Property')}], which is not there"
