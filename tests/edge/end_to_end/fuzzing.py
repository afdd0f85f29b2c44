"""What holds of every answer to a request that nobody should send."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from random import Random

from tests.edge.end_to_end.requests import Answer, Asked, Endpoint, Fuzzed

_FINE = (200, 201, 304)


async def fuzz(fuzzed: Fuzzed, endpoint: Endpoint, chance: Random, count: int) -> None:
    """Ask so many times. Raises what escapes, and AssertionError for an answer that is none."""
    tally = fuzzed.collector.tally
    for asked in islice(endpoint.requests(chance), count):
        refused, captured = tally.refused.copy(), tally.captured.total()
        answer = await endpoint.ask(asked)
        assert 200 <= answer.status < 500, f"{asked} was answered {answer}"
        _expect_told(endpoint, asked, answer)
        _expect_counted(endpoint, asked, answer, tally.refused - refused, tally.captured.total() - captured)


def _expect_told(endpoint: Endpoint, asked: Asked, answer: Answer) -> None:
    """Whoever is refused is told why, in a sentence; where there is no such place at all, by the status."""
    own = answer.status not in (404, 405) or endpoint.name == "landing"
    if answer.status not in _FINE and answer.content and asked.method != "HEAD" and own:
        given = json.loads(answer.content)
        assert given.get("error") or given.get("problems"), f"{asked} was answered {answer}"


def _expect_counted(
    endpoint: Endpoint, asked: Asked, answer: Answer, refused: Counter[tuple[str, str]], captured: int
) -> None:
    """What was left out of a body is in the tally, and an answer that says how much agrees with it."""
    if endpoint.name != "http" or answer.status not in (200, 422):
        assert not captured or endpoint.name == "health"
        return
    if "/readings/" in asked.path:
        said = json.loads(answer.content)
        assert captured == said["written"]
        left_out = {reason: n for (_, reason), n in refused.items() if reason != "repeated"}
        assert left_out == {reason: n for reason, n in said["refused"].items() if n}
        assert refused["http", "repeated"] == said["repeated"]
