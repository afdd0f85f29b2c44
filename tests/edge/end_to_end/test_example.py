"""The example of `edge_collector.testing` is a test that passes, as it stands there."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import edge_collector.testing


def test_the_example_runs() -> None:
    text = str(edge_collector.testing.__doc__)
    code = text[text.index("    import asyncio") : text.index("The radio and what is on it")]
    names: dict[str, Any] = {}
    exec(dedent(code), names)
    names["test_a_visitor_is_heard"]()
