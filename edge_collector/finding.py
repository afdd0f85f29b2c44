"""What a doctor finds, of a gateway or of the venue system: one thing that was looked at, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `remedy` says what to do where it is not well."""

    level: Level
    subject: str
    found: str
    remedy: str = ""
