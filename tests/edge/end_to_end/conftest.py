"""Assertions of the venue are told in full, as those of tests are."""

import pytest

pytest.register_assert_rewrite("tests.edge.end_to_end.venue", "tests.edge.end_to_end.landed")
