"""Assertions of the venue are told in full, as those of tests are."""

import pytest

pytest.register_assert_rewrite(*(f"tests.edge.end_to_end.{room}" for room in ("venue", "machine", "landed")))
