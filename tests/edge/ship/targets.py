"""A target with what lies behind it, and what tests ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_collector.ship import Target
from tests.landing.harness import Sealed, landed


@dataclass(frozen=True)
class World:
    """A target, and what lies behind it by place."""

    make: Callable[[], Target]
    objects: Callable[[], dict[str, bytes]]
    spoil: Callable[[str, bytes | None], None]
    """Put other content at a name, or take it away."""


def in_folder(landing: Path, make: Callable[[], Target]) -> World:
    def spoil(name: str, content: bytes | None) -> None:
        (landing / name).unlink() if content is None else (landing / name).write_bytes(content)

    return World(make, lambda: {str(p.relative_to(landing)): c for p, c in landed(landing).items()}, spoil)


def put(make: Callable[[], Target], *segments: Sealed) -> list[Any]:
    """What the target answers to each, a problem included."""

    async def ask() -> list[Any]:
        target = make()
        try:
            return await asyncio.gather(*map(target.put, segments), return_exceptions=True)
        finally:
            await target.close()

    return asyncio.run(ask())


def check(make: Callable[[], Target]) -> None:
    async def ask() -> None:
        target = make()
        try:
            await target.check()
        finally:
            await target.close()

    asyncio.run(ask())


def names(segment: Sealed) -> tuple[str, str]:
    return f"{segment.place}.jsonl.zst", f"{segment.place}.manifest.json"


def expected(*segments: Sealed) -> dict[str, bytes]:
    return {
        name: content
        for segment in segments
        for name, content in zip(names(segment), (segment.packed, segment.manifest), strict=True)
    }
