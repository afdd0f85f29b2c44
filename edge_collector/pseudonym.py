"""Pseudonyms: how a member number becomes `<key_epoch>:<32 hex>` before anything is written.

The key comes from the environment or from a file that only its owner can read, and goes nowhere else.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

KEY_VARIABLE = "VENUE_PSEUDONYM_KEY"
_EPOCH = re.compile(r"[A-Za-z0-9_.]+")


class KeyProblem(ValueError):
    """The key is absent, too short, or readable by others. The message says what to do."""


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
    if text := os.environ.get(KEY_VARIABLE):
        return Pseudonymizer(text.encode(), epoch)
    if create and not key_file.exists():
        new = Pseudonymizer(secrets.token_hex(32).encode(), epoch)  # a wrong epoch leaves no key behind
        key_file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(new.key.decode() + "\n")
    if not key_file.exists():
        raise KeyProblem(f"no pseudonym key: set {KEY_VARIABLE} or write one into {key_file} with mode 0600")
    if os.name == "posix" and stat.S_IMODE(key_file.stat().st_mode) & 0o077:
        raise KeyProblem(f"{key_file} can be read by others; run: chmod 600 {key_file}")
    return Pseudonymizer(key_file.read_text().strip().encode(), epoch)
