"""Work that is finished although whoever waits for it is cancelled: what is half told would be told once more.

What does not belong here: what the work is.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TypeVar

_T = TypeVar("_T")


async def whole(work: asyncio.Future[_T]) -> _T:
    """The result of `work`. Where this is cancelled meanwhile, it is when `work` is done that CancelledError is raised,
    however often it is cancelled: a collector that is stopped cancels its parts, and once more when one of them fails.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # nobody is left to be told
        raise
