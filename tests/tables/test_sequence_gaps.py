"""`sequence_gaps`: what a gateway captured and never arrived, per event date, until it arrives."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_collector.segment import write_segment
from tests.conftest import compute, rows, upstream
from venue_assets.home import Home
from venue_assets.lake.freshness import Freshness
from venue_assets.lake.landing_index import scan
from venue_assets.lake.reference import References
from venue_assets.tables.catalogue import catalogue

DAY = date(2026, 1, 5)
NEXT = DAY + timedelta(days=1)


def land(home: Home, day: date, *numbers: int, stream: str = "orders", gateway: str = "till", boot: str = "b") -> Path:
    """A segment with these sequence numbers; what its lines say is not looked at. Returns its manifest."""
    return write_segment(
        home.landing, stream=stream, event_date=day, gateway_id=gateway, boot_id=boot, lines=[b"{}"] * len(numbers),
        seqs=list(numbers), created_at=datetime(2026, 1, 7, tzinfo=UTC),
    )  # fmt: skip


def gaps(home: Home, day: date) -> list[tuple[object, ...]]:
    """Computed now: stream, gateway, first and last missing number, and how many."""
    compute(home, day, tables=upstream("sequence_gaps"))
    names = ("stream", "gateway_id", "first_missing", "last_missing", "missing")
    return [tuple(row[name] for name in names) for row in rows(home, "sequence_gaps", day)]


def test_a_day_without_a_gap_has_no_rows(home: Home) -> None:
    land(home, DAY, 0, 1, 2)
    land(home, DAY, 3, 4)
    assert gaps(home, DAY) == []


def test_a_hole_within_a_segment_and_one_between_two(home: Home) -> None:
    land(home, DAY, 0, 2, 3)
    land(home, DAY, 10)
    land(home, DAY, 7, 8, stream="face_visits")  # what came before it, nobody knows
    assert gaps(home, DAY) == [("orders", "till", 1, 1, 1), ("orders", "till", 4, 9, 6)]


def test_gateways_and_their_boots_number_by_themselves(home: Home) -> None:
    land(home, DAY, 0, 1)
    land(home, DAY, 5, 6, boot="c")
    land(home, DAY, 9, gateway="desk")
    assert gaps(home, DAY) == []


def test_a_gap_between_dates_is_of_the_later_one_until_it_closes(home: Home) -> None:
    land(home, DAY, 0, 1)
    land(home, NEXT, 5, 6)
    assert gaps(home, DAY) == []
    assert gaps(home, NEXT) == [("orders", "till", 2, 4, 3)]
    land(home, DAY, 2, 3, 4)
    state = Freshness(home, catalogue(), scan(home.landing)).state(catalogue()["sequence_gaps"], NEXT)
    assert state.condition == "stale", "another date's segment closes it"
    assert gaps(home, NEXT) == []


def test_what_landed_is_no_gap_of_another_date_while_its_whole_stream_is_away(home: Home) -> None:
    later = NEXT + timedelta(days=1)
    land(home, DAY, 0, 1)
    away = land(home, NEXT, 2, 3, 6, 8).parent
    land(home, later, 5)
    land(home, later, 10, 12)
    told = [("orders", "till", n, n, 1) for n in (4, 7, 9, 11)]
    assert gaps(home, NEXT) == told[:2]
    assert gaps(home, later) == told
    compute(home, NEXT, tables=["landed_segments"])
    away.rename(home.root / "away")
    state = Freshness(home, catalogue(), scan(home.landing)).state(catalogue()["sequence_gaps"], later)
    assert state.condition == "fresh"
    land(home, later, 13)
    assert gaps(home, later) == told


@pytest.mark.parametrize(("numbers", "passed"), [((0, 1, 2), True), ((0, 2, 5), False)])
def test_the_check_warns_with_figures(home: Home, numbers: tuple[int, ...], passed: bool) -> None:
    land(home, DAY, *numbers)
    *_, made = compute(home, DAY, tables=upstream("sequence_gaps"))
    (check,) = (c for c in made.checks if c.name == "nothing_is_missing")
    assert check.passed is passed
    figures = dict(check.figures)
    assert (figures["missing_records"], figures["gaps"]) == ((0, 0) if passed else (3, 2))
    assert figures["first_gap"] == (None if passed else "orders - till - 1 to 1")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    landed=st.dictionaries(
        st.tuples(st.sampled_from([DAY, NEXT, DAY + timedelta(days=4)]), st.integers(0, 40), st.integers(0, 9)),
        st.tuples(st.sets(st.integers(0, 9)), st.booleans()),
        min_size=1,
    )
)
def test_the_dates_together_tell_every_number_that_is_missing_and_no_other(
    home: Home, landed: dict[tuple[date, int, int], tuple[set[int], bool]]
) -> None:
    """Segments overlap, come late and for an earlier date; one whose manifest cannot be read has not landed."""
    shutil.rmtree(home.landing, ignore_errors=True)
    seen: set[int] = set()
    for (day, first, more), (between, is_readable) in landed.items():
        numbers = sorted({first, first + more} | {first + n for n in between if n < more})
        manifest = land(home, day, *numbers)
        if is_readable:
            seen.update(numbers)
        else:
            manifest.write_bytes(b"{")
    of = References(home.site, scan(home.landing))
    told = [row for day in {d for d, _, _ in landed} for row in of.relation("missing_sequences", day).to_pylist()]
    missing = set(range(min(seen), max(seen))) - seen if seen else set()
    assert {n for row in told for n in range(row["first_missing"], row["last_missing"] + 1)} == missing
