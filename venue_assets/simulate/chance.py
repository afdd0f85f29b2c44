"""Where randomness comes from: one independent generator per purpose, so that nothing shifts anything else."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, *purpose: object) -> np.random.Generator:
    """The generator of one purpose, e.g. `generator(1, "riverside", day, "visits")`.

    Depends on nothing but its arguments: dates drawn alone or among others, clean or dirty, give the same numbers.
    """
    digest = hashlib.sha256("\x1f".join(map(str, purpose)).encode()).digest()
    key = tuple(int.from_bytes(digest[i : i + 4], "big") for i in range(0, 16, 4))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))
