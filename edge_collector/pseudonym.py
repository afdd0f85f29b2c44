"""Pseudonyms: how a member number becomes `<key_epoch>:<32 hex>` before anything is written.

The key comes from the environment or from a file that only its owner can read, and goes nowhere else.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from edge_collector.key_file import KeyProblem, load_secret

KEY_VARIABLE = "VENUE_PSEUDONYM_KEY"
_EPOCH = re.compile(r"[A-Za-z0-9_.]+")

__all__ = ["KEY_VARIABLE", "KeyProblem", "Pseudonymizer", "load_pseudonymizer"]


@dataclass(frozen=True)
class Pseudonymizer:
    """HMAC-SHA256 under one key. `epoch` names the key, so that pseudonyms of two keys are never taken for one."""

    key: bytes = field(repr=False)
    epoch: str = "k1"

    def __post_init__(self) -> None:
        if len(self.key) < 16:
            raise KeyProblem(f"the pseudonym key has {len(self.key)} bytes; at least 16 are expected")
        if not _EPOCH.fullmatch(self.epoch):
            raise KeyProblem(f"key epoch {self.epoch!r} is given; letters, digits, '_' and '.' are expected")

    def __call__(self, member_number: str) -> str:
        digest = hmac.digest(self.key, member_number.encode(), "sha256").hex()
        return f"{self.epoch}:{digest[:32]}"


def load_pseudonymizer(key_file: Path, *, epoch: str = "k1", create: bool = False) -> Pseudonymizer:
    """The key of the environment variable VENUE_PSEUDONYM_KEY, else of `key_file` (mode 0600).

    With `create`, a random key is written to `key_file` where there is none. Raises KeyProblem.
    """

    def new() -> str:
        return Pseudonymizer(secrets.token_hex(32).encode(), epoch).key.decode()  # a wrong epoch leaves no key behind

    return Pseudonymizer(load_secret("pseudonym key", KEY_VARIABLE, key_file, new if create else None).encode(), epoch)
