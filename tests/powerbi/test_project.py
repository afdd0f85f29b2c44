"""The project is the same bytes each time, and speaks of nobody's machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from venue_assets.powerbi.project import write_project

PUBLICATION = "000001-0123456789ab"
REPORT = Path("Venue.Report/definition")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_another_process_writes_the_same_bytes(project: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from venue_assets.powerbi.project import write_project;"
        f"write_project(Path({str(tmp_path)!r}), publication_id={PUBLICATION!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert contents(tmp_path) == contents(project)


def test_another_publication_changes_only_where_it_is_named(project: Path, tmp_path: Path) -> None:
    write_project(tmp_path, publication_id="000002-abcdefabcdef")
    before, after = contents(project), contents(tmp_path)
    assert sorted(path for path in before if before[path] != after[path]) == [
        "Venue.Report/definition/report.json",
        "Venue.SemanticModel/definition/model.tmdl",
    ]


def test_files_are_plain_text_of_nobodys_machine(project: Path) -> None:
    for path, content in contents(project).items():
        text = content.decode("utf-8")
        assert not text.startswith("\ufeff"), path
        assert "\r" not in text, path
        for own in (project, Path(__file__).resolve().parents[2], Path(sys.prefix)):
            assert str(own) not in text, (path, own)
    assert b'"C:\\venue\\published"' in contents(project)["Venue.SemanticModel/definition/expressions.tmdl"]


def test_there_are_four_pages_each_with_dates_and_venues_to_choose(project: Path) -> None:
    order = json.loads((project / REPORT / "pages/pages.json").read_text(encoding="utf-8"))["pageOrder"]
    assert order == ["overview", "visitors", "customers", "experiments"]
    for page in order:
        visuals = {path.parent.name for path in (project / REPORT / "pages" / page).glob("visuals/*/visual.json")}
        assert {"heading", "slicer_date", "slicer_venue"} <= visuals


@pytest.mark.parametrize(
    "kind", ["card", "lineChart", "clusteredColumnChart", "clusteredBarChart", "funnel", "pivotTable"]
)
def test_the_report_has_this_kind_of_visual(project: Path, kind: str) -> None:
    visuals = [json.loads(path.read_text(encoding="utf-8")) for path in project.rglob("visual.json")]
    assert kind in {visual["visual"]["visualType"] for visual in visuals}
