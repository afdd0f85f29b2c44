"""Records as columns, one table per stream, venue and date, and how they become lines.

What the columns mean follows the record contract; nothing here decides what happens at a venue.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_collector.site import Device
from venue_assets.simulate.venue_day import IntArray, VenueDay

Column = NDArray[Any]

BOOT_ID: Final = "b1"
NULL: Final = np.iinfo(np.int64).min
"""Stands for null in integer columns."""

UNKNOWN_DEVICE: Final = "unregistered"
UNKNOWN_VENUE: Final = "elsewhere"
FOREIGN_CURRENCY: Final = "XTS"  # the ISO code reserved for testing: no venue's currency


class Reason(IntEnum):
    """Why a row will be found in quarantine; `CLEAN` if it will not."""

    CLEAN = 0
    MALFORMED = 1
    DUPLICATE = 2
    UNKNOWN_VENUE = 3
    UNKNOWN_DEVICE = 4
    WRONG_EVENT_DATE = 5
    OUT_OF_RANGE = 6


class Status(IntEnum):
    """State of an order line."""

    COMPLETED = 0
    CANCELLED = 1
    REFUNDED = 2


EVENT_KINDS: Final = ("heartbeat", "clock_step", "epoch_opened", "refused")


@dataclass
class Table:
    """Equally long columns. All tables have:

    `gateway` (index into the sorted gateways) and `device` (index into `devices`), `time` (that counts) and `recorded`;
    `sent`: when the gateway really had it, whatever its clock said, and `emit`: what it was numbered by; `unsynced`;
    `reason`; `ahead`: lies in the folder of a later date; `seq`; `copies` and `prompt`: how often it landed in all and
    without late segments.
    """

    stream: str
    day: VenueDay
    devices: tuple[Device, ...]
    columns: dict[str, Column]
    labels: dict[str, Sequence[str]] = field(default_factory=dict)
    """Texts that integer columns point at."""

    def __len__(self) -> int:
        return len(self.columns["time"])

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def __setitem__(self, name: str, values: Column) -> None:
        self.columns[name] = values

    def take(self, rows: NDArray[Any]) -> Table:
        """The rows chosen by index or mask, as a copy."""
        return Table(self.stream, self.day, self.devices, {n: c[rows] for n, c in self.columns.items()}, self.labels)

    def followed_by(self, other: Table) -> Table:
        """The rows of both."""
        columns = {name: np.concatenate([column, other[name]]) for name, column in self.columns.items()}
        return Table(self.stream, self.day, self.devices, columns, self.labels)


def table(
    stream: str,
    day: VenueDay,
    devices: tuple[Device, ...],
    gateways: Sequence[str],
    *,
    device: Column,
    time: Column,
    recorded: Column | None = None,
    labels: dict[str, Sequence[str]] | None = None,
    **fields: Column,
) -> Table:
    """A table without any dirt; what is not given is filled in."""
    recorded = time if recorded is None else recorded
    at_gateway = np.array([gateways.index(d.gateway_id) for d in devices], dtype=np.int64)
    n = len(time)
    columns: dict[str, Column] = {
        "device": device,
        "gateway": at_gateway[device],
        "time": time,
        "recorded": recorded.copy(),
        "sent": recorded.copy(),
        "emit": recorded.copy(),
        "unsynced": np.zeros(n, dtype=np.bool_),
        "reason": np.zeros(n, dtype=np.int64),
        "ahead": np.zeros(n, dtype=np.bool_),
        "seq": np.zeros(n, dtype=np.int64),
        "copies": np.zeros(n, dtype=np.int64),
        "prompt": np.zeros(n, dtype=np.int64),
        **fields,
    }
    return Table(stream, day, devices, columns, labels or {})


def lines(table: Table, gateways: Sequence[str]) -> list[bytes]:
    """Every row as the line it becomes, in the contract's order of fields."""
    head = _head(table, gateways)
    return [f"{h},{t}}}".encode() for h, t in zip(head, _TAILS[table.stream](table), strict=True)]


def _head(t: Table, gateways: Sequence[str]) -> list[str]:
    by_gateway = [f'{{"gateway_id":{_text(g)},"boot_id":{_text(BOOT_ID)},"seq":' for g in gateways]
    venue = np.where(t["reason"] == Reason.UNKNOWN_VENUE, 1, 0)
    venues = [f',"venue_id":{_text(v)},"device_id":' for v in (t.day.venue.id, UNKNOWN_VENUE)]
    device = np.where(t["reason"] == Reason.UNKNOWN_DEVICE, len(t.devices), t["device"])
    devices = [f'{_text(d)},"recorded_at":"' for d in (*(d.id for d in t.devices), UNKNOWN_DEVICE)]
    clocks = ('","clock":"synced"', '","clock":"unsynced"')
    return [
        f"{g}{seq}{v}{d}{at}{c}"
        for g, seq, v, d, at, c in zip(
            _pick(by_gateway, t["gateway"]),
            t["seq"].tolist(),
            _pick(venues, venue),
            _pick(devices, device),
            t.day.texts(t["recorded"]),
            _pick(clocks, t["unsynced"].astype(np.int64)),
            strict=True,
        )
    ]


def _counts(t: Table) -> list[str]:
    figures = ("in_count", "out_count", "unpaired_count", "in_total", "out_total", "device_epoch")
    columns = [_integers(t[name]) for name in figures]
    return [
        f'"interval_start":"{start}","interval_end":"{end}","in_count":{i},"out_count":{o},"unpaired_count":{u},'
        f'"in_total":{it},"out_total":{ot},"device_epoch":{e}'
        for start, end, i, o, u, it, ot, e in zip(t.day.texts(t["time"]), t.day.texts(t["end"]), *columns, strict=True)
    ]


def _face_visits(t: Table) -> list[str]:
    users = _pick([f'"user_id":"{name}","direction":' for name in t.labels["user"]], t["user"])
    directions = _pick(('"leave"', '"enter"'), t["enter"].astype(np.int64))
    return [u + d for u, d in zip(users, directions, strict=True)]


def _orders(t: Table) -> list[str]:
    users = _pick(['"user_id":null', *(f'"user_id":"{name}"' for name in t.labels["user"])], t["user"] + 1)
    currencies = (_text(t.day.venue.currency), _text(FOREIGN_CURRENCY))
    return [
        f'"order_id":{order},"order_no":{no},{user},"ordered_at":"{at}","category_id":{category},"quantity":{quantity},'
        f'"amount":"{amount}","currency":{currency},"status":"{status}"'
        for order, no, user, at, category, quantity, amount, currency, status in zip(
            _pick([_text(o) for o in t.labels["order"]], t["order"]),
            t["order_no"].tolist(),
            users,
            t.day.texts(t["time"]),
            _pick([_text(c) for c in t.labels["category"]], t["category"]),
            t["quantity"].tolist(),
            map(money, t["amount"].tolist()),
            _pick(currencies, t["foreign"].astype(np.int64)),
            _pick([s.name.lower() for s in Status], t["status"]),
            strict=True,
        )
    ]


def _assignments(t: Table) -> list[str]:
    return [
        f'"experiment_id":{experiment},"unit_id":{unit},"arm":{arm},"propensity":{propensity},"leaf_id":{leaf},'
        f'"allocation_id":{allocation}'
        for experiment, unit, arm, propensity, leaf, allocation in zip(
            _pick([_text(e) for e in t.labels["experiment"]], t["experiment"]),
            _pick([_text(u) for u in t.labels["unit"]], t["unit"]),
            _pick([_text(a) for a in t.labels["arm"]], t["arm"]),
            t["propensity"].tolist(),
            _integers(t["leaf"]),
            _pick(["null", *(_text(a) for a in t.labels["allocation"])], t["allocation"] + 1),
            strict=True,
        )
    ]


def _identity_links(t: Table) -> list[str]:
    return [
        f'"terminal_user_id":"{terminal}","member_user_id":"{member}","action":"{action}"'
        for terminal, member, action in zip(
            _pick(t.labels["terminal"], t["terminal"]),
            _pick(t.labels["member"], t["member"]),
            _pick(("unlink", "link"), t["link"].astype(np.int64)),
            strict=True,
        )
    ]


def _gateway_events(t: Table) -> list[str]:
    return [
        f'"kind":"{kind}","subject":{subject},"value":{value},"detail":null'
        for kind, subject, value in zip(
            _pick(EVENT_KINDS, t["kind"]),
            _pick([_text(s) for s in t.labels["subject"]], t["subject"]),
            _integers(t["value"]),
            strict=True,
        )
    ]


_TAILS: Final[dict[str, Callable[[Table], list[str]]]] = {
    "boundary_counts": _counts,
    "entrance_counts": _counts,
    "face_visits": _face_visits,
    "orders": _orders,
    "assignments": _assignments,
    "identity_links": _identity_links,
    "gateway_events": _gateway_events,
}

SIMULATED_STREAMS: Final = tuple(_TAILS)


def money(minor: int) -> str:
    """Minor units as the contract's decimal text."""
    return f"{'-' if minor < 0 else ''}{abs(minor) // 100}.{abs(minor) % 100:02d}"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _integers(values: IntArray) -> list[Any]:
    if not (values == NULL).any():
        return list(values.tolist())
    return ["null" if v == NULL else v for v in values.tolist()]


def _pick(values: Sequence[str], index: IntArray) -> list[str]:
    return np.array([*values, ""], dtype=object)[index].tolist()  # type: ignore[no-any-return]
