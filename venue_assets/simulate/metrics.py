"""The definitions of DESIGN sections 2 and 3 over the simulator's own tables: figures of one venue and event date.

Written apart from the system that is being checked, in another way (numpy instead of SQL), on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np

from venue_assets.simulate.records import NULL, Status, Table, money
from venue_assets.simulate.venue_day import HOUR, IntArray

OVERLONG: Final = 12 * HOUR


@dataclass(frozen=True)
class PrimaryMetrics:
    """One row of `primary_metrics`, as far as people can be counted in it."""

    pf_range: int | None
    pf_entrance: int | float | None
    ocr: float | None
    pv: int | None
    uv: int | None
    lov_mean_seconds: float | None
    lov_median_seconds: float | None
    lov_p90_seconds: float | None
    completed_orders: int | None
    paying_users: int | None
    gmv: Decimal | None
    gmv_anonymous: Decimal | None
    cancelled_amount: Decimal | None
    recognition_share: float | None

    def to_json(self) -> dict[str, Any]:
        """Money as decimal strings."""
        return {name: str(v) if isinstance(v, Decimal) else v for name, v in asdict(self).items()}


@dataclass(frozen=True)
class SessionStates:
    """How many sessions of each state a venue's date has."""

    complete: int = 0
    overlong: int = 0
    no_exit: int = 0
    no_entry: int = 0


@dataclass(frozen=True)
class Figures:
    """Everything that can be said of one venue and event date."""

    metrics: PrimaryMetrics
    sessions: SessionStates
    superseded: int


@dataclass(frozen=True)
class Sessions:
    """Sessions with an entry, in the order of user, enter, gateway and number."""

    user: IntArray
    entered: IntArray
    left: IntArray
    """NULL where nobody noted it."""
    gateway: IntArray
    seq: IntArray
    no_entry: int
    """How many more there are without an entry."""


def figures(tables: Mapping[str, Table]) -> Figures:
    """What the rows of `tables` come to."""
    pf_range = _passengers(tables.get("boundary_counts"))
    pf_entrance = _passengers(tables.get("entrance_counts"))
    states, visits = _visits(tables.get("face_visits"))
    superseded, sales = _sales(tables.get("orders"))
    pv = visits["pv"]
    return Figures(
        PrimaryMetrics(
            pf_range=None if pf_range is None else int(pf_range),
            pf_entrance=pf_entrance,
            ocr=pf_entrance / pf_range if pf_range and pf_entrance is not None else None,
            recognition_share=pv / pf_entrance if pf_entrance and pv is not None else None,
            **visits,
            **sales,
        ),
        states,
        superseded,
    )


def _passengers(table: Table | None) -> int | float | None:
    if table is None or not len(table):
        return None
    total: int | float = 0
    for i, device in enumerate(table.devices):
        counts = table["in_count"][table["device"] == i]
        if device.counting == "passages" and len(counts):
            if device.in_share is None:
                return None
            total += int(counts.sum()) * device.in_share
        else:
            total += int(counts.sum())
    return total


def _visits(table: Table | None) -> tuple[SessionStates, dict[str, Any]]:
    names = ("pv", "uv", "lov_mean_seconds", "lov_median_seconds", "lov_p90_seconds")
    if table is None:
        return SessionStates(), dict.fromkeys(names)
    sessions = sessions_of(table)
    closed = sessions.left != NULL
    stayed: IntArray = (sessions.left - sessions.entered)[closed]
    complete = stayed <= OVERLONG
    states = SessionStates(
        complete=int(complete.sum()),
        overlong=int((~complete).sum()),
        no_exit=int((~closed).sum()),
        no_entry=sessions.no_entry,
    )
    seconds = stayed[complete] / 1000
    lov = (float(seconds.mean()), *np.quantile(seconds, [0.5, 0.9]).tolist()) if len(seconds) else (None,) * 3
    return states, dict(zip(names, (len(closed), len(np.unique(sessions.user)), *lov), strict=True))


def sessions_of(table: Table) -> Sessions:
    """What the terminals' records of one venue and date make."""
    order = np.lexsort((table["seq"], table["gateway"], table["time"], table["user"]))
    user, enter, time, gateway, seq = (table[name][order] for name in ("user", "enter", "time", "gateway", "seq"))
    same = user[1:] == user[:-1]
    follows = np.zeros(len(user), dtype=np.bool_)  # a leave right after an enter of the same user
    follows[1:] = same & enter[:-1] & ~enter[1:]
    closed = np.zeros(len(user), dtype=np.bool_)
    closed[:-1] = follows[1:]
    left = np.full(len(user), NULL, dtype=np.int64)
    left[closed] = time[follows]
    return Sessions(
        user[enter], time[enter], left[enter], gateway[enter], seq[enter], no_entry=int((~enter & ~follows).sum())
    )


def current_lines(table: Table) -> Table:
    """Of each line of an order the newest row."""
    newest_last = np.lexsort((table["seq"], table["gateway"], table["recorded"], table["order_no"], table["order"]))
    order, number = table["order"][newest_last], table["order_no"][newest_last]
    last = np.ones(len(order), dtype=np.bool_)
    last[:-1] = (order[1:] != order[:-1]) | (number[1:] != number[:-1])
    return table.take(newest_last[last])


def _sales(table: Table | None) -> tuple[int, dict[str, Any]]:
    names = ("completed_orders", "paying_users", "gmv", "gmv_anonymous", "cancelled_amount")
    if table is None:
        return 0, dict.fromkeys(names)
    current = current_lines(table)
    done = current["status"] == Status.COMPLETED
    anonymous = current["user"] < 0
    amount: IntArray = current["amount"]
    sales = (
        len(np.unique(current["order"][done])),
        len(np.unique(current["user"][done & ~anonymous])),
        *(Decimal(money(int(amount[chosen].sum()))) for chosen in (done, done & anonymous, ~done)),
    )
    return len(table) - len(current), dict(zip(names, sales, strict=True))
