"""Each kind of damage to a written project is noticed by the check that is meant to notice it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.powerbi.checks import dax_mistakes, m_mistakes, report_mistakes, schema_mistakes
from tests.powerbi.damages import Damage
from tests.powerbi.damages_of_model import MODEL_DAMAGES
from tests.powerbi.damages_of_report import REPORT_DAMAGES
from venue_assets.powerbi.lint import lint

DAMAGES = [*MODEL_DAMAGES, *REPORT_DAMAGES]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_damage_is_noticed(damage: Damage, project: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    damaged = tmp_path / "powerbi"
    shutil.copytree(project, damaged)
    damage.do(damaged)
    findings = _noticed(damage, damaged, request)
    assert any(damage.says in finding for finding in findings), findings


def _noticed(damage: Damage, damaged: Path, request: pytest.FixtureRequest) -> list[str]:
    if damage.caught_by == "lint":
        return lint(damaged)
    if damage.caught_by == "dax":
        return dax_mistakes(damaged)
    if damage.caught_by == "schema":
        return schema_mistakes(damaged, request.getfixturevalue("schemas"))
    tools = request.getfixturevalue("tools")
    if damage.caught_by == "m":
        return m_mistakes(damaged, tools)
    return report_mistakes(damaged, tools, request.getfixturevalue("schemas"))


def test_every_damage_is_another_one() -> None:
    assert len({damage.name for damage in DAMAGES}) == len(DAMAGES) >= 25
