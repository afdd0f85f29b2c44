"""Allocations over the service: the newest or that of a date, for the gateways of the venue alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge_collector.site import load_site
from tests.landing.harness import Authority, serving
from venue_assets.home import Home
from venue_assets.landing.tokens import FILE, add_token


@pytest.fixture
def experiment(home: Home) -> tuple[str, str, str]:
    """An experiment of the shipped site, a gateway of its venue, and a gateway of another."""
    site = load_site(home.site_file)
    experiment = site.experiments[0]
    venue = site.venue_of(experiment).id
    own = next(d.gateway_id for d in site.devices if d.venue_id == venue)
    other = next(d.gateway_id for d in site.devices if d.venue_id != venue)
    folder = home.published / "allocations" / experiment.id
    folder.mkdir(parents=True)
    for day in ("2026-01-09", "2026-01-10", "2026-01-11"):
        (folder / f"{day}.json").write_text(f'{{"event_date":"{day}"}}')
    return experiment.id, own, other


def test_the_newest_or_the_one_of_a_date(home: Home, authority: Authority, experiment: tuple[str, str, str]) -> None:
    experiment_id, own, _ = experiment
    token = add_token(home.root / FILE, own)
    with serving(home, authority) as running, running.client(token) as client:
        newest = client.get(f"/allocations/{experiment_id}")
        assert (newest.status_code, newest.content) == (200, b'{"event_date":"2026-01-11"}')
        assert newest.headers["Content-Type"] == "application/json"
        that = client.get(f"/allocations/{experiment_id}", params={"event_date": "2026-01-09"})
        assert that.json() == {"event_date": "2026-01-09"}
        again = client.get(f"/allocations/{experiment_id}", headers={"If-None-Match": newest.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        (home.published / "allocations" / experiment_id / "2026-01-12.json").write_text("{}")
        newer = client.get(f"/allocations/{experiment_id}", headers={"If-None-Match": newest.headers["ETag"]})
        assert (newer.status_code, newer.content) == (200, b"{}")


def test_a_gateway_of_another_venue_learns_nothing(
    home: Home, authority: Authority, experiment: tuple[str, str, str]
) -> None:
    experiment_id, _, other = experiment
    stranger = add_token(home.root / FILE, "nobody")
    token = add_token(home.root / FILE, other)
    with serving(home, authority) as running:
        for wrong in (token, stranger):
            with running.client(wrong) as client:
                foreign = client.get(f"/allocations/{experiment_id}")
                unknown = client.get("/allocations/no.such.test")
        assert foreign.status_code == unknown.status_code == 404
        assert foreign.json()["error"].replace(experiment_id, "") == unknown.json()["error"].replace("no.such.test", "")


@pytest.mark.parametrize(
    ("day", "status"), [("2026-01-01", 404), ("yesterday", 422), ("../2026-01-09", 422), ("2026-01-09%00", 422)]
)
def test_a_date_without_file_and_what_is_no_date(
    home: Home, authority: Authority, experiment: tuple[str, str, str], day: str, status: int
) -> None:
    experiment_id, own, _ = experiment
    token = add_token(home.root / FILE, own)
    with serving(home, authority) as running, running.client(token) as client:
        answer = client.get(f"/allocations/{experiment_id}?event_date={day}")
        assert answer.status_code == status
        assert "expected" in answer.json()["error"]


def test_the_site_file_counts_as_it_is_now(
    home: Home, authority: Authority, experiment: tuple[str, str, str], tmp_path: Path
) -> None:
    experiment_id, own, _ = experiment
    token = add_token(home.root / FILE, own)
    shutil.copyfile(home.site_file, tmp_path / "kept.toml")
    with serving(home, authority) as running, running.client(token) as client:
        assert client.get(f"/allocations/{experiment_id}").status_code == 200
        home.site_file.write_text("venues = 3")
        assert client.get(f"/allocations/{experiment_id}").status_code == 503
        shutil.copyfile(tmp_path / "kept.toml", home.site_file)
        assert client.get(f"/allocations/{experiment_id}").status_code == 200
