"""An allocation of a bandit for one day, signed, as tests of whoever reads one need it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_collector.allocation import path_of, signed

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
TODAY = date(2026, 1, 8)  # a Thursday


def node(number: int, column: str | None = None, cut: float | None = None, children: tuple[int, ...] = ()) -> Any:
    levels = (None, None) if cut is not None else (["keep"], ["value"])
    split = {"column": column, "cut": cut, "levels": levels[0], "other_levels": levels[1], "first_share": 0.5}
    return {"id": number, "n": 10, "split": split if column else None, "children": list(children)}


def document(**changes: Any) -> dict[str, Any]:
    """Keepers are told apart by the hour, people of value by the weekday: leaves 3, 4, 6 and 7."""
    shares = {str(leaf): {"none": 0.25, "tea": 0.75} for leaf in (3, 4, 6, 7)}
    return {
        "schema": 1,
        "experiment_id": "voucher",
        "allocation_id": "a1",
        "event_date": str(TODAY),
        "unit": "visit",
        "arms": ["none", "tea"],
        "fixed_shares": [0.5, 0.5],
        "floor": 0.05,
        "seed": 1,
        "tree": {
            "nodes": [
                node(1, "segment", None, (2, 5)),
                node(2, "hour", 10.0, (3, 4)),
                node(3),
                node(4),
                node(5, "weekday", 5.0, (6, 7)),
                node(6),
                node(7),
            ]
        },
        "shares": shares,
        "leaf_of_user": {"keeper": [3, 4], "value": [6, 7], "always": 4},
        "default_leaf": [6, 7],
    } | changes


def put_signed(folder: Path, day: date = TODAY, key: Ed25519PrivateKey = KEY, **changes: Any) -> Path:
    """Put the allocation of that day where it is looked for below a folder; where that is."""
    path = path_of(folder, "voucher", day)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(signed(document(**{"event_date": str(day)} | changes), key))
    return path
