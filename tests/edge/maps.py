"""A small site and an order map for it: what tests of maps and of drafts share."""

from __future__ import annotations

from pathlib import Path

from edge_collector.column_map import BoundMap, load_map
from edge_collector.site import Site

SITE = Site.model_validate(
    {
        "venues": [
            {"id": "hall", "name": "Hall", "time_zone": "Europe/Berlin", "currency": "EUR", "opened_on": "2026-01-01"}
        ],
        "devices": [
            {"id": "till", "venue_id": "hall", "gateway_id": "import_till", "stream": "orders"},
            {"id": "terminal", "venue_id": "hall", "gateway_id": "import_terminal", "stream": "face_visits"},
            {"id": "door", "venue_id": "hall", "gateway_id": "import_door", "stream": "entrance_counts"},
        ],
    }
)

ORDERS = """
kind = "orders"
name = "till"
venue = "hall"
device = "till"
amount_is = "line"
{more}
[columns]
order_id = "order"
ordered_at = "time"
user_id = "member"
category_id = "category"
quantity = "pieces"
amount = "amount"
{tables}
"""


def bind(folder: Path, text: str) -> BoundMap:
    path = folder / "map.toml"
    path.write_text(text)
    return load_map(path, SITE)


def orders_map(folder: Path, more: str = "", tables: str = "", amount_is: str = "line") -> BoundMap:
    return bind(folder, ORDERS.format(more=more, tables=tables).replace('"line"', f'"{amount_is}"'))
