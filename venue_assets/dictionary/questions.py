"""What analysts ask, with the answer in SQL, M and DAX, read from questions.yaml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict

from venue_assets.powerbi.model import SemanticModel
from venue_assets.semantic_layer.metrics import Text, registry
from venue_assets.semantic_layer.star import star

_FILE: Final = Path(__file__).with_name("questions.yaml")
_MEASURE: Final = re.compile(r"(?<![\w'\]])\[(\w+)\]")
"""A name in brackets without a table before it."""


class _Yaml(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    question: Text
    reading: Text
    sql: str
    m: str
    dax: str


@dataclass(frozen=True)
class Question:
    """A question, how its answer is to be read, and the answer in three languages."""

    name: str
    question: Text
    reading: Text
    sql: str
    """Over the published database."""
    m: str
    """Over the queries of the Power BI project, which are called like the tables of the star."""
    dax: str
    """Over its model."""


@lru_cache(maxsize=1)
def questions() -> tuple[Question, ...]:
    """All questions, in the order of the file."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found = yaml.load(_FILE.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 (a safe one)
    read = {name: _Yaml.model_validate(entry) for name, entry in found.items()}
    return tuple(
        Question(name, q.question, q.reading, q.sql.strip(), q.m.strip(), _with_measures(q.dax.strip()))
        for name, q in read.items()
    )


def measure_names() -> dict[str, str]:
    """Metric -> name of its measure in the Power BI model."""
    return SemanticModel(registry(), star()).names


def _with_measures(dax: str) -> str:
    names = measure_names()
    return _MEASURE.sub(lambda found: f"[{names.get(found[1], found[1])}]", dax)
