"""How long something at the venue is waited for, and where everybody waits when it does not come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PATIENCE = 20.0
"""Seconds of real time after which one thing that was waited for does not come any more."""


def everybody() -> Iterator[str]:
    """Every task, and the innermost line at which it waits."""
    for task in asyncio.all_tasks():
        waits: Any = task.get_coro()
        place = ""
        while (frame := getattr(waits, "cr_frame", None)) is not None:
            place += f" > {Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"
            waits = waits.cr_await
        yield f"{task.get_name()}{place} > {waits!r:.200}"
