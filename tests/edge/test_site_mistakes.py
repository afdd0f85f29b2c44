"""Mistakes in a site file: all are told at once, each with its path, what was given and what is expected."""

# ruff: noqa: E501  (tables read better with one case per line)

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_collector.site import SiteError, load_site
from tests.conftest import REPOSITORY

SITE = (REPOSITORY / "data" / "site.toml").read_text()
_ZONE, _OPENED, _ENTRANCE = 'time_zone = "Asia/Shanghai"', "opened_on = 2026-01-01", 'stream = "entrance_counts"'


def _instead(old: str, new: str) -> str:
    assert old in SITE
    return SITE.replace(old, new, 1)


MISTAKES: dict[str, tuple[str, list[str]]] = {
    "zone unknown": (_instead(_ZONE, 'time_zone = "Asia/Shangai"'), ["venues[1].time_zone: 'Asia/Shangai' is given; an IANA time zone such as Europe/Berlin is expected"]),
    "zone empty": (_instead(_ZONE, 'time_zone = ""'), ["venues[1].time_zone: '' is given; an IANA"]),
    "zone a folder": (_instead(_ZONE, 'time_zone = "Europe"'), ["venues[1].time_zone: 'Europe' is given; an IANA"]),
    "zone a path": (_instead(_ZONE, 'time_zone = "../../etc/passwd"'), ["venues[1].time_zone: "]),
    "zone with NUL": (_instead(_ZONE, 'time_zone = "\\u0000"'), ["venues[1].time_zone: "]),
    "zone a number": (_instead(_ZONE, "time_zone = 8"), ["venues[1].time_zone: 8 is given; input should be a valid string"]),
    "zone missing": (_instead(_ZONE + "\n", ""), ["venues[1].time_zone: missing; it is required"]),
    "currency": (_instead('"CNY"', '"cny"'), ["venues[1].currency: 'cny' is given; an ISO 4217 code"]),
    "start of day": (_instead('"04:00"', '"4 am"'), ["venues[0].day_starts_at: '4 am' is given; a time of day such as \"04:00\""]),
    "start of day 24:00": (_instead('"04:00"', '"24:00"'), ["venues[0].day_starts_at: '24:00' is given"]),
    "opened on no date": (_instead(_OPENED, 'opened_on = "soon"'), ["venues[0].opened_on: 'soon' is given"]),
    "opened at a time": (_instead(_OPENED, "opened_on = 2026-01-01T10:00:00"), ["venues[0].opened_on: "]),
    "opened true": (_instead(_OPENED, "opened_on = true"), ["venues[0].opened_on: True is given"]),
    "id empty": (_instead('id = "riverside"', 'id = ""'), ["venues[0].id: '' is given"]),
    "key unknown": (_instead(_ZONE, _ZONE + '\ncolour = "red"'), ["venues[1].colour: is not known here"]),
    "part unknown": (SITE + "\n[[visitors]]\nid = 1\n", ["visitors: is not known here"]),
    "identity": (_instead('"shared"', '"both"'), ["identity: 'both' is given; input should be 'shared' or 'linked'"]),
    "stream": (_instead(_ENTRANCE, 'stream = "entrance"'), ["devices[2].stream: 'entrance' is given; input should be 'boundary_counts'"]),
    "gateway": (_instead('"sim_riverside"', '"sim-riverside"'), ["devices[0].gateway_id: 'sim-riverside' is given; letters, digits"]),
    "position of one": (_instead("[52.5206, 13.4098]", "[52.5206]"), ["devices[0].position: [52.5206] is given"]),
    "share above 1": (_instead(_ENTRANCE, _ENTRANCE + '\ncounting = "passages"\nin_share = 50'), ["devices[2].in_share: 50 is given"]),
    "share no number": (_instead(_ENTRANCE, _ENTRANCE + '\ncounting = "passages"\nin_share = nan'), ["devices[2].in_share: nan is given"]),
    "share of directions": (_instead(_ENTRANCE, _ENTRANCE + "\nin_share = 0.5"), ["devices[2].in_share: 0.5 is given; it belongs to"]),
    "passages at the boundary": (_instead('"boundary_counts"', '"boundary_counts"\ncounting = "passages"'), ["devices[0].counting: 'passages' is given"]),
    "venue twice": (SITE.replace('"harbour"', '"riverside"').replace('"terminal"', '"t"', 1).replace('"till"', '"u"', 1).replace('"gateway"', '"v"', 1).replace("2026-01-12", "2026-01-19").replace('unit = "visit"', 'unit = "user"', 1), ["venues[1].id: 'riverside' is given twice"]),
    "device twice": (_instead('"boundary_south"', '"boundary_north"'), ["devices[1].id: 'riverside/boundary_north' is given twice"]),
    "venue unknown": (_instead('venue_id = "riverside"', 'venue_id = "nowhere"'), ["devices[0].venue_id: 'nowhere' is given; one of ['harbour', 'riverside']"]),
    "activities overlap": (SITE + '\n[[activities]]\nid = "x"\nname = "X"\nvenue_id = "riverside"\nfirst_date = 2026-01-18\nlast_date = 2026-01-19\n', ["activities[2]: overlaps activities[0] (winter_fair)"]),
    "activity ends first": (_instead("last_date = 2026-01-18", "last_date = 2026-01-08"), ["activities[0].last_date: 2026-01-08 is given; 2026-01-09 or later"]),
    "activity none": (_instead('"winter_fair"', '"none"'), ["activities[0].id: 'none' is given"]),
    "radius 0": (_instead("radius_m = 150", "radius_m = 0"), ["activities[0].radius_m: 0 is given"]),
    "no venues": ("venues = []", ["venues: [] is given"]),
    "venues no list": ("venues = 5", ["venues: 5 is given"]),
    "venue no table": ('venues = [1, "a"]', ["venues[0]: 1 is given", "venues[1]: 'a' is given"]),
    "empty": ("", ["venues: missing; it is required"]),
    "several at once": (
        SITE.replace(_ZONE, 'time_zone = "x"').replace('"EUR"', '"euro"').replace('"sim_riverside"', '"a b"', 1),
        ["venues[0].currency: 'euro' is given", "venues[1].time_zone: 'x' is given", "devices[0].gateway_id: 'a b' is given"],
    ),
    "several that contradict": (
        SITE.replace('"winter_fair"', '"none"').replace('venue_id = "riverside"', 'venue_id = "x"', 1).replace("last_date = 2026-01-25", "last_date = 2026-01-02"),
        ["devices[0].venue_id: 'x' is given", "activities[0].id: 'none' is given", "activities[1].last_date: 2026-01-02 is given"],
    ),
}  # fmt: skip

NO_TOML: dict[str, bytes] = {
    "no TOML": b"venues = many",
    "no UTF-8": b"\xff\xfe",
    "byte order mark": b"\xef\xbb\xbf" + SITE.encode(),
    "NUL": b'identity = "\0"',
    "key twice": b'identity = "shared"\nidentity = "shared"',
    "no date": b"x = 2026-13-45",
}


@pytest.mark.parametrize("name", MISTAKES)
def test_site_mistakes(tmp_path: Path, name: str) -> None:
    text, expected = MISTAKES[name]
    path = tmp_path / "site.toml"
    path.write_text(text)
    with pytest.raises(SiteError) as refused:
        load_site(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)
    assert len(refused.value.mistakes) == len(expected), refused.value.mistakes
    for found, beginning in zip(refused.value.mistakes, expected, strict=True):
        assert found.startswith(beginning)


@pytest.mark.parametrize("name", NO_TOML)
def test_site_that_is_no_toml(tmp_path: Path, name: str) -> None:
    path = tmp_path / "site.toml"
    path.write_bytes(NO_TOML[name])
    with pytest.raises(SiteError, match="not valid TOML") as refused:
        load_site(path)
    assert os.fspath(path) in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = " + "[" * 20_000, "nested too deeply"),
        ("x = " + "9" * 5000, "not valid TOML"),
        (_instead("opened_on = 2026-01-01", "opened_on = 0"), "venues[0].opened_on: 0 is given; a date such as"),
        (_instead("opened_on = 2026-01-01", "opened_on = 0001-01-01"), "venues[0].opened_on"),
        (_instead("[52.5206, 13.4098]", "[nan, inf]"), "devices[0].position[0]: nan is given"),
        (
            _instead(
                'stream = "entrance_counts"', 'stream = "entrance_counts"\ncounting = "passages"\nin_share = true'
            ),
            "in_share: True is given",
        ),
        (SITE.replace('"EUR"', '"eur"', 1).replace('"winter_fair"', '"none"'), "activities[0].id: 'none'"),
    ],
    ids=["deep", "5,000 digits", "date 0", "year 1", "position nan", "share true", "shape and contradiction"],
)
def test_site(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "site.toml").write_text(text)
    with pytest.raises(SiteError) as refused:
        load_site(tmp_path / "site.toml")
    assert words in str(refused.value)


def test_site_sentence_is_of_bearable_length(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(_instead('"Riverside Hall"', '["' + "x" * 100_000 + '"]'))
    with pytest.raises(SiteError) as refused:
        load_site(tmp_path / "site.toml")
    assert len(str(refused.value)) < 500
