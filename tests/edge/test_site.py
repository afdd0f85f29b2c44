"""site.toml: all mistakes at once, each with its path, what was given and what is expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_collector.site import SiteError, load_site
from tests import hall
from tests.conftest import REPOSITORY

GOOD = hall.VENUE + hall.device("door", "entrance_counts", "g1") + hall.FAIR


def mistakes(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "site.toml"
    path.write_text(text)
    with pytest.raises(SiteError) as error:
        load_site(path)
    return list(error.value.mistakes)


def test_the_shipped_site_has_two_venues_in_two_time_zones_with_everything() -> None:
    site = load_site(REPOSITORY / "data" / "site.toml")
    assert len({venue.time_zone for venue in site.venues}) == 2
    assert len(site.activities) == 2
    for venue in site.venues:
        streams = [device.stream for device in site.devices if device.venue_id == venue.id]
        assert {"boundary_counts", "entrance_counts", "face_visits", "orders"} <= set(streams)
        assert streams.count("boundary_counts") == 2
    assert all(device.position for device in site.devices)


def test_defaults(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(GOOD)
    site = load_site(tmp_path / "site.toml")
    assert (site.identity, f"{site.venues[0].day_starts_at:%H:%M}", site.devices[0].counting) == (
        "shared",
        "04:00",
        "directional",
    )


@pytest.mark.parametrize(
    ("good", "bad", "says"),
    [
        ("Europe/Berlin", "Europe/Berlim", "venues[0].time_zone: 'Europe/Berlim' is given; an IANA time zone"),
        ('"EUR"', '"euro"', "venues[0].currency: 'euro' is given; an ISO 4217 code"),
        ("opened_on = 2026-01-01", "", "venues[0].opened_on: missing"),
        ('stream = "entrance_counts"', 'stream = "door"', "devices[0].stream: 'door' is given"),
        ('gateway_id = "g1"', 'gateway_id = "g 1"', "devices[0].gateway_id: 'g 1' is given; letters, digits"),
        (
            'venue_id = "hall"\ngateway',
            'venue_id = "hal"\ngateway',
            "devices[0].venue_id: 'hal' is given; one of ['hall']",
        ),
        ("last_date = 2026-01-20", "last_date = 2026-01-01", "activities[0].last_date: 2026-01-01 is given"),
        ("[[venues]]", "[[venus]]", "venus: is not known here"),
        ('id = "door"', 'id = "door"\nin_share = 0.5', "devices[0].in_share: 0.5 is given"),
        (
            'id = "hall"\nname',
            'id = "hall"\nday_starts_at = "4"\nname',
            "venues[0].day_starts_at: '4' is given; a time of day",
        ),
        ("[[venues]]", "[[venues", "not valid TOML"),
    ],
)
def test_each_mistake_is_said(tmp_path: Path, good: str, bad: str, says: str) -> None:
    assert good in GOOD
    assert any(m.startswith(says) for m in mistakes(tmp_path, GOOD.replace(good, bad, 1))), says


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    found = mistakes(tmp_path, GOOD.replace("Europe/Berlin", "Nowhere").replace('"EUR"', '"E"').replace('"g1"', '""'))
    assert [m.partition(":")[0] for m in found] == [
        "venues[0].time_zone",
        "venues[0].currency",
        "devices[0].gateway_id",
    ]


def test_activities_of_a_venue_do_not_overlap_and_ids_are_unique(tmp_path: Path) -> None:
    again = GOOD[GOOD.index("[[activities]]") :]
    found = mistakes(tmp_path, GOOD + again)
    assert any("activities[1].id: 'fair' is given twice" in m for m in found)
    assert any("activities[1]: overlaps activities[0]" in m for m in found)
