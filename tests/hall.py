"""One hall as text: its place in site.toml, its devices for imports, and a map of its till."""

from __future__ import annotations

VENUE = """
[[venues]]
id = "hall"
name = "Hall"
time_zone = "Europe/Berlin"
currency = "EUR"
opened_on = 2026-01-01
"""

FAIR = """
[[activities]]
id = "fair"
name = "Fair"
venue_id = "hall"
first_date = 2026-01-05
last_date = 2026-01-20
"""


def device(device_id: str, stream: str, gateway_id: str) -> str:
    return f"""
[[devices]]
id = "{device_id}"
venue_id = "hall"
gateway_id = "{gateway_id}"
stream = "{stream}"
"""


IMPORTING = VENUE + "".join(
    device(device_id, stream, f"import_{device_id}")
    for device_id, stream in (
        ("till", "orders"),
        ("terminal", "face_visits"),
        ("door", "entrance_counts"),
        ("fence", "boundary_counts"),
    )
)
"""A whole site.toml."""

ORDERS_MAP = """
kind = "orders"
name = "till"
venue = "hall"
device = "till"
amount_is = "line"

[columns]
order_id = "order"
ordered_at = "time"
user_id = "member"
category_id = "category"
quantity = "pieces"
amount = "amount"
"""
