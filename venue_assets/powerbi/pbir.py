"""PBIR, the folder form of a Power BI report: pages and visuals as JSON.

What does not belong here: which pages and visuals there are (report_pages.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from venue_assets.powerbi.model import identity

Json = dict[str, Any]

SCHEMAS: Final = "https://developer.microsoft.com/json-schemas/fabric/item/report/definition"
PAGE_WIDTH: Final = 1280
PAGE_HEIGHT: Final = 720
THEME: Final = "Venue.json"
_BASE_THEME: Final = {"name": "CY24SU06", "reportVersionAtImport": "5.55", "type": "SharedResources"}

AGGREGATIONS: Final = {"Sum": 0, "Average": 1, "Count": 2, "Min": 3, "Max": 4}
"""How a report may sum up a column by itself; Count counts what is different."""

KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "card": ("Card", "卡片"),
    "slicer": ("Slicer", "切片器"),
    "lineChart": ("Line chart", "折线图"),
    "clusteredColumnChart": ("Column chart", "柱形图"),
    "clusteredBarChart": ("Bar chart", "条形图"),
    "funnel": ("Funnel", "漏斗图"),
    "pivotTable": ("Matrix", "矩阵"),
    "tableEx": ("Table", "表"),
    "textbox": ("Heading", "标题"),
}
"""The kinds of visual that we use, in English and Chinese for those who have them read aloud."""


@dataclass(frozen=True)
class FieldOf:
    """A measure, a column, or a column summed up by the visual."""

    table: str
    name: str
    kind: Literal["Measure", "Column"]
    shown: str = ""
    aggregation: str = ""

    @property
    def query_ref(self) -> str:
        """The field's name in a query, unique in its visual."""
        return f"{self.aggregation}({self.table}.{self.name})" if self.aggregation else f"{self.table}.{self.name}"

    @property
    def expression(self) -> Json:
        """The field as a query expression."""
        plain: Json = {self.kind: {"Expression": {"SourceRef": {"Entity": self.table}}, "Property": self.name}}
        if not self.aggregation:
            return plain
        return {"Aggregation": {"Expression": plain, "Function": AGGREGATIONS[self.aggregation]}}


@dataclass(frozen=True)
class Visual:
    """A visual: what it shows in which role, and where it stands."""

    name: str
    kind: str
    title: str
    roles: Mapping[str, Sequence[FieldOf]] = field(default_factory=dict)
    box: tuple[int, int, int, int] = (0, 0, 0, 0)
    """x, y, width, height."""
    only: tuple[FieldOf, str] | None = None
    """A column and the literal that it must equal."""
    mode: str = ""
    """How a slicer is used."""
    synchronised: bool = False
    """Whether a slicer keeps its choice from page to page."""
    everywhere: bool = False
    """Whether the page's other slicers leave it alone."""


@dataclass(frozen=True)
class Page:
    """A page of the report."""

    name: str
    title: str
    visuals: Sequence[Visual]


def report_files(pages: Sequence[Page], publication_id: str) -> Iterator[tuple[str, Json]]:
    """Every JSON file of the report's definition: its path there, and what it holds."""
    yield "version.json", {"$schema": f"{SCHEMAS}/versionMetadata/1.0.0/schema.json", "version": "2.0.0"}
    yield "report.json", _report(publication_id)
    names = [page.name for page in pages]
    yield (
        "pages/pages.json",
        {"$schema": f"{SCHEMAS}/pagesMetadata/1.0.0/schema.json", "pageOrder": names, "activePageName": names[0]},
    )
    for page in pages:
        yield f"pages/{page.name}/page.json", _page(page)
        for order, visual in enumerate(page.visuals):
            yield f"pages/{page.name}/visuals/{visual.name}/visual.json", _container(page, visual, order)


def _report(publication_id: str) -> Json:
    return {
        "$schema": f"{SCHEMAS}/report/1.3.0/schema.json",
        "themeCollection": {
            "baseTheme": _BASE_THEME,
            "customTheme": {"name": THEME, "reportVersionAtImport": "5.55", "type": "RegisteredResources"},
        },
        "layoutOptimization": "None",
        "resourcePackages": [
            {
                "name": "RegisteredResources",
                "type": "RegisteredResources",
                "items": [{"name": THEME, "path": THEME, "type": "CustomTheme"}],
            }
        ],
        "settings": {
            "useStylableVisualContainerHeader": True,
            "defaultDrillFilterOtherVisuals": True,
            "useEnhancedTooltips": True,
            "exportDataMode": "AllowSummarized",
        },
        "annotations": [{"name": "Venue_PublicationId", "value": publication_id}],
    }


def _page(page: Page) -> Json:
    slicers = [visual.name for visual in page.visuals if visual.kind == "slicer" and visual.mode == "Between"]
    apart = [visual.name for visual in page.visuals if visual.everywhere]
    content: Json = {
        "$schema": f"{SCHEMAS}/page/2.0.0/schema.json",
        "name": page.name,
        "displayName": page.title,
        "displayOption": "FitToPage",
        "height": PAGE_HEIGHT,
        "width": PAGE_WIDTH,
    }
    if apart:
        content["visualInteractions"] = [
            {"source": slicer, "target": visual, "type": "NoFilter"} for slicer in slicers for visual in apart
        ]
    return content


def _container(page: Page, visual: Visual, order: int) -> Json:
    x, y, width, height = visual.box
    container: Json = {
        "$schema": f"{SCHEMAS}/visualContainer/2.0.0/schema.json",
        "name": visual.name,
        "position": {"x": x, "y": y, "z": order, "width": width, "height": height, "tabOrder": order},
        "visual": _visual(visual),
    }
    if visual.only:
        container["filterConfig"] = {"filters": [_filter(page, visual, *visual.only)]}
    return container


def _visual(visual: Visual) -> Json:
    english, chinese = KINDS[visual.kind]
    title_en, _, title_zh = visual.title.partition(" · ")
    content: Json = {"visualType": visual.kind}
    if visual.roles:
        content["query"] = {
            "queryState": {
                role: {"projections": [_projection(shown) for shown in fields]} for role, fields in visual.roles.items()
            }
        }
        if visual.kind in ("lineChart", "clusteredColumnChart") and "Category" in visual.roles:
            first = visual.roles["Category"][0]
            content["query"]["sortDefinition"] = {
                "sort": [{"field": first.expression, "direction": "Ascending"}],
                "isDefaultSort": True,
            }
    if objects := _objects(visual):
        content["objects"] = objects
    heading: Json = {"show": _literal(visual.kind != "textbox")}
    if visual.kind != "textbox":
        heading |= {"text": _text(visual.title), "heading": _text("Heading3"), "titleWrap": _literal(True)}
    content["visualContainerObjects"] = {
        "title": [{"properties": heading}],
        "general": [{"properties": {"altText": _text(f"{english}: {title_en} / {chinese}：{title_zh}")}}],
    }
    if visual.synchronised:
        group = visual.roles["Values"][0].query_ref
        content["syncGroup"] = {"groupName": group, "fieldChanges": True, "filterChanges": True}
    content["drillFilterOtherVisuals"] = True
    return content


def _objects(visual: Visual) -> Json:
    """What a kind of visual needs besides its fields."""
    if visual.kind == "textbox":
        style = {"fontSize": "16pt", "fontWeight": "bold"}
        run = {"value": visual.title, "textStyle": style}
        return {"general": [{"properties": {"paragraphs": [{"textRuns": [run]}]}}]}
    if visual.kind == "slicer":
        return {
            "data": [{"properties": {"mode": _text(visual.mode)}}],
            "header": [{"properties": {"show": _literal(False)}}],
        }
    if visual.kind == "card":
        return {
            # Display unit 1 is none: a card shows the figure that the other reports show, not 1.2K.
            "labels": [{"properties": {"fontSize": _number(22), "labelDisplayUnits": _number(1)}}],
            "categoryLabels": [{"properties": {"show": _literal(False)}}],
        }
    if visual.kind in ("lineChart", "clusteredColumnChart", "clusteredBarChart"):
        # The title says what the axes are; their own titles would be names of columns.
        plain = [{"properties": {"showAxisTitle": _literal(False)}}]
        return {"categoryAxis": plain, "valueAxis": plain}
    return {}


def _projection(shown: FieldOf) -> Json:
    projection: Json = {
        "field": shown.expression,
        "queryRef": shown.query_ref,
        "nativeQueryRef": shown.shown or shown.name,
    }
    if shown.shown:
        projection["displayName"] = shown.shown
    return projection


def _filter(page: Page, visual: Visual, column: FieldOf, literal: str) -> Json:
    inside = {"Column": {"Expression": {"SourceRef": {"Source": "t"}}, "Property": column.name}}
    condition = {"In": {"Expressions": [inside], "Values": [[{"Literal": {"Value": literal}}]]}}
    return {
        "name": identity("filter", page.name, visual.name).replace("-", "")[:20],
        "field": column.expression,
        "type": "Categorical",
        "filter": {
            "Version": 2,
            "From": [{"Name": "t", "Entity": column.table, "Type": 0}],
            "Where": [{"Condition": condition}],
        },
    }


def _text(text: str) -> Json:
    return {"expr": {"Literal": {"Value": "'" + text.replace("'", "''") + "'"}}}


def _number(value: int) -> Json:
    return {"expr": {"Literal": {"Value": f"{value}D"}}}


def _literal(value: bool) -> Json:
    return {"expr": {"Literal": {"Value": "true" if value else "false"}}}
