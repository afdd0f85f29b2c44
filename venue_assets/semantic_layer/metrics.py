"""The registry of metrics, read from metrics.yaml and checked.

What does not belong here: the tables that metrics are computed on (star.py), and how they are shown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import sqlglot
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlglot import exp
from sqlglot.errors import ParseError

Language = Literal["en", "zh"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")

FILE: Final = Path(__file__).with_name("metrics.yaml")
_MONEY: Final = "currency of the venue"


class RegistryError(ValueError):
    """A registry that contradicts itself: says where, what was given and what is expected."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(_Entry):
    """A text in every language."""

    en: str
    zh: str

    def __getitem__(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en


class Dimension(_Entry):
    """What figures can be split by: a column of the facts, or of a dimension table that they refer to."""

    name: str = ""
    label: Text
    description: Text
    column: str
    of: str | None = None


class Aggregate(_Entry):
    """One figure over one fact: `sql` aggregates its rows, or with `per` the groups of `per` that satisfy `having`.

    With `per` it is one call, such as count(*); it is 0, not null, where there are groups and none satisfies.
    """

    fact: str
    sql: str
    per: str | None = None
    having: str | None = None


class Figure(_Entry):
    """What a figure is called and how it is written: a metric, or what single units of an experiment are judged by."""

    label: Text
    unit: str
    format: str

    @property
    def is_money(self) -> bool:
        """Whether it is an amount in the currency of a venue, or one divided by something."""
        return self.unit.startswith(_MONEY)

    @property
    def is_fraction(self) -> bool:
        """Whether it is written in per cent, and a difference of two in points."""
        return self.unit == "fraction"


class Metric(Figure):
    """A metric. Either an aggregate over one fact, or an expression over other metrics and `parts` of its own."""

    name: str = ""
    symbol: str | None = None
    """As the patent writes it."""
    description: Text
    folder: str
    better: Literal["up", "down", "none"]
    type: Literal["BIGINT", "DOUBLE", "DECIMAL(18,2)"]
    additive: bool
    """Whether it may be summed over every dimension."""
    fact: str | None = None
    sql: str
    per: str | None = None
    having: str | None = None
    parts: Mapping[str, Aggregate] = Field(default_factory=dict)
    without: tuple[str, ...] = ()
    """Dimensions by which it would mean nothing, though its facts have them."""
    rest: str | None = None
    """The metric that is the rest of the same whole: where one rests on few people, the other would give it away."""
    dax: str
    owner: str = "team:analytics"

    @model_validator(mode="after")
    def _one_kind(self) -> Metric:
        if self.fact and self.parts:
            raise ValueError("either `fact` or `parts` is expected, both are given")
        if (self.per is None) != (self.having is None):
            raise ValueError("`per` and `having` belong together")
        return self

    @property
    def aggregate(self) -> Aggregate | None:
        """The figure itself, where it is one aggregate over one fact."""
        return Aggregate(fact=self.fact, sql=self.sql, per=self.per, having=self.having) if self.fact else None

    @property
    def names(self) -> frozenset[str]:
        """The metrics and parts that an expression is made of."""
        if self.fact:
            return frozenset()
        return frozenset(column.name for column in sqlglot.parse_one(self.sql, dialect="duckdb").find_all(exp.Column))


@dataclass(frozen=True)
class Registry:
    """All metrics by name, in the order of the file, and what they can be split by."""

    metrics: Mapping[str, Metric]
    dimensions: Mapping[str, Dimension]
    folders: Mapping[str, Text]
    units: Mapping[str, Text]
    """Every unit of a figure, in words."""
    unit_kpis: Mapping[str, Figure]
    """What the units of an experiment are judged by besides metrics."""
    experiment_units: Mapping[str, Text]
    """What is assigned in an experiment, in the words that follow a number."""
    segments: Mapping[str, Text]
    covariates: Mapping[str, Text]
    """What trees may ask of a unit; covariates.py has their values in words."""

    def __iter__(self) -> Iterator[Metric]:
        return iter(self.metrics.values())

    def __getitem__(self, name: str) -> Metric:
        return self.metrics[name]

    def kpi(self, name: str) -> Figure:
        """What an experiment is judged by: a metric, or a figure of single units. Raises KeyError for neither."""
        return self.metrics.get(name) or self.unit_kpis[name]

    def aggregates(self, metric: Metric) -> dict[str, Aggregate]:
        """Every aggregate that a metric rests on, directly or not, by a name that is its own."""
        if metric.aggregate:
            return {metric.name: metric.aggregate}
        found = {f"{metric.name}.{part}": aggregate for part, aggregate in metric.parts.items()}
        for name in sorted(metric.names - set(metric.parts)):
            found |= self.aggregates(self.metrics[name])
        return found

    def facts(self, metric: Metric) -> frozenset[str]:
        """The tables of the star that a metric reads."""
        return frozenset(aggregate.fact for aggregate in self.aggregates(metric).values())

    def excluded(self, metric: Metric) -> frozenset[str]:
        """Dimensions by which the metric, or one that it is made of, would mean nothing."""
        inherited = (self.excluded(self.metrics[n]) for n in metric.names - set(metric.parts))
        return frozenset(metric.without).union(*inherited)


class _File(_Entry):
    folders: dict[str, Text]
    units: dict[str, str]
    unit_kpis: dict[str, Figure]
    experiment_units: dict[str, Text]
    segments: dict[str, Text]
    covariates: dict[str, Text]
    dimensions: dict[str, Dimension]
    metrics: dict[str, Metric]


@lru_cache(maxsize=1)
def registry() -> Registry:
    """Read the registry. Raises RegistryError where it contradicts itself."""
    return read(FILE.read_text(encoding="utf-8"))


def read(text: str) -> Registry:
    """A registry from its YAML. Raises RegistryError."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        file = _File.model_validate(yaml.load(text, Loader=loader))  # noqa: S506 (a safe one)
    except yaml.YAMLError as error:
        raise RegistryError(f"{FILE.name}: {error}") from None
    except ValidationError as error:
        mistakes = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors())
        raise RegistryError(f"{FILE.name}: {mistakes}") from None
    metrics = {name: metric.model_copy(update={"name": name}) for name, metric in file.metrics.items()}
    dimensions = {name: dimension.model_copy(update={"name": name}) for name, dimension in file.dimensions.items()}
    units = {unit: Text(en=unit, zh=zh) for unit, zh in file.units.items()}
    words = (file.unit_kpis, file.experiment_units, file.segments, file.covariates)
    found = Registry(metrics, dimensions, file.folders, units, *words)
    for metric in found:
        _check(metric, found)
    for name, figure in found.unit_kpis.items():
        _check_words(f"unit_kpis.{name}.unit", {figure.unit}, units)
    return found


def _check(metric: Metric, found: Registry) -> None:
    for sql in (metric.sql, *(part.sql for part in metric.parts.values()), metric.having or "true"):
        try:
            sqlglot.parse_one(sql, dialect="duckdb")
        except ParseError as error:
            sentence = str(error).splitlines()[0]
            raise RegistryError(
                f"{FILE.name}: metrics.{metric.name}.sql: {sql!r} is no expression: {sentence}"
            ) from None
    known = list(found.metrics)
    earlier = {*known[: known.index(metric.name)], *metric.parts}
    place = f"metrics.{metric.name}"
    _check_words(f"{place}.sql", metric.names, earlier, " (metrics above this one)")
    _check_words(f"{place}.without", metric.without, found.dimensions)
    _check_words(f"{place}.folder", {metric.folder}, found.folders)
    _check_words(f"{place}.rest", {metric.rest or metric.name}, known)
    _check_words(f"{place}.unit", {metric.unit}, found.units)


def _check_words(place: str, given: Collection[str], expected: Collection[str], which: str = "") -> None:
    if unknown := sorted(set(given) - set(expected)):
        raise RegistryError(
            f"{FILE.name}: {place}: {', '.join(unknown)} given; expected are names among "
            f"{', '.join(sorted(expected)) or 'none'}{which}"
        )
