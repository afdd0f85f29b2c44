"""What goes wrong with records on their way: perturbed tables first, spoilt lines later.

Every row suffers at most one mishap, and its `reason` says what a reader must make of it. What goes wrong with whole
segments and gateways is in `incidents` and `landing`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from edge_collector.contract import MAX_LINE_BYTES
from venue_assets.simulate.options import Dirt
from venue_assets.simulate.records import Reason, Table
from venue_assets.simulate.venue_day import DAY, HOUR, MINUTE, SECOND, BoolArray, VenueDay

AHEAD_DAYS: Final = 3
"""How many days too early a clock-struck gateway believes a record happened, and seals it in that date's folder."""
SKEW_IN_DAYS: Final = 0.25
"""Share of the skewed rows whose clock is days wrong; half of them, at terminals, run ahead."""
SKEWS: Final = (-400, -3, -2, 2, 5, 400)
"""Days. Not one day: on a date of 25 hours that may be the same date."""


def perturb(table: Table, dirt: Dirt, rng: np.random.Generator, *, ahead: VenueDay | None) -> Table:
    """The rows as they reach the gateway's numbering; `table` itself stays clean.

    `ahead` is the same venue's date in AHEAD_DAYS days, where the run and its gateways have one.
    """
    rows = np.arange(len(table))
    made = _missing_and_double(table, dirt, rng) if table.stream == "face_visits" else table.take(rows)
    rates = (
        ("malformed", dirt.malformed),
        ("out_of_order", dirt.out_of_order),
        ("skewed", dirt.skewed),
        ("unknown_device", dirt.unknown_device),
        ("unknown_venue", dirt.unknown_venue),
        ("out_of_range", dirt.out_of_range),
    )
    mishap = np.searchsorted(np.cumsum([rate for _, rate in rates]), rng.random(len(made)), side="right")
    befallen = {name: mishap == i for i, (name, _) in enumerate(rates)}

    made["reason"][befallen["malformed"]] = Reason.MALFORMED
    made["reason"][befallen["unknown_device"]] = Reason.UNKNOWN_DEVICE
    made["reason"][befallen["unknown_venue"]] = Reason.UNKNOWN_VENUE
    disordered = befallen["out_of_order"]
    made["emit"][disordered] += rng.integers(-2 * HOUR, 2 * HOUR, int(disordered.sum()))
    _skew(made, befallen["skewed"], rng, ahead)
    _overreach(made, befallen["out_of_range"], rng)
    made["reason"][(made["reason"] == Reason.CLEAN) & ~made.day.contains(made["time"])] = Reason.WRONG_EVENT_DATE
    return made


def _missing_and_double(table: Table, dirt: Dirt, rng: np.random.Generator) -> Table:
    visits = len(table) // 2  # first all enters, then all leaves
    missing = np.flatnonzero(rng.random(visits) < dirt.missing_leave)
    twice = np.flatnonzero(rng.random(visits) < dirt.double_enter)
    again = table.take(twice)
    soon = np.minimum(
        rng.integers(2 * SECOND, 90 * SECOND, len(twice)), (table["time"][visits + twice] - again["time"]) // 2
    )
    for clock in ("time", "recorded", "sent", "emit"):
        again[clock] = again[clock] + soon
    return table.take(np.setdiff1d(np.arange(len(table)), visits + missing)).followed_by(again)


def _skew(table: Table, chosen: BoolArray, rng: np.random.Generator, ahead: VenueDay | None) -> None:
    rows = np.flatnonzero(chosen)
    fate = rng.random(len(rows))
    by_days = fate < SKEW_IN_DAYS
    minutes = rng.integers(30 * SECOND, 8 * MINUTE, len(rows)) * rng.choice(np.array([-1, 1]), len(rows))
    days = rng.choice(np.array(SKEWS), len(rows)) * DAY
    table["unsynced"][rows] = True
    shift = np.where(by_days, days, minutes)

    if table.stream == "face_visits" and ahead is not None:
        early = by_days & (fate < SKEW_IN_DAYS / 2)
        early &= ahead.contains(table["time"][rows] + AHEAD_DAYS * DAY)
        shift = np.where(early, AHEAD_DAYS * DAY, shift)
        table["ahead"][rows[early]] = True
        table["reason"][rows[early]] = Reason.OUT_OF_RANGE

    table["recorded"][rows] += shift
    # The back office and counting devices have clocks of their own: only a gateway days off takes their times along.
    own_clock = table.stream in ("orders", "boundary_counts", "entrance_counts")
    moves = rows[by_days] if own_clock else rows
    by = shift[by_days] if own_clock else shift
    table["time"][moves] += by
    if "end" in table.columns:
        table["end"][moves] += by


def _overreach(table: Table, chosen: BoolArray, rng: np.random.Generator) -> None:
    """Impossible values, each in one of the ways that the contract names."""
    if table.stream not in ("orders", "assignments", "boundary_counts", "entrance_counts"):
        return
    rows = np.flatnonzero(chosen)
    table["reason"][rows] = Reason.OUT_OF_RANGE
    kind = rng.integers(0, 3, len(rows))
    a, b, c = (rows[kind == k] for k in range(3))
    if table.stream == "orders":
        table["quantity"][a] = -rng.integers(0, 3, len(a))
        table["amount"][b] = -table["amount"][b]
        table["foreign"][c] = True
    elif table.stream == "assignments":
        table["propensity"][rows] = np.array([0.0, -0.5, 1.5])[kind]
    else:
        table["in_count"][a] = -1 - rng.integers(0, 3, len(a))
        table["end"][b] = table["time"][b]
        table["in_total"][c] = table["in_count"][c] - 1


def spoil(table: Table, lines: list[bytes], rng: np.random.Generator) -> None:
    """Makes something that is no record of every line whose row is marked malformed; in place."""
    rows = np.flatnonzero(table["reason"] == Reason.MALFORMED).tolist()
    kinds = rng.integers(0, len(SPOILERS), len(rows)).tolist()
    for row, kind in zip(rows, kinds, strict=True):
        lines[row] = SPOILERS[kind](lines[row])
    if rows:  # one a day is enough: it is as long as a hundred others
        lines[rows[0]] = _too_long(lines[rows[0]])


def _replace(pattern: bytes, by: bytes) -> Callable[[bytes], bytes]:
    compiled = re.compile(pattern)

    def spoiler(line: bytes) -> bytes:
        spoilt, n = compiled.subn(by, line, count=1)
        assert n == 1, line
        return spoilt

    return spoiler


SPOILERS: Final[Sequence[Callable[[bytes], bytes]]] = (
    lambda line: line[: len(line) // 2],
    lambda line: b"[" + line + b"]",
    lambda line: line + line,
    _replace(rb'"venue_id":"[^"]*"', b'"venue_id":null'),
    _replace(rb'"device_id":"[^"]*"', b'"device_id":""'),
    _replace(rb'"device_id":"[^"]*"', b'"device_id":"door \xff\xfe"'),
    _replace(rb'"device_id":"[^"]*"', b'"device_id":7'),
    _replace(rb'"seq":(-?[0-9]+)', rb'"seq":"\1"'),
    _replace(rb'"seq":(-?[0-9]+)', rb'"seq":\1.5'),
    _replace(rb'"clock":"[a-z]+"', b'"clock":"guessed"'),
    _replace(rb'"recorded_at":"[^"]*"', b'"recorded_at":"yesterday"'),
    _replace(rb'"recorded_at":"[^"]*",', b""),
)


def _too_long(line: bytes) -> bytes:
    return line[:-1] + b',"padding":"' + b"x" * MAX_LINE_BYTES + b'"}' if line.endswith(b"}") else line
