"""One private authority, and one service with two gateways, for all tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.landing.harness import Authority, Serving, serving
from venue_assets.home import Home
from venue_assets.landing.tokens import FILE, add_token


@dataclass(frozen=True)
class Site:
    """A service with two gateways, and their tokens."""

    serving: Serving
    token: str
    other_token: str

    @property
    def landing(self) -> Path:
        return self.serving.home.landing


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def site(home: Home, authority: Authority) -> Iterator[Site]:
    token, other = (add_token(home.root / FILE, gateway) for gateway in ("gw_1", "gw_2"))
    with serving(home, authority) as running:
        yield Site(running, token, other)
