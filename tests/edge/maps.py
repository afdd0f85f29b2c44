"""Maps bound to the site of the hall: what tests of maps and of drafts share."""

from __future__ import annotations

import tomllib
from pathlib import Path

from edge_collector.foreign_files.column_map import BoundMap, load_map
from edge_collector.site import Site
from tests import hall

SITE = Site.model_validate(tomllib.loads(hall.IMPORTING))

ORDERS = hall.ORDERS_MAP.replace("\n[columns]", "{more}\n[columns]") + "{tables}\n"


def bind(folder: Path, text: str) -> BoundMap:
    path = folder / "map.toml"
    path.write_text(text)
    return load_map(path, SITE)


def orders_map(folder: Path, more: str = "", tables: str = "", amount_is: str = "line") -> BoundMap:
    return bind(folder, ORDERS.format(more=more, tables=tables).replace('"line"', f'"{amount_is}"'))
