"""A few hundred bad inputs for each codec; `tests/benchmarks/fuzz_codecs.py` does as many as one likes."""

from __future__ import annotations

import random
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_collector.codecs.refusals import MAX_DETAIL, REASONS
from edge_collector.readings import AnyReading, Dropped
from tests.edge.codecs.fuzzing import CODECS, inputs


def check(readings: list[AnyReading]) -> None:
    """Something came of it, and what was left out says why."""
    assert readings
    for reading in readings:
        if isinstance(reading, Dropped):
            assert reading.reason in REASONS
            assert reading.count >= 1
            assert len(reading.detail) <= MAX_DETAIL


@pytest.mark.parametrize("name", CODECS)
def test_no_exception_escapes_and_every_refusal_has_a_reason(name: str) -> None:
    decode, samples = CODECS[name]
    for given_bytes in islice(inputs(random.Random(2), samples), 400):
        readings = decode(given_bytes)
        if name != "plain" or readings:  # a plain body may hold four empty lists
            check(readings)


@pytest.mark.parametrize("name", CODECS)
@given(given_bytes=st.binary(max_size=300))
def test_random_bytes(name: str, given_bytes: bytes) -> None:
    check(CODECS[name][0](given_bytes))
