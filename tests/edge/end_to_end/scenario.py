"""A test of the venue from its opening to its closing.

Whatever happens in it, at its end what has landed is held against what people did: `at_a_venue` sees to it.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_collector.testing.radio import virtual_radio
from tests.edge.end_to_end.venue import Venue
from tests.edge.end_to_end.waiting import everybody

_PATIENCE = 240.0
"""Seconds after which a scenario has come to a stand: it then says where everybody waits."""

Scenario = Callable[..., Awaitable[None]]


def at_a_venue(test: Scenario) -> Callable[..., None]:
    """Make a test of a coroutine that wants an open venue; it ends with what landed being held against the truth."""
    further: Sequence[inspect.Parameter] = list(inspect.signature(test).parameters.values())[1:]

    async def scenario(root: Path, given: dict[str, Any]) -> Venue:
        with virtual_radio() as radio:
            venue = Venue(root, radio)
            try:
                async with asyncio.timeout(_PATIENCE):
                    await venue.open()
                    await test(venue, **given)
                    await venue.close()
            except TimeoutError as error:
                raise AssertionError(f"it came to a stand; waiting: {'; '.join(everybody())}") from error
            finally:
                await venue.abandon()
        return venue

    def run(tmp_path: Path, caplog: pytest.LogCaptureFixture, **given: Any) -> None:
        caplog.set_level(logging.DEBUG, "edge_collector")
        if "tmp_path" in {p.name for p in further}:
            given["tmp_path"] = tmp_path
        (root := tmp_path / "venue").mkdir()
        venue = asyncio.run(scenario(root, given))
        venue.expect_exact(caplog.text)

    own = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in ("tmp_path", "caplog")]
    run.__signature__ = inspect.Signature([*own, *(p for p in further if p.name != "tmp_path")])  # type: ignore[attr-defined]
    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
