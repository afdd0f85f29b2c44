"""The site that the simulator plays."""

from __future__ import annotations

import pytest

from edge_collector.site import Site, load_site
from tests.simulate.trying import SITE


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site(SITE)
