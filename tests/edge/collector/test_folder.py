"""Watched folders: whatever way a file comes, each of its rows lands once, and those that cannot are counted."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_collector.column_map import MapError, load_map
from edge_collector.intake import Intake
from edge_collector.people import load_people
from edge_collector.seal import SealPolicy, seal
from edge_collector.sources import Busy
from edge_collector.sources.folder import FolderWatcher
from edge_collector.spool import Spool
from edge_collector.tally import Tally
from edge_collector.testing.clock import VirtualClock
from tests.edge.collector.box import Box, device
from tests.edge.collector.test_spool import lines

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SETTLE = 5
FOLDER = '\n[[folders]]\npath = "{path}"\nmap = "{map}.toml"\npattern = "*.csv"\nsettle_seconds = 5\n'
ORDERS = """
kind = "orders"
name = "till"
venue = "riverside"
device = "till"
amount_is = "line"
[columns]
order_id = "order"
ordered_at = "time"
user_id = "member"
category_id = "category"
quantity = "pieces"
amount = "amount"
status = "status"
"""
VISITS = """
kind = "visits"
name = "door"
venue = "riverside"
device = "terminal"
[columns]
user_id = "member"
recorded_at = "time"
direction = "direction"
"""
HEADER = "order,time,member,category,pieces,amount,status\n"
VISIT_HEADER = "member,time,direction\n"


def row(order: int, amount: str = "4.50", status: str = "completed", member: str = "13085") -> str:
    return f"{order},2026-03-02 11:30:00,{member},coffee,1,{amount},{status}\n"


def visit(second: int, direction: str = "enter", member: str = "13085") -> str:
    return f"{member},2026-03-02 11:30:{second:02d},{direction}\n"


class Exports:
    """A folder that files are put into, and the gateway that watches it on a virtual clock."""

    def __init__(self, box: Box, clock: VirtualClock, boot_id: str = "b1", which: int = 0) -> None:
        gateway, self.clock, self.tally = box.gateway(), clock, Tally()
        people = self.people = load_people(gateway)
        self.spool = Spool(box.root / "spool.db", gateway_id="gw", boot_id=boot_id, max_bytes=10**9)
        self.intake = Intake(gateway, self.spool, people, clock, "m1", self.tally)
        self.watchers = [
            FolderWatcher(
                gateway.file(watched.path),
                watched,
                load_map(gateway.file(watched.map), gateway.site, gateway.id),
                lambda number: people.user_id(number) or "",
                self.intake.take_rows,
                clock,
                self.spool.states(),
                self.tally,
            )
            for watched in gateway.settings.folders
        ]
        self.watcher = self.watchers[which]
        self._gateway = gateway

    def look(self, *, after: float = 0) -> int:
        """Let time pass, look into all folders; how many files were read."""

        async def look() -> int:
            await self.clock.advance(after)
            return sum([await watcher.look() for watcher in self.watchers])

        return asyncio.run(look())

    def settle(self) -> int:
        """Look, wait until files have settled, look again."""
        return self.look() + self.look(after=SETTLE)

    def refused(self) -> dict[str, int]:
        return {reason: n for (_, reason), n in self.tally.refused.items() if n}

    def landed(self) -> list[dict[str, Any]]:
        stamp = self.intake.stamp()
        seal(self.spool, self._gateway.site, SealPolicy(10**6, timedelta(0)), stamp, everything=True)
        found, beside = [], []
        while (segment := self.spool.segment(beside=beside)) is not None:
            beside.append(segment.id)
            found += lines(segment)
        return sorted(found, key=lambda r: (r["boot_id"], r["seq"]))

    def orders(self) -> list[tuple[str, str, str]]:
        return [(r["order_id"], r["amount"], r["status"]) for r in self.landed()]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    (tmp_path / "in").mkdir()
    (tmp_path / "door").mkdir()
    (tmp_path / "till.toml").write_text(ORDERS)
    (tmp_path / "door.toml").write_text(VISITS)
    edge = FOLDER.format(path="in", map="till") + FOLDER.format(path="door", map="door") + device("gateway", "gateway")
    return Box(tmp_path).write(edge)


@contextmanager
def watching(box: Box, clock: VirtualClock | None = None, **more: Any) -> Iterator[Exports]:
    exports = Exports(box, clock or VirtualClock(NOW), **more)
    try:
        yield exports
    finally:
        exports.spool.close()


def put(box: Box, name: str, content: str | bytes, folder: str = "in") -> Path:
    path = box.root / folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


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


# What is wrong with them ----------------------------------------------------------------------------------------------


def test_rows_that_cannot_be_taken_cost_only_themselves(box: Box) -> None:
    with watching(box) as exports:
        put(box, "a.csv", (HEADER + row(1) + '2,2026-03-02 11:30:00,13085,"coffee,1,4.50,completed\n' + row(3)).encode()
            + b"4,2026-03-02 11:30:00,\xff\xfe,coffee,1,4.50,completed\n" + b"\n\n" + row(5, amount="4,50").encode()
            + row(6, status="lost").encode() + row(7).encode())  # fmt: skip
        exports.settle()
        assert [o[0] for o in exports.orders()] == ["1", "3", "7"]
        assert exports.refused() == {"bad_row": 4}


def test_members_who_opted_out_keep_their_orders_without_a_name_and_no_visits(box: Box) -> None:
    text = (box.root / "edge.toml").read_text()
    box.secret("edge.toml", text.replace("[landing]", '[pseudonyms]\nopted_out_file = "out"\n\n[landing]'))
    box.secret("out", "13085\n")
    with watching(box) as exports:
        put(box, "a.csv", HEADER + row(1) + row(2, member="2"))
        put(box, "a.csv", VISIT_HEADER + visit(1) + visit(2, member="2"), "door")
        exports.settle()
        landed = exports.landed()
        assert [r["user_id"] is None for r in landed if "order_id" in r] == [True, False]
        assert sum("direction" in r for r in landed) == 1
        assert exports.refused() == {"opted_out": 1}


def test_who_opts_out_while_a_file_is_being_read_is_not_named_any_more(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (box.root / "edge.toml").read_text()
    box.secret("edge.toml", text.replace("[landing]", '[pseudonyms]\nopted_out_file = "out"\n\n[landing]'))
    box.secret("out", "# nobody\n")
    keyed = FolderWatcher._keyed
    with watching(box) as exports:

        def and_meanwhile(*given: Any) -> Any:
            """The rest of a long file takes half a minute."""
            box.secret("out", "13085\n")
            exports.people.look_again()
            exports.people.look_again()
            return keyed(*given)

        monkeypatch.setattr(FolderWatcher, "_keyed", and_meanwhile)
        put(box, "a.csv", HEADER + row(1) + row(2, member="2"))
        exports.settle()
        box.secret("out", "# nobody\n")
        exports.people.look_again()
        exports.people.look_again()
        put(box, "a.csv", VISIT_HEADER + visit(1) + visit(2, member="2"), "door")
        exports.settle()
        landed = exports.landed()
        assert [r["user_id"] is None for r in landed if "order_id" in r] == [True, False]
        assert sum("direction" in r for r in landed) == 1
        assert exports.refused() == {"opted_out": 1}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"order,time\n1,2\n", "has no column"),
        (b'"order,time\n', "an open quote; a header line is expected"),
        (b"\xff\xfe\n", "not utf-8"),
        (b"\n\n", "the file is empty"),
    ],
    ids=["columns", "quote", "bytes", "blank"],
)
def test_a_file_that_cannot_be_read_is_an_alarm_until_it_can(box: Box, content: bytes, expected: str) -> None:
    with watching(box) as exports:
        put(box, "a.csv", content)
        for _ in range(3):
            exports.settle()
        assert exports.refused() == {"bad_file": 1}
        ((_, alarm),) = exports.tally.alarms.items()
        assert expected in alarm
        put(box, "a.csv", HEADER + row(1))
        exports.settle()
        assert exports.tally.alarms == {}
        assert exports.orders() == [("1", "4.50", "completed")]


def test_an_alarm_goes_with_its_file(box: Box) -> None:
    with watching(box) as exports:
        path = put(box, "a.csv", b"x\n")
        exports.settle()
        assert exports.tally.alarms
        path.unlink()
        exports.look()
        assert exports.tally.alarms == {}


def test_a_share_that_fails_for_a_while_is_asked_again(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    read, broken = Path.read_bytes, [True]

    def or_not(path: Path) -> bytes:
        if path.suffix == ".csv" and broken[0]:
            raise OSError(errno.ESTALE, "Stale file handle", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", or_not)
    with watching(box) as exports:
        put(box, "a.csv", HEADER + row(1))
        assert [exports.settle(), exports.settle()] == [0, 0]
        assert exports.refused() == {"bad_file": 1}
        assert "Stale file handle" in str(exports.tally.alarms)
        broken[0] = False
        assert exports.look(after=SETTLE) == 1
        assert exports.tally.alarms == {}
        assert len(exports.orders()) == 1


def test_a_folder_that_goes_and_comes_back(box: Box) -> None:
    with watching(box) as exports:
        put(box, "a.csv", HEADER + row(1))
        exports.settle()
        (box.root / "in").rename(box.root / "away")
        assert exports.look() == 0
        assert "No such file" in exports.tally.alarms["folder in"]
        (box.root / "in").mkdir()  # a mount point without its share
        assert exports.look() == 0
        assert exports.tally.alarms == {}
        (box.root / "in").rmdir()
        (box.root / "away").rename(box.root / "in")
        put(box, "b.csv", HEADER + row(2))
        assert exports.settle() == 1
        assert [o[0] for o in exports.orders()] == ["1", "2"]


def test_what_is_no_file_is_left_alone(box: Box) -> None:
    with watching(box) as exports:
        (box.root / "in" / "folder.csv").mkdir()
        os.mkfifo(box.root / "in" / "pipe.csv")
        (box.root / "in" / "dangling.csv").symlink_to("nowhere")
        put(box, "A.CSV", HEADER + row(1))
        assert exports.settle() == 0
        assert exports.refused() == {}


def test_a_map_of_counts_is_refused_at_the_start(box: Box) -> None:
    (box.root / "till.toml").write_text(
        'kind = "counts"\nname = "till"\nvenue = "riverside"\ndevice = "entrance"\ninterval = "30min"\n'
        '[columns]\ninterval_start = "time"\nin_count = "n"\n'
    )
    with pytest.raises(MapError, match='"orders" or "visits" is expected of a watched folder'), watching(box):
        pass


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
            working = asyncio.ensure_future(exports.watcher.run())
            async with asyncio.timeout(20):
                while not exports.tally.captured["folder", "orders"]:
                    await clock.advance(1)
                    await asyncio.sleep(0.01)  # for the threads that read
            working.cancel()

        asyncio.run(main())
        assert exports.clock.monotonic() < 60
        assert len(exports.orders()) == 1
