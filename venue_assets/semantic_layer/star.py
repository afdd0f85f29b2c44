"""The star schema: one `.sql` beside one `.yaml` contract per table, over the published layers and the site.

What does not belong here: where the tables are written (the publication does that), and metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from edge_collector.site import Site
from venue_assets.tables import CatalogueError
from venue_assets.tables.catalogue import ARROW_TYPES, TableColumn, tables_read

_FOLDER: Final = Path(__file__).parent / "star"

SITE_RELATIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "site_venues": {
        "venue_id": "VARCHAR",
        "venue": "VARCHAR",
        "time_zone": "VARCHAR",
        "currency": "VARCHAR",
        "day_starts_at": "VARCHAR",
        "opened_on": "DATE",
        "has_boundary": "BOOLEAN",
        "has_entrance": "BOOLEAN",
        "has_terminal": "BOOLEAN",
        "takes_orders": "BOOLEAN",
    },
    "site_activities": {
        "activity_key": "VARCHAR",
        "venue_id": "VARCHAR",
        "activity_id": "VARCHAR",
        "activity": "VARCHAR",
        "first_date": "DATE",
        "last_date": "DATE",
    },
    "site_devices": {
        "device_key": "VARCHAR",
        "device_id": "VARCHAR",
        "venue_id": "VARCHAR",
        "stream": "VARCHAR",
        "gateway_id": "VARCHAR",
        "counting": "VARCHAR",
        "in_share": "DOUBLE",
    },
    "site_experiments": {
        "experiment_id": "VARCHAR",
        "venue_id": "VARCHAR",
        "kind": "VARCHAR",
        "unit": "VARCHAR",
        "kpi": "VARCHAR",
        "control": "VARCHAR",
        "arms": "VARCHAR",
        "minimum_effect": "DOUBLE",
        "first_date": "DATE",
        "last_date": "DATE",
    },
}
"""What the star's SQL may read besides published tables: the site as it is described today, names included."""


class _Contract(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    grain: str
    key: tuple[str, ...]
    columns: dict[str, TableColumn]
    refers: dict[str, str] = {}
    monthly: bool = False


@dataclass(frozen=True)
class StarTable:
    """A dimension or a fact."""

    name: str
    description: str
    grain: str
    key: tuple[str, ...]
    columns: Mapping[str, TableColumn]
    refers: Mapping[str, str]
    """Column -> the dimension whose key it holds."""
    monthly: bool
    """Whether its Parquet is one file per month."""
    sql: str

    @property
    def is_fact(self) -> bool:
        """Facts have an event date and refer to dimensions."""
        return self.name.startswith("fact_")

    @cached_property
    def reads(self) -> frozenset[str]:
        """The tables, star tables and site relations that its SQL reads."""
        return tables_read(self.sql)

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns as Arrow types."""
        return pa.schema([pa.field(n, ARROW_TYPES[c.type], nullable=c.nullable) for n, c in self.columns.items()])


@dataclass(frozen=True)
class Star:
    """All tables of the star, each after those it reads."""

    tables: Mapping[str, StarTable]

    def __iter__(self) -> Iterator[StarTable]:
        return iter(self.tables.values())

    def __getitem__(self, name: str) -> StarTable:
        return self.tables[name]


@lru_cache(maxsize=1)
def star() -> Star:
    """Read the star. Raises CatalogueError where a contract is wrong or refers to what is not there."""
    found = {path.stem: _table(path) for path in sorted(_FOLDER.glob("*.yaml"))}
    for table in found.values():
        if missing := [column for column in table.key if column not in table.columns]:
            raise CatalogueError(
                f"star/{table.name}.yaml: key: {', '.join(missing)} given; names of columns are expected"
            )
        for column, dimension in table.refers.items():
            if column not in table.columns or dimension not in found or found[dimension].key != (column,):
                raise CatalogueError(
                    f"star/{table.name}.yaml: refers.{column}: {dimension} is given; "
                    f"a dimension whose key is {column} is expected"
                )
    order = TopologicalSorter({name: table.reads & set(found) for name, table in found.items()}).static_order()
    return Star({name: found[name] for name in order})


def _table(path: Path) -> StarTable:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        contract = _Contract.model_validate(yaml.load(path.read_text(encoding="utf-8"), Loader=loader))  # noqa: S506
    except (yaml.YAMLError, ValidationError) as error:
        raise CatalogueError(f"{path}: {error}") from None
    return StarTable(
        name=path.stem,
        description=contract.description.strip(),
        grain=contract.grain,
        key=contract.key,
        columns=contract.columns,
        refers=contract.refers,
        monthly=contract.monthly,
        sql=path.with_suffix(".sql").read_text(encoding="utf-8"),
    )


def site_relations(site: Site) -> dict[str, pa.Table]:
    """The site as relations for the star's SQL to read: names as in SITE_RELATIONS."""
    streams = {venue.id: {d.stream for d in site.devices if d.venue_id == venue.id} for venue in site.venues}
    kinds = ("boundary_counts", "entrance_counts", "face_visits", "orders")
    rows: dict[str, list[tuple[Any, ...]]] = {
        "site_venues": [
            (
                v.id,
                v.name,
                v.time_zone,
                v.currency,
                f"{v.day_starts_at:%H:%M}",
                v.opened_on,
                *(kind in streams[v.id] for kind in kinds),
            )
            for v in site.venues
        ],
        "site_activities": [
            *((f"{v.id}/none", v.id, "none", "none", None, None) for v in site.venues),
            *((f"{a.venue_id}/{a.id}", a.venue_id, a.id, a.name, a.first_date, a.last_date) for a in site.activities),
        ],
        "site_devices": [
            (f"{d.venue_id}/{d.stream}/{d.id}", d.id, d.venue_id, d.stream, d.gateway_id, d.counting, d.in_share)
            for d in site.devices
        ],
        "site_experiments": [
            (
                e.id,
                site.venue_of(e).id,
                e.kind,
                e.unit,
                e.kpi[0],
                e.arms[0],
                ", ".join(e.arms),
                e.minimum_effect,
                e.first_date,
                e.last_date,
            )
            for e in site.experiments
        ],
    }
    return {
        name: pa.Table.from_pylist(
            [dict(zip(columns, row, strict=True)) for row in sorted(rows[name], key=lambda r: str(r[0]))],
            pa.schema([(column, ARROW_TYPES[kind]) for column, kind in columns.items()]),
        )
        for name, columns in SITE_RELATIONS.items()
    }
