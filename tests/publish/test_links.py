"""How a publication becomes current: by links, by copies where there are none, and never by half."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from tests.publish.home import ask, rename_a_venue
from tests.publish.home import publish as publish_home
from venue_assets.graph.build import engine_resource
from venue_assets.home import Home
from venue_assets.publish import publication as publications
from venue_assets.publish.links import copy
from venue_assets.publish.publication import NAMES, publish
from venue_assets.publish.record import current
from venue_assets.tables.catalogue import catalogue


def without_links(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "no links")

    monkeypatch.setattr(Path, "symlink_to", refuse)


def is_one_set(home: Home) -> bool:
    """Whether all that readers find is of the publication that is said to be current."""
    publication = current(home)
    assert publication
    named = json.loads((home.published / "csv" / "publication.json").read_text())["publication_id"]
    rows = ask(home, "SELECT DISTINCT publication_id FROM main.publication")
    return named == publication.publication_id and rows == [(publication.publication_id,)]


@pytest.mark.parametrize("links", [True, False])
def test_what_readers_are_led_to_is_on_the_disk_before_they_are(
    four_dates: Home, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    on_the_disk, led_to = set[int](), list[Path]()
    fsync, replace = os.fsync, Path.replace

    def flush(descriptor: int) -> None:
        fsync(descriptor)
        on_the_disk.add(os.fstat(descriptor).st_ino)

    def lead(source: Path, target: Path) -> Path:
        if source.parent == four_dates.published:
            there = source.resolve()
            files = [path for path in (there, *there.rglob("*")) if path.is_file()]
            assert not [str(path) for path in files if path.stat().st_ino not in on_the_disk]
            led_to.extend(files)
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(Path, "replace", lead)
    if not links:
        without_links(monkeypatch, errno.EPERM)
    publish_home(four_dates)
    publish_home(rename_a_venue(four_dates))
    assert {".parquet", ".csv", ".tmdl", ".json"} <= {path.suffix for path in led_to}


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSPC, errno.EIO])
def test_where_there_were_links_a_failed_switch_leaves_the_earlier_set_whole(
    four_dates: Home, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    first = publish_home(four_dates)
    home = rename_a_venue(four_dates)
    with monkeypatch.context() as here:
        without_links(here, number)
        with pytest.raises(OSError, match="no links"):
            publish_home(home)
    assert current(home) == first
    assert is_one_set(home)
    assert [p.name for p in (home.published / ".versions").iterdir()] == ["1"]
    assert publish_home(home).number == 2
    assert is_one_set(home)


def test_where_there_are_no_links_sets_are_copied_and_links_come_back(
    four_dates: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = four_dates
    with monkeypatch.context() as here:
        without_links(here, errno.EPERM)
        for number in (1, 2):
            assert publish_home(home).number == number
            assert is_one_set(home)
            home = rename_a_venue(home)
        assert not any((home.published / name).is_symlink() for name in (*NAMES, "current"))
    assert publish_home(home).number == 3
    assert is_one_set(home)
    assert all((home.published / name).is_symlink() for name in (*NAMES, "current"))


def test_a_full_disk_is_no_lack_of_links(four_dates: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    without_links(monkeypatch, errno.ENOSPC)
    with pytest.raises(OSError, match="no links"):
        publish_home(four_dates)
    assert list((four_dates.published / ".versions").iterdir()) == []


def test_copies_are_replaced_only_when_all_are_made(four_dates: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    without_links(monkeypatch, errno.EPERM)
    first = publish_home(four_dates)
    home = rename_a_venue(four_dates)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "disk is full")

    monkeypatch.setattr("venue_assets.publish.links.shutil.copytree", full)
    with pytest.raises(OSError, match="disk is full"):
        publish_home(home)
    assert current(home) == first
    assert is_one_set(home)


def test_a_dictionary_that_cannot_be_replaced_beside_the_reports_is_told_and_no_failure(four_dates: Home) -> None:
    publish_home(four_dates)
    page = four_dates.published / "reports" / "dictionary.html"
    page.unlink()
    page.mkdir()
    told: list[str] = []
    home = rename_a_venue(four_dates)
    second = publish(home, catalogue(), engine_resource(), log=told.append)
    assert current(home) == second
    assert [line for line in told if "dictionary.html is still the earlier one" in line]


def test_what_a_killed_publisher_left_is_cleared_away(four_dates: Home) -> None:
    reports = four_dates.published / "reports"
    reports.mkdir(parents=True)
    left = [four_dates.published / ".current.123", four_dates.published / ".parquet.77", reports / ".dictionary.md.5"]
    left[0].symlink_to("nowhere")
    left[1].mkdir()
    (left[1] / "a.parquet").touch()
    left[2].touch()
    others = reports / ".2026-01-30.html.9"
    others.touch()  # of a report that is being rendered
    publish_home(four_dates)
    assert not any(path.exists() or path.is_symlink() for path in left)
    assert others.exists()


def test_every_file_names_its_publication(four_dates: Home) -> None:
    first = publish_home(four_dates)
    second = publications.publish(rename_a_venue(four_dates), catalogue(), engine_resource())
    publications.Lake(four_dates.lake).remove("primary_metrics", max(second.dates))
    third = publish_home(Home(four_dates.root))  # definitions and site are the same as of the second
    for place in ("powerbi", "reports"):
        texts = [p.read_text() for p in (four_dates.published / place).rglob("*.*") if p.is_file()]
        assert any(third.publication_id in text for text in texts), place
        assert not any(earlier.publication_id in text for text in texts for earlier in (first, second)), place


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 1000])
def test_a_copy_in_pieces_lacks_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("venue_assets.publish.links._PIECE", 256)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(size))
    copy(source, target)
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("what", ["copies", "refuses", "copies nothing", "is not there"])
def test_a_copy_is_a_file_of_its_own_whatever_the_system_offers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "not between these")

    if what == "is not there":
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    elif what != "copies":
        stand_in = refuse if what == "refuses" else lambda *_: 0
        monkeypatch.setattr(os, "copy_file_range", stand_in, raising=False)
    source, target = tmp_path / "source", tmp_path / "target"
    content = bytes(range(256)) * 4096
    source.write_bytes(content)
    copy(source, target)
    assert target.read_bytes() == content
    with target.open("rb+") as file:
        file.write(b"written")
    assert source.read_bytes() == content
