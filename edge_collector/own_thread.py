"""Work on files that may lie on a share, and a share may hang: in a thread of its own, which nobody has to wait for.

The threads of `asyncio.to_thread` are few, and a process waits for each of them before it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TypeVar

_T = TypeVar("_T")


async def in_own_thread(work: Callable[[], _T]) -> _T:
    """What `work` returns or raises. Whoever is cancelled leaves it alone with what it does."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def tell(result: _T | None, error: BaseException | None) -> None:
        if done.done():  # nobody waits any more
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, result, error)

    Thread(target=run, name="own thread", daemon=True).start()
    return await done
