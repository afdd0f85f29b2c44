"""A few thousand bad requests; `tests/benchmarks/fuzz_endpoints.py` makes as many as one likes."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from random import Random

import pytest

from tests.edge.end_to_end.fuzzing import fuzz
from tests.edge.end_to_end.requests import Fuzzed


@pytest.mark.parametrize("name", ["http", "health", "landing"])
def test_every_request_has_an_answer_and_every_refusal_is_told(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="venue_assets.landing")  # of thousands of refusals

    async def ask() -> None:
        fuzzed = Fuzzed(tmp_path)
        try:
            async with fuzzed.service.router.lifespan_context(fuzzed.service):
                (endpoint,) = (each for each in fuzzed.endpoints() if each.name == name)
                for good in endpoint.good:
                    given = good.with_length() if name == "landing" and good.body else good
                    answer = await endpoint.ask(given)
                    # Well formed all of them, though an entrance sensor may not sell.
                    wrong_device = answer.status == 422 and b"wrong_stream" in answer.content
                    assert answer.status in (200, 201, 404) or wrong_device, good
                await fuzz(fuzzed, endpoint, Random(5), 1200)
                assert len(endpoint.statuses) > 3
        finally:
            fuzzed.close()

    asyncio.run(ask())
