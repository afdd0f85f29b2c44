"""A written project passes every check that there is without Power BI."""

from __future__ import annotations

from pathlib import Path

from tests.powerbi.checks import dax_mistakes, json_files, m_mistakes, report_mistakes, schema_mistakes
from venue_assets.powerbi.lint import lint


def test_our_lint_finds_nothing(project: Path) -> None:
    assert lint(project) == []


def test_every_json_file_is_as_microsofts_schemas_want_it(project: Path, schemas: Path) -> None:
    assert len(json_files(project)) > 50
    assert schema_mistakes(project, schemas) == []


def test_microsofts_report_validator_finds_nothing(project: Path, tools: Path, schemas: Path) -> None:
    assert report_mistakes(project, tools, schemas) == []


def test_microsofts_parser_reads_every_query(project: Path, tools: Path) -> None:
    assert m_mistakes(project, tools) == []


def test_a_dax_parser_reads_every_measure(project: Path) -> None:
    assert dax_mistakes(project) == []
