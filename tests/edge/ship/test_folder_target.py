"""A folder as target: what a kill leaves in it, shares that come and go, and file systems that cannot do everything."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from edge_collector.durable import flush_folder, make_folder
from edge_collector.segment import manifests, read_manifest, read_segment, segment_of
from edge_collector.ship import Conflict, Unreachable, object_store, target_of
from tests.edge.ship.targets import check, expected, in_folder, names, put
from tests.landing.harness import DAY, landed, sealed


def test_a_folder_holds_what_readers_of_the_landing_take(tmp_path: Path) -> None:
    put(lambda: target_of(str(tmp_path)), sealed(), sealed(10))
    found = manifests(tmp_path, "orders", DAY)
    assert [read_segment(segment_of(path), read_manifest(path)).count(b"\n") for path in found] == [3, 3]


def test_what_a_kill_left_in_a_folder_disturbs_nobody(tmp_path: Path) -> None:
    segment = sealed()
    folder = tmp_path / "orders" / f"event_date={DAY}"
    folder.mkdir(parents=True)
    for name in names(segment):
        (folder / f".{Path(name).name}.0a1b2c3d.part").write_bytes(b"half")
    assert manifests(tmp_path, "orders", DAY) == []
    assert put(lambda: target_of(str(tmp_path)), segment)[0].new
    assert [path.name for path in manifests(tmp_path, "orders", DAY)] == [f"{segment.name}.manifest.json"]


def test_a_share_that_is_not_mounted_is_not_made_on_the_card(tmp_path: Path) -> None:
    absent = tmp_path / "mnt" / "landing"
    (problem,) = put(lambda: target_of(str(absent)), sealed())
    assert isinstance(problem, Unreachable)
    assert "mount" in str(problem)
    with pytest.raises(Unreachable):
        check(lambda: target_of(str(absent)))
    assert not absent.parent.exists()


def test_with_a_mount_point_nothing_is_written_while_nothing_is_mounted_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where somebody has made the folder on the card."""
    folder = tmp_path / "share" / "landing"
    folder.mkdir(parents=True)
    target = lambda: target_of(str(folder), mount_point=folder.parent)  # noqa: E731
    (problem,) = put(target, sealed())
    assert isinstance(problem, Unreachable)
    assert str(problem) == f"nothing is mounted at {folder.parent}; mount the share that {folder} is on"
    with pytest.raises(Unreachable):
        check(target)
    assert list(folder.iterdir()) == []
    monkeypatch.setattr(Path, "is_mount", lambda path: path == folder.parent)
    assert put(target, sealed())[0].new


@pytest.mark.parametrize("comes_back", [False, True])
def test_what_was_written_on_the_card_when_the_share_went_is_not_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comes_back: bool
) -> None:
    """It went after it had been looked for and before it was written to; perhaps it is there again at the end."""
    share, card = tmp_path / "share", tmp_path / "card"
    (share / "landing").mkdir(parents=True)
    (card / "landing").mkdir(parents=True)
    point = tmp_path / "point"
    point.symlink_to(share)
    mounted = [True]

    def mount(folder: Path) -> None:
        point.unlink()
        point.symlink_to(folder)
        mounted[0] = folder == share

    def and_it_goes(path: Path) -> None:
        mount(card)
        make_folder(path)

    def and_it_comes_back(path: Path) -> None:
        flush_folder(path)
        mount(share)

    monkeypatch.setattr(Path, "is_mount", lambda path: path == point and mounted[0])
    target = lambda: target_of(str(point / "landing"), mount_point=point)  # noqa: E731
    with monkeypatch.context() as once:
        once.setattr(object_store, "make_folder", and_it_goes)
        once.setattr(Path, "is_mount", lambda path: path == point)  # as was seen a moment ago
        if comes_back:
            once.setattr(object_store, "flush_folder", and_it_comes_back)
        else:
            once.setattr(object_store, "flush_folder", lambda _: once.setattr(Path, "is_mount", lambda _: False))
        (problem,) = put(target, sealed())
        assert isinstance(problem, Unreachable), problem
    assert landed(share / "landing") == {}
    mount(share)
    assert put(target, sealed())[0].new
    assert landed(share / "landing").values()


@pytest.mark.parametrize("where", ["is_dir", "is_mount"])
def test_a_share_that_hangs_holds_up_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    come_back, asked, folder = threading.Event(), threading.Event(), tmp_path / "landing"
    folder.mkdir()
    is_dir = Path.is_dir

    def hang(path: Path) -> bool:
        if path != folder:
            return is_dir(path)
        asked.set()
        return come_back.wait(5)

    monkeypatch.setattr(Path, "is_mount", lambda path: path == folder)
    monkeypatch.setattr(Path, where, hang)
    target = target_of(str(folder), mount_point=folder)

    async def main() -> None:
        under_way = [asyncio.ensure_future(target.put(sealed())), asyncio.ensure_future(target.check())]
        async with asyncio.timeout(10):
            while not asked.is_set():
                await asyncio.sleep(0.01)
            assert not any(task.done() for task in under_way)
            under_way[0].cancel()
            await asyncio.wait(under_way[:1])
            come_back.set()
            await under_way[1]

    asyncio.run(main())


def test_a_file_system_without_links_does_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    world = in_folder(tmp_path, lambda: target_of(str(tmp_path)))
    assert [answer.new for answer in put(world.make, sealed()) + put(world.make, sealed())] == [True, False]
    assert isinstance(put(world.make, sealed(text="other"))[0], Conflict)
    assert world.objects() == expected(sealed())


def test_a_full_disk_is_no_reason_to_forget_a_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge_collector.durable.os.fsync", full)
    (problem,) = put(lambda: target_of(str(tmp_path)), sealed())
    assert isinstance(problem, Unreachable)
    assert "No space left" in str(problem)
    assert landed(tmp_path) == {}
