"""What is wrong with files in watched folders: rows, members, files, shares. It costs only itself, and is told."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from edge_collector.foreign_files.column_map import MapError
from edge_collector.sources.folder import FolderWatcher
from tests.edge.collector.box import Box
from tests.edge.collector.folder.exports import HEADER, SETTLE, VISIT_HEADER, put, row, visit, watching


def test_rows_that_cannot_be_taken_cost_only_themselves(box: Box) -> None:
    with watching(box) as exports:
        put(box, "a.csv", (HEADER + row(1) + '2,2026-03-02 11:30:00,13085,"coffee,1,4.50,completed\n' + row(3)).encode()
            + b"4,2026-03-02 11:30:00,\xff\xfe,coffee,1,4.50,completed\n" + b"\n\n" + row(5, amount="4,50").encode()
            + row(6, status="lost").encode() + row(7).encode())  # fmt: skip
        exports.settle()
        assert [o[0] for o in exports.orders()] == ["1", "3", "7"]
        assert exports.refused() == {"bad_row": 4}


def list_who_opted_out(box: Box, listed: str) -> None:
    text = (box.root / "edge.toml").read_text()
    box.secret("edge.toml", text.replace("[landing]", '[pseudonyms]\nopted_out_file = "out"\n\n[landing]'))
    box.secret("out", listed)


def test_members_who_opted_out_keep_their_orders_without_a_name_and_no_visits(box: Box) -> None:
    list_who_opted_out(box, "13085\n")
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
    list_who_opted_out(box, "# nobody\n")
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
