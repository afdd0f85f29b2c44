"""How a written project is damaged: mostly a piece of a file's text, which must be there, becomes another one.

Which kinds of damage there are: damages_of_model.py, damages_of_report.py.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DEFINITION = "Venue.SemanticModel/definition"
PAGES = "Venue.Report/definition/pages"

Check = Literal["lint", "schema", "dax", "m", "validator"]


@dataclass(frozen=True)
class Damage:
    """What is done to a project, and who must notice."""

    name: str
    says: str
    """What a finding must say, so that nothing else is taken for it."""
    caught_by: Check
    do: Callable[[Path], None]


def replaced(file: str, old: str, new: str) -> Callable[[Path], None]:
    """A piece of a file's text becomes another one."""

    def do(project: Path) -> None:
        path = project / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file} has no {old!r}: the damage does nothing"
        path.write_text(text.replace(old, new, 1), encoding="utf-8", newline="")

    return do


def removed(name: str) -> Callable[[Path], None]:
    """A file or a folder goes."""

    def do(project: Path) -> None:
        path = project / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return do


def same_tag(project: Path) -> None:
    """Two columns get one lineage tag."""
    path = project / DEFINITION / "tables" / "dim_venue.tmdl"
    text = path.read_text(encoding="utf-8")
    first, second = re.findall(r"lineageTag: (\S+)", text)[:2]
    path.write_text(text.replace(second, first), encoding="utf-8", newline="")


def in_model(name: str, says: str, file: str, old: str, new: str, caught_by: Check = "lint") -> Damage:
    """A damage of a file of the model's definition."""
    return Damage(name, says, caught_by, replaced(f"{DEFINITION}/{file}.tmdl", old, new))


def in_visual(name: str, says: str, visual: str, old: str, new: str, caught_by: Check = "lint") -> Damage:
    """A damage of a visual, given as page/visual."""
    page, _, visual = visual.partition("/")
    return Damage(name, says, caught_by, replaced(f"{PAGES}/{page}/visuals/{visual}/visual.json", old, new))
