"""Kinds of damage to the report and to what holds the project together."""

from __future__ import annotations

from tests.powerbi.damages import PAGES, Damage, in_visual, removed, replaced

REPORT_DAMAGES = [
    in_visual(
        "a visual shows a measure that is not there",
        "measure metric[Visits], which is not there",
        "overview/card_pv",
        '"Visits (PV)"',
        '"Visits"',
    ),
    in_visual(
        "a visual shows a column that is not there",
        "column dim_venue[hall], which is not there",
        "overview/slicer_venue",
        '"Property": "venue"',
        '"Property": "hall"',
    ),
    in_visual(
        "a visual shows a measure of another table",
        "measure fact_session[Visits (PV)], which is not there",
        "overview/card_pv",
        '"Entity": "metric"',
        '"Entity": "fact_session"',
    ),
    in_visual(
        "a visual shows a measure that is always blank there",
        "pieces_by_category: shows [Visits (PV)], which is always blank by fact_order_line[category_id]",
        "customers/pieces_by_category",
        '"Property": "Pieces sold"',
        '"Property": "Visits (PV)"',
    ),
    in_visual(
        "a visual sums up in an unknown way", "sums up by 99", "experiments/samples", '"Function": 4', '"Function": 99'
    ),
    in_visual(
        "a visual is filtered by a column that is not there",
        "fact_verdict[latest], which is not there",
        "experiments/verdicts",
        '"Property": "is_latest"',
        '"Property": "latest"',
    ),
    in_visual(
        "a visual is of an unknown kind",
        "kard is no kind of visual",
        "overview/card_pv",
        '"visualType": "card"',
        '"visualType": "kard"',
    ),
    in_visual(
        "a visual lacks a role that it needs",
        "funnel: has no Category",
        "visitors/funnel",
        '"Category": {',
        '"Group": {',
    ),
    in_visual(
        "a visual has no alternative text", "has no alternative text", "overview/card_pv", '"altText"', '"altTexts"'
    ),
    in_visual(
        "a visual has a title in one language",
        "has no title in both languages",
        "overview/card_pv",
        "Visits (PV) · 到访人次",
        "Visits",
    ),
    in_visual(
        "a visual reaches beyond its page",
        "venues reaches beyond the page",
        "overview/venues",
        '"height": 252',
        '"height": 300',
    ),
    in_visual("two visuals overlap", "gmv_by_venue and venues overlap", "overview/venues", '"y": 452', '"y": 420'),
    in_visual(
        "a visual is named otherwise than its folder",
        "card_pv is named card_uv inside",
        "overview/card_pv",
        '"name": "card_pv"',
        '"name": "card_uv"',
    ),
    in_visual(
        "a visual has a property of no schema",
        "'tabOrdering' was unexpected",
        "overview/card_pv",
        '"tabOrder"',
        '"tabOrdering"',
        "schema",
    ),
    in_visual(
        "a visual has no position",
        "'position' is a required property",
        "overview/card_pv",
        '"position"',
        '"place"',
        "schema",
    ),
    in_visual(
        "a visual names a schema that is not there",
        "visualContainer/0.1.0/schema.json is not Microsoft's",
        "overview/card_pv",
        "visualContainer/2.0.0",
        "visualContainer/0.1.0",
        "schema",
    ),
    in_visual(
        "a visual's formatting is of another kind of visual",
        "PBIR_FORMATTING_OBJECT_UNKNOWN",
        "overview/card_pv",
        '"categoryLabels"',
        '"lineStyles"',
        "validator",
    ),
    Damage(
        "pages.json names a page that is not there",
        "page start is named but not there",
        "lint",
        replaced(f"{PAGES}/pages.json", '"overview"', '"start"'),
    ),
    Damage("a page is gone", "page customers is named but not there", "lint", removed(f"{PAGES}/customers")),
    Damage(
        "a page has a display option of no schema",
        "'Fit' is not valid",
        "schema",
        replaced(f"{PAGES}/overview/page.json", "FitToPage", "Fit"),
    ),
    Damage(
        "an interaction is with a visual that is not there",
        "target verdicts is not there",
        "lint",
        removed(f"{PAGES}/experiments/visuals/verdicts"),
    ),
    Damage(
        "a file is cut off",
        "page.json: no JSON object",
        "lint",
        replaced(f"{PAGES}/overview/page.json", '"width": 1280\n}', '"width": '),
    ),
    Damage("the theme is gone", "the theme Venue.json is not there", "lint", removed("Venue.Report/StaticResources")),
    Damage(
        "the theme has a colour that is hardly seen on white",
        "Venue.json: #56B4E9 stands out from white by 2.3 to 1; 3 to 1 is expected",
        "lint",
        replaced("Venue.Report/StaticResources/RegisteredResources/Venue.json", "#0072B2", "#56B4E9"),
    ),
    Damage(
        "the theme is named otherwise",
        "PBIR_THEME_FILE_NAME_MISMATCH",
        "validator",
        replaced("Venue.Report/StaticResources/RegisteredResources/Venue.json", "Venue.json", "Other"),
    ),
    Damage(
        "the report refers to another model",
        "../Hall.SemanticModel is not there",
        "lint",
        replaced("Venue.Report/definition.pbir", "Venue.SemanticModel", "Hall.SemanticModel"),
    ),
    Damage(
        "the shortcut refers to another report",
        "'Hall.Report'] is not there",
        "lint",
        replaced("Venue.pbip", "Venue.Report", "Hall.Report"),
    ),
    Damage(
        "the shortcut has no version",
        "'version' is a required property",
        "schema",
        replaced("Venue.pbip", '"version"', '"versoin"'),
    ),
    Damage(
        "the report has no version",
        "'two' does not match",
        "schema",
        replaced("Venue.Report/definition/version.json", '"2.0.0"', '"two"'),
    ),
    Damage(
        "model and report have no logical id",
        "have not each a logicalId",
        "lint",
        replaced("Venue.SemanticModel/.platform", '"logicalId"', '"id"'),
    ),
]
