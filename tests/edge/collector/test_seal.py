"""Sealing: every record in one segment of its event date, as the contract wants it; unsynced clocks wait for a day."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_collector.contract import TIME_THAT_COUNTS, parse
from edge_collector.event_time import event_date, rfc_3339
from edge_collector.segment import Manifest
from edge_collector.site import Site
from edge_collector.spool import Capture, Entry, Spool
from edge_collector.spool.seal import SealPolicy, seal
from tests.edge.collector.spooled import AT_ONCE, NOW, SITE, lines, stamp, visit

HOUR = timedelta(hours=1)


def count_of(start: datetime, seconds: float, **more: Any) -> Capture:
    fields = {
        "interval_start": rfc_3339(start, "Europe/Berlin"),
        "interval_end": rfc_3339(start + timedelta(seconds=seconds), "Europe/Berlin"),
        "in_count": 1, "out_count": 0, "unpaired_count": None, "in_total": 1, "out_total": 0, "device_epoch": 1,
    }  # fmt: skip
    return Capture("boundary_counts", "riverside", "north", fields, dated_at=start, own_times=True, **more)


def test_enough_records_make_a_segment_and_the_rest_waits(spool: Spool) -> None:
    spool.take(Entry([visit(n) for n in range(25)]), stamp()).result()
    policy = SealPolicy(10, timedelta(minutes=1))
    assert [s.rows for s in seal(spool, SITE, policy, stamp(NOW))] == [10, 10]
    assert seal(spool, SITE, policy, stamp(NOW + timedelta(seconds=59))) == []
    assert [s.rows for s in seal(spool, SITE, policy, stamp(NOW + timedelta(seconds=60)))] == [5]


def test_an_event_date_that_is_over_is_sealed(spool: Spool) -> None:
    # The day starts at 04:00 in Berlin, 03:00 UTC.
    before, after = datetime(2026, 3, 3, 2, 59, 59, tzinfo=UTC), datetime(2026, 3, 3, 3, 0, 1, tzinfo=UTC)
    spool.take(Entry([visit(1)]), stamp(before)).result()
    spool.take(Entry([visit(2)]), stamp(after)).result()
    (sealed,) = seal(spool, SITE, SealPolicy(10, HOUR), stamp(after))
    assert (sealed.event_date, sealed.rows) == ("2026-03-02", 1)
    assert [s.event_date for s in seal(spool, SITE, SealPolicy(10, HOUR), stamp(after), everything=True)] == [
        "2026-03-03"
    ]


def test_the_time_that_counts_decides_on_the_folder(spool: Spool) -> None:
    at = datetime(2026, 3, 3, 3, 0, 30, tzinfo=UTC)
    spool.take(Entry([count_of(at - timedelta(seconds=60), 60)]), stamp(at)).result()
    (sealed,) = seal(spool, SITE, AT_ONCE, stamp(at))
    assert sealed.event_date == "2026-03-02"
    assert lines(sealed)[0]["recorded_at"] == "2026-03-03T04:00:30.000+01:00"


def test_what_was_captured_without_a_clock_is_corrected_by_the_sync(spool: Spool) -> None:
    wrong = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)
    spool.take(Entry([visit(1), count_of(wrong - timedelta(seconds=60), 60)]),
               stamp(wrong, synced=False, monotonic=300.0)).result()  # fmt: skip
    assert seal(spool, SITE, AT_ONCE, stamp(NOW), everything=True) == []
    corrected = spool.synced(stamp(NOW, monotonic=1500.0))
    assert corrected == 2
    sealed = {s.stream: s for s in seal(spool, SITE, AT_ONCE, stamp(NOW), everything=True)}
    (seen,), (counted,) = lines(sealed["face_visits"]), lines(sealed["boundary_counts"])
    truth = NOW - timedelta(seconds=1200)
    assert seen["clock"] == counted["clock"] == "synced"
    assert datetime.fromisoformat(seen["recorded_at"]) == truth
    assert datetime.fromisoformat(counted["interval_end"]) == truth
    assert datetime.fromisoformat(counted["interval_start"]) == truth - timedelta(seconds=60)
    assert sealed["face_visits"].event_date == "2026-03-02"


def test_a_device_with_a_clock_of_its_own_is_not_moved(spool: Spool) -> None:
    at = NOW - timedelta(minutes=5)
    spool.take(Entry([visit(1, recorded_at=at)]), stamp(datetime(1970, 1, 1, tzinfo=UTC), synced=False)).result()
    (sealed,) = seal(spool, SITE, AT_ONCE, stamp(NOW), everything=True)
    assert datetime.fromisoformat(lines(sealed)[0]["recorded_at"]) == at


def test_the_sync_of_another_start_of_the_machine_says_nothing(spool: Spool) -> None:
    spool.take(Entry([visit(1)]), stamp(NOW - HOUR, synced=False, clock_id="before")).result()
    assert spool.synced(stamp(NOW, clock_id="after")) == 0


def test_after_a_day_without_sync_records_go_as_they_are_marked(spool: Spool) -> None:
    spool.take(Entry([visit(1)]), stamp(NOW, synced=False, monotonic=100)).result()
    # The wall clock may be set to anything meanwhile; only the other clock knows how long it was.
    assert seal(spool, SITE, AT_ONCE, stamp(NOW + 9000 * HOUR, monotonic=100 + 23 * 3600), everything=True) == []
    (sealed,) = seal(spool, SITE, AT_ONCE, stamp(NOW + 24 * HOUR, monotonic=100 + 24 * 3600))
    assert lines(sealed)[0]["clock"] == "unsynced"


def test_after_a_restart_of_the_machine_nothing_can_correct_them_any_more(spool: Spool) -> None:
    spool.take(Entry([visit(1)]), stamp(NOW, synced=False, clock_id="before")).result()
    (sealed,) = seal(spool, SITE, AT_ONCE, stamp(NOW + HOUR, clock_id="after"))
    assert lines(sealed)[0]["clock"] == "unsynced"


MOMENTS = st.datetimes(datetime(2026, 1, 2), datetime(2026, 12, 30)).map(lambda at: at.replace(tzinfo=UTC))
ODD_VENUES = ("Europe/Berlin", "02:30"), ("Australia/Lord_Howe", "01:45"), ("Asia/Kathmandu", "04:00")
ODD_SITE = Site.model_validate(
    {
        "venues": [
            {"id": zone, "name": zone, "time_zone": zone, "currency": "EUR", "day_starts_at": starts,
             "opened_on": "2026-01-01"}
            for zone, starts in ODD_VENUES
        ]
    }
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(MOMENTS, st.sampled_from([v.id for v in ODD_SITE.venues])), min_size=1, max_size=30))
def test_every_record_lands_once_in_the_folder_of_its_event_date(moments: list[tuple[datetime, str]]) -> None:
    """Across daylight saving, half-hour offsets and days that start at odd minutes; the lines are the contract's."""

    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder) / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**8)
        for n, (at, venue_id) in enumerate(moments):
            spool.take(
                Entry([Capture("face_visits", venue_id, "t", {"user_id": f'k1:{n} "é\\', "direction": "enter"})]),
                stamp(at),
            ).result()
        now = max(at for at, _ in moments)
        found = []
        for sealed in seal(spool, ODD_SITE, SealPolicy(7, timedelta(0)), stamp(now), everything=True):
            manifest = Manifest.model_validate_json(sealed.manifest)
            assert manifest.rows == sealed.rows <= 7
            for record in lines(sealed):
                parse("face_visits", json.dumps(record).encode())
                venue = ODD_SITE.venue(record["venue_id"])
                counts = datetime.fromisoformat(record[TIME_THAT_COUNTS["face_visits"]])
                assert str(event_date(counts, venue.time_zone, venue.day_starts_at)) == sealed.event_date
                assert counts.utcoffset() == counts.astimezone(ZoneInfo(venue.time_zone)).utcoffset()
                found.append((counts, venue.id, record["seq"], record["user_id"]))
        expected = [
            (at.replace(microsecond=at.microsecond // 1000 * 1000), venue_id, n, f'k1:{n} "é\\')
            for n, (at, venue_id) in enumerate(moments)
        ]
        assert sorted(found, key=lambda f: f[2]) == expected
        assert spool.depth().records == 0
        spool.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(
    st.tuples(
        MOMENTS, st.integers(0, 999), st.sampled_from([v.id for v in ODD_SITE.venues]), st.sampled_from(['a', 'b "é']),
        st.booleans(),
    ),
    min_size=1, max_size=20,
))  # fmt: skip
def test_what_waits_for_a_sync_stays_and_every_line_is_the_canonical_one(
    told: list[tuple[datetime, int, str, str, bool]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder) / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**8)
        first = min(at for at, *_ in told)
        expected: dict[int, str] = {}
        for n, (at, ms, venue_id, device_id, synced) in enumerate(told):
            when = at.replace(microsecond=ms * 1000 + 999)
            capture = Capture("face_visits", venue_id, device_id, {"user_id": f"k1:{n}", "direction": "leave"})
            spool.take(Entry([capture]), stamp(when, synced=synced)).result()
            record = {
                "gateway_id": "gw", "boot_id": "b1", "seq": n, "venue_id": venue_id, "device_id": device_id,
                "recorded_at": rfc_3339(when, venue_id), "clock": "synced", "user_id": f"k1:{n}", "direction": "leave",
            }  # fmt: skip
            expected[n] = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        found: dict[int, str] = {}

        def look() -> None:
            for sealed in seal(spool, ODD_SITE, SealPolicy(5, timedelta(0)), stamp(first), everything=True):
                manifest = Manifest.model_validate_json(sealed.manifest)
                content = zstandard.ZstdDecompressor().decompress(sealed.packed).decode()
                for line in content.splitlines():
                    seq = json.loads(line)["seq"]
                    assert any(lowest <= seq <= highest for lowest, highest in manifest.seq_ranges)
                    assert found.setdefault(seq, line) is line

        look()
        assert found == {n: line for n, line in expected.items() if told[n][-1]}
        assert spool.depth().records == len(told) - len(found)
        spool._writing(lambda: spool._db.execute("UPDATE records SET synced = 1"))
        look()
        assert found == expected
        spool.close()


def test_a_gateway_that_is_days_behind_does_not_make_true_records_look_ahead(spool: Spool) -> None:
    """Readers refuse what lies a day behind the `created_at` of its segment."""
    behind = NOW - timedelta(days=3)
    spool.take(Entry([visit(1, recorded_at=NOW)]), stamp(behind, synced=False)).result()
    (sealed,) = seal(spool, SITE, AT_ONCE, stamp(behind, synced=False), everything=True)
    assert Manifest.model_validate_json(sealed.manifest).created_at == NOW
