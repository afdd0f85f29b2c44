"""What somebody who mistyped a name may have meant: one answer for every command and page that takes names."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """` (did you mean X?)`, to follow a name that is not known; nothing where no known one is near. Case counts not."""
    names = {name.lower(): name for name in known}
    near = get_close_matches(given.lower(), names, n=1)
    return f" (did you mean {names[near[0]]}?)" if near else ""
