"""Watched folders: whatever way a file comes, each of its rows lands once, and those that cannot are counted."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from edge_collector.people import load_people
from edge_collector.sources import Busy
from edge_collector.testing.clock import VirtualClock
from tests.edge.collector.box import Box
from tests.edge.collector.folder.exports import FOLDER, HEADER, NOW, SETTLE, VISIT_HEADER, put, row, visit, watching

# How files come -------------------------------------------------------------------------------------------------------


def test_a_file_is_read_when_it_has_settled_and_once(box: Box) -> None:
    with watching(box) as exports:
        put(box, "a.csv", HEADER + row(1) + row(2))
        assert [exports.look(), exports.look(after=4.9), exports.look(after=0.1), exports.look(after=99)] == [
            0,
            0,
            1,
            0,
        ]
        (first, second) = exports.landed()
    assert (first["order_id"], second["order_id"]) == ("1", "2")
    assert first["ordered_at"] == "2026-03-02T11:30:00.000+01:00"
    assert (first["recorded_at"], first["device_id"]) == ("2026-03-02T13:00:05.000+01:00", "till")
    assert first["user_id"].startswith("k1:")


def test_a_slow_copy_is_read_at_its_end(box: Box) -> None:
    content = HEADER + "".join(row(n) for n in range(50))
    with watching(box) as exports:
        for end in range(100, len(content), 200):
            put(box, "a.csv", content[:end])
            assert exports.look(after=4) == 0
        put(box, "a.csv", content)
        assert exports.settle() == 1
        assert [o[0] for o in exports.orders()] == [str(n) for n in range(50)]
        assert exports.refused() == {}


def test_a_copy_that_pauses_loses_and_invents_nothing(box: Box) -> None:
    content = VISIT_HEADER + visit(1, member="130") + visit(2, member="13085") + visit(3, member="131")
    with watching(box) as exports:
        for end in (10, 30, 60, 75, len(content)):  # in the middle of the header, of a number, of a word
            put(box, "a.csv", content[:end], "door")
            exports.settle()
        people = load_people(box.gateway())
        assert [r["user_id"] for r in exports.landed()] == [people.user_id(m) for m in ("130", "13085", "131")]
        assert exports.refused() == {}


def test_a_last_line_without_an_end_is_taken_when_it_has_grown_no_more_for_a_minute(box: Box) -> None:
    with watching(box) as exports:
        put(box, "a.csv", (HEADER + row(1) + row(2, amount="12.50")).rstrip("\n"))
        exports.settle()
        assert exports.orders() == [("1", "4.50", "completed")]
        assert exports.look(after=50) == 0
        assert exports.look(after=10) == 1
        assert exports.orders() == [("1", "4.50", "completed"), ("2", "12.50", "completed")]
        assert exports.look(after=999) == 0


def test_a_file_of_one_line_without_an_end(box: Box) -> None:
    with watching(box) as exports:
        put(box, "a.csv", HEADER.rstrip("\n"))
        exports.settle()
        assert exports.refused() == {}
        assert exports.look(after=60) == 1
        assert exports.landed() == []


def test_renamed_in(box: Box) -> None:
    with watching(box) as exports:
        put(box, ".a.csv.part", HEADER + row(1))
        put(box, "a.csv.tmp", HEADER + row(2))
        assert exports.settle() == 0
        (box.root / "in" / ".a.csv.part").rename(box.root / "in" / "a.csv")
        assert exports.settle() == 1
        assert exports.orders() == [("1", "4.50", "completed")]


def test_a_file_that_is_written_to_while_it_is_read_is_read_again(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_bytes

    def and_meanwhile(path: Path) -> bytes:
        content = read(path)
        if path.suffix == ".csv" and content.count(b"\n") == 2:
            path.write_bytes(content + row(2).encode())
        return content

    with watching(box) as exports:
        put(box, "a.csv", HEADER + row(1))
        monkeypatch.setattr(Path, "read_bytes", and_meanwhile)
        assert exports.settle() == 0
        assert exports.settle() == 1
        assert [o[0] for o in exports.orders()] == ["1", "2"]


def test_a_file_that_grows_is_read_for_what_is_new(box: Box) -> None:
    with watching(box) as exports:
        put(box, "a.csv", HEADER + row(1) + "broken\n")
        exports.settle()
        put(box, "a.csv", HEADER + row(1) + "broken\n" + row(2) + row(3, amount="x"))
        exports.settle()
        assert [o[0] for o in exports.orders()] == ["1", "2"]
        assert exports.refused() == {"bad_row": 2}  # one each time, though both readings met the first


def test_a_row_that_grows_into_an_earlier_order_is_numbered_in_it(box: Box) -> None:
    with watching(box) as exports:
        put(box, "a.csv", HEADER + row(1) + row(2))
        exports.settle()
        put(box, "a.csv", HEADER + row(1) + row(2) + row(1, amount="9.00").replace("11:30", "11:10"))
        exports.settle()
        told = [(r["order_id"], r["order_no"], r["amount"], r["ordered_at"][11:16]) for r in exports.landed()]
    # The order's time is the smallest of its lines, so its first line is told again.
    assert told == [
        ("1", 1, "4.50", "11:30"),
        ("2", 1, "4.50", "11:30"),
        ("1", 1, "4.50", "11:10"),
        ("1", 2, "9.00", "11:10"),
    ]


def test_a_status_that_changes_and_changes_back(box: Box) -> None:
    with watching(box) as exports:
        for status in ("completed", "cancelled", "completed", "completed"):
            put(box, "a.csv", HEADER + row(1, status=status) + row(2))
            exports.settle()
        assert exports.orders() == [
            ("1", "4.50", "completed"), ("2", "4.50", "completed"),
            ("1", "4.50", "cancelled"), ("1", "4.50", "completed"),
        ]  # fmt: skip


def test_the_same_file_under_two_names_and_two_that_overlap(box: Box) -> None:
    with watching(box) as exports:
        put(box, "a.csv", HEADER + row(1) + row(2))
        put(box, "copy of a.csv", HEADER + row(1) + row(2))
        put(box, "b.csv", HEADER + row(2) + row(3))
        assert exports.settle() == 3
        assert [o[0] for o in exports.orders()] == ["1", "2", "3"]


def test_what_one_file_knows_better_the_other_does_not_take_back(box: Box) -> None:
    with watching(box) as exports:
        put(box, "monday.csv", HEADER + row(1))
        exports.settle()
        put(box, "changes.csv", HEADER + row(1, status="refunded"))
        exports.settle()
        put(box, "monday.csv", HEADER + row(1) + row(2))
        exports.settle()
        assert [o[0::2] for o in exports.orders()] == [("1", "completed"), ("1", "refunded"), ("2", "completed")]


def test_files_are_read_in_the_order_in_which_they_were_changed(box: Box) -> None:
    with watching(box) as exports:
        os.utime(put(box, "z.csv", HEADER + row(1)), (1_770_000_000, 1_770_000_000))
        os.utime(put(box, "a.csv", HEADER + row(1, status="refunded")), (1_770_000_060, 1_770_000_060))
        assert exports.settle() == 2
        assert [o[2] for o in exports.orders()] == ["completed", "refunded"]


def test_two_visits_alike_in_one_file_are_two_and_in_two_files_are_the_same(box: Box) -> None:
    with watching(box) as exports:
        put(box, "a.csv", VISIT_HEADER + visit(1) + visit(1) + visit(2, "leave"), "door")
        put(box, "b.csv", VISIT_HEADER + visit(1) + visit(1) + visit(3), "door")
        exports.settle()
        landed = exports.landed()
    assert [(r["direction"], r["recorded_at"][17:19]) for r in landed] == [
        ("enter", "01"), ("enter", "01"), ("leave", "02"), ("enter", "03"),
    ]  # fmt: skip


def test_two_folders_with_a_file_of_one_name(box: Box) -> None:
    (box.root / "in2").mkdir()
    box.secret("edge.toml", (box.root / "edge.toml").read_text() + FOLDER.format(path="in2", map="till"))
    with watching(box) as exports:
        put(box, "a.csv", HEADER + row(1))
        put(box, "a.csv", HEADER + row(2), "in2")
        assert exports.settle() == 2
        assert exports.look(after=99) == 0
        assert [o[0] for o in exports.orders()] == ["1", "2"]


# Shares, restarts, no room --------------------------------------------------------------------------------------------


def test_another_file_of_the_same_size_and_coarse_time_is_noticed(box: Box) -> None:
    """On FAT and some shares times have two seconds; `completed` and `cancelled` are as long as each other."""
    at = (1_770_000_000, 1_770_000_000)
    with watching(box) as exports:
        os.utime(put(box, "a.csv", HEADER + row(1)), at)
        exports.settle()
        os.utime(put(box, "new", HEADER + row(1, status="cancelled")), at)
        (box.root / "in" / "new").replace(box.root / "in" / "a.csv")
        exports.settle()
        assert [o[2] for o in exports.orders()] == ["completed", "cancelled"]


def test_a_touched_file_says_nothing_new(box: Box) -> None:
    with watching(box) as exports:
        path = put(box, "a.csv", HEADER + row(1) + "broken\n")
        exports.settle()
        for second in range(3):
            os.utime(path, (1_770_000_000 + second, 1_770_000_000 + second))
            assert exports.settle() == 1
        assert len(exports.landed()) == 1
        assert exports.refused() == {"bad_row": 1}


def test_a_restart_reads_nothing_twice_and_what_came_meanwhile(box: Box) -> None:
    clock = VirtualClock(NOW)
    with watching(box, clock) as exports:
        put(box, "a.csv", HEADER + row(1) + "broken\n")
        exports.settle()
        first = exports.orders()
    put(box, "a.csv", HEADER + row(1) + "broken\n" + row(2))
    put(box, "b.csv", HEADER + row(2) + row(3))
    with watching(box, clock, boot_id="b2") as exports:
        assert exports.settle() == 2
        assert exports.settle() == 0
        assert [o[0] for o in exports.orders()] == ["1", "2", "3"]
        assert exports.refused() == {"repeated": 1}
    assert first == [("1", "4.50", "completed")]


def test_without_room_a_file_waits_for_it(box: Box) -> None:
    with watching(box) as exports:
        put(box, "a.csv", HEADER + row(1) + "broken\n")
        put(box, "b.csv", HEADER + row(2))
        exports.spool.max_bytes = 0
        exports.look()
        for _ in range(2):
            with pytest.raises(Busy):
                exports.look(after=SETTLE)
        assert exports.landed() == []
        exports.spool.max_bytes = 10**9
        assert exports.look() == 2
        assert [o[0] for o in exports.orders()] == ["1", "2"]
        assert exports.refused() == {"bad_row": 1}


def test_the_watcher_works_by_itself(box: Box) -> None:
    clock = VirtualClock(NOW)
    put(box, "a.csv", HEADER + row(1))
    with watching(box, clock) as exports:

        async def main() -> None:
            working = asyncio.ensure_future(exports.watchers[0].run())
            async with asyncio.timeout(20):
                while not exports.tally.captured["folder", "orders"]:
                    await clock.advance(1)
                    await asyncio.sleep(0.01)  # for the threads that read
            working.cancel()

        asyncio.run(main())
        assert exports.clock.monotonic() < 60
        assert len(exports.orders()) == 1
