"""Write the Power BI project into a folder: the same registry and star give the same bytes.

What does not belong here: what the files say (model.py, report_pages.py) and the data that the project loads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from venue_assets.powerbi.model import SemanticModel, identity
from venue_assets.powerbi.pbir import THEME, report_files
from venue_assets.powerbi.report_pages import report_pages
from venue_assets.powerbi.theme import theme
from venue_assets.powerbi.tmdl import write
from venue_assets.semantic_layer.metrics import registry
from venue_assets.semantic_layer.star import star

NAME: Final = "Venue"
MODEL: Final = f"{NAME}.SemanticModel"
REPORT: Final = f"{NAME}.Report"
_README: Final = Path(__file__).with_name("README.md")
_SCHEMAS: Final = "https://developer.microsoft.com/json-schemas/fabric"


def write_project(folder: Path, *, publication_id: str) -> None:
    """Write Venue.pbip, its semantic model, its report and a README into a folder, made if it is not there."""
    for path, content in _files(publication_id):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8", newline="\n")


def _files(publication_id: str) -> Iterator[tuple[str, str]]:
    yield "README.md", _README.read_text(encoding="utf-8")
    model = SemanticModel(registry(), star())
    yield (
        f"{NAME}.pbip",
        _json(
            {
                "$schema": f"{_SCHEMAS}/pbip/pbipProperties/1.0.0/schema.json",
                "version": "1.0",
                "artifacts": [{"report": {"path": REPORT}}],
                "settings": {"enableAutoRecovery": True},
            }
        ),
    )
    yield f"{MODEL}/.platform", _platform("SemanticModel")
    yield (
        f"{MODEL}/definition.pbism",
        _json(
            {
                "$schema": f"{_SCHEMAS}/item/semanticModel/definitionProperties/1.0.0/schema.json",
                "version": "4.2",
                "settings": {},
            }
        ),
    )
    for path, nodes in model.files(publication_id):
        yield f"{MODEL}/definition/{path}", write(nodes)
    yield f"{REPORT}/.platform", _platform("Report")
    yield (
        f"{REPORT}/definition.pbir",
        _json(
            {
                "$schema": f"{_SCHEMAS}/item/report/definitionProperties/2.0.0/schema.json",
                "version": "4.0",
                "datasetReference": {"byPath": {"path": f"../{MODEL}"}},
            }
        ),
    )
    for path, content in report_files(report_pages(model), publication_id):
        yield f"{REPORT}/definition/{path}", _json(content)
    yield f"{REPORT}/StaticResources/RegisteredResources/{THEME}", _json(theme())


def _platform(kind: str) -> str:
    return _json(
        {
            "$schema": f"{_SCHEMAS}/gitIntegration/platformProperties/2.0.0/schema.json",
            "metadata": {"type": kind, "displayName": NAME},
            "config": {"version": "2.0", "logicalId": identity("item", kind)},
        }
    )


def _json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"
