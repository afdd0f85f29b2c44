"""Secret keys: from the environment, or from a file that only its owner can read. They go nowhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path


class KeyProblem(ValueError):
    """A key that is absent, malformed, or readable by others. The message says what to do."""


def load_secret(what: str, variable: str, key_file: Path, make: Callable[[], str] | None = None) -> str:
    """The text of the environment variable, else of `key_file` (mode 0600).

    `make` gives a new key, which is written to `key_file` where there is none. Raises KeyProblem, which names the key
    as `what`.
    """
    if text := os.environ.get(variable):
        return text
    if make and not key_file.exists():
        new = make()  # where this raises, no key is left behind
        key_file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(new + "\n")
    if not key_file.exists():
        raise KeyProblem(f"no {what}: set {variable} or write one into {key_file} with mode 0600")
    if os.name == "posix" and stat.S_IMODE(key_file.stat().st_mode) & 0o077:
        raise KeyProblem(f"{key_file} can be read by others; run: chmod 600 {key_file}")
    return key_file.read_text().strip()
