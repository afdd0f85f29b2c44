"""The doctor of experiments: who assigns, by which allocations, signed by whom."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, time, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from edge_collector.event_time import event_date
from edge_collector.signing import public_key_text
from tests.edge.allocations import KEY, OTHER_KEY, put_signed
from tests.edge.collector.box import Box, device
from tests.edge.collector.desk import experiment
from tests.edge.collector.doctor.examined import EDGE, change, found, only

SCREEN = EDGE + device("screen", "gateway")


def today() -> date:
    return event_date(datetime.now(UTC), "Europe/Berlin", time(4))


@pytest.fixture
def bandit(box: Box) -> Box:
    """A gateway that assigns by a bandit which runs today, with the fixed shares."""
    return box.write(SCREEN, experiment("voucher", "bandit", "visit", "conversion", first=today() - timedelta(days=1)))


def allocating(box: Box, source: str = "published", key: str = "") -> Box:
    text = (box.root / "edge.toml").read_text()
    public_key = key or public_key_text(KEY)
    box.secret("edge.toml", f'{text}\n[allocations]\nsource = "{source}"\npublic_key = "{public_key}"\n')
    return box


def published(box: Box, day: date, **changes: Any) -> None:
    put_signed(box.root / "published", day, **changes)


def test_an_experiment_without_a_device_that_assigns(box: Box) -> None:
    box.write(EDGE, experiment("greeting", "randomised", "user", "conversion", first=today()))
    finding = only(box, "warning")
    assert finding.subject == "experiment greeting"
    assert finding.found == "nobody is assigned at riverside: a device of assignments is expected in edge.toml"
    assert finding.remedy == 'add it to edge.toml with source = "gateway"'
    box.write(SCREEN, experiment("greeting", "randomised", "user", "conversion", first=today()))
    assert found(box, "warning") == []


def test_an_experiment_that_has_ended_or_assigns_nobody_needs_none(box: Box) -> None:
    ended = experiment("greeting", "randomised", "user", "conversion", first=today() - timedelta(days=99))
    shelf = experiment(
        "shelf", "before_after", "venue_day", "gmv", f"changed_on = {today()}", today() - timedelta(days=1)
    )
    box.write(EDGE, ended + shelf)
    assert found(box, "warning") == []


def test_a_bandit_without_a_source_of_allocations(bandit: Box) -> None:
    assert only(bandit, "warning").found.endswith("the fixed shares hold for voucher")


def test_the_newest_allocation_is_looked_at(bandit: Box) -> None:
    allocating(bandit)
    assert "cannot be asked" in only(bandit).found  # no folder: a share that is not mounted
    (bandit.root / "published").mkdir()
    assert only(bandit, "warning").found == "published has none; the fixed shares hold"
    published(bandit, today() - timedelta(days=1))
    stale = f"stale: the newest is for {today() - timedelta(days=1)}, today is {today()}; the fixed shares hold"
    assert only(bandit, "warning").found == stale
    published(bandit, today())
    assert {f.level for f in found(bandit)} == {"ok"}
    assert found(bandit)[-1].found == f"a1, for {today()}"
    shares = {leaf: {"none": 0.25, "coffee": 0.75} for leaf in ("3", "4", "6", "7")}
    published(bandit, today(), arms=["none", "coffee"], shares=shares)
    assert only(bandit, "warning").found == "it is for the arms none, coffee; none, tea are expected"


def test_an_allocation_of_another_key(bandit: Box) -> None:
    published(bandit, today())
    finding = only(allocating(bandit, key=public_key_text(OTHER_KEY)))
    assert (finding.subject, "signature" in finding.found) == ("allocation voucher", True)
    assert "public-key.pem" in finding.remedy


def test_a_service_of_allocations_that_does_not_answer_or_does_not_know_the_token(bandit: Box) -> None:
    change(bandit, 'target = "landing"', 'target = "landing"\ntoken_file = "token"')
    bandit.secret("token", "wrong")
    allocating(bandit, "http://127.0.0.1:9")
    finding = only(bandit)
    assert finding.found.startswith("http://127.0.0.1:9 cannot be asked: ")
    assert "until then what was fetched holds" in finding.remedy

    class Nobody(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/allocations/voucher"
            self.send_error(401)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Nobody) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        change(bandit, "127.0.0.1:9", f"127.0.0.1:{service.server_port}")
        finding = only(bandit)
        service.shutdown()
    assert "does not take the token" in finding.found
    assert finding.remedy == "venue landing token add gw prints a new one"
