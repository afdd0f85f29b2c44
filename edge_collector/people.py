"""People at a gateway: from here on a member is a pseudonym, or nobody.

What does not belong here: how a pseudonym is made (`pseudonym`).
"""

from __future__ import annotations

import hmac
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge_collector.fingerprint import Fingerprint, fingerprint
from edge_collector.gateway import Gateway
from edge_collector.key_file import KeyProblem
from edge_collector.pseudonym import Pseudonymizer, load_pseudonymizer

_LONGEST_NUMBER: Final = 128
"""Characters."""
_SEPARATORS: Final = ' ,;"'
"""What stands in a line that is more than a member number."""
_NOBODY: Final = "# nobody"
"""The only line of a list on which nobody is: an empty file may as well be what is left of one."""


@dataclass
class People:
    """Pseudonyms of members, without those who opted out: of them not even a pseudonym is made to leave the gateway."""

    pseudonym_of: Pseudonymizer
    opted_out: frozenset[str] = frozenset()
    """Their pseudonyms; the file's member numbers are not kept in memory. Replaced as a whole, from any thread."""
    opted_out_file: Path | None = None
    _read: Fingerprint | None = field(default=None, repr=False)
    _seen: Fingerprint | None = field(default=None, repr=False)

    def look_again(self) -> bool:
        """Read the list anew where it has changed and then stayed as it was since the last look; whether that was so.

        A list that cannot be used changes nothing: rather nobody is named who should not be. Raises KeyProblem then,
        and at every look until a better one lies there.
        """
        if self.opted_out_file is None:
            return False
        found = _fingerprint(self.opted_out_file)
        settled, self._seen = found == self._seen, found
        if found is not None and (found == self._read or not settled):
            return False
        opted_out = _opted_out(self.opted_out_file, self.pseudonym_of)
        if _fingerprint(self.opted_out_file) != found:
            return False  # it is being written; the next look sees the whole
        self.opted_out, self._read = opted_out, found
        return True

    def delivery_key(self, name: str) -> str:
        """What a delivery is remembered by. Keyed, because a hash of a member and a time could be found by trying."""
        return hmac.digest(self.pseudonym_of.key, f"delivery/{name}".encode(), "sha256").hex()[:32]

    def user_id(self, member_number: str | None) -> str | None:
        """The pseudonym; None of somebody who is not known, or opted out."""
        if not member_number:
            return None
        user_id = self.pseudonym_of(member_number)
        return None if user_id in self.opted_out else user_id


def load_people(gateway: Gateway) -> People:
    """The key and the list that an edge file names. Raises KeyProblem for what is absent or can be read by others."""
    settings = gateway.settings.pseudonyms
    key_file = gateway.file(settings.key_file)
    try:
        pseudonym_of = load_pseudonymizer(key_file, epoch=settings.epoch)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise KeyProblem(f"{key_file} cannot be read ({why}); a text file of mode 0600 is expected") from None
    if settings.opted_out_file is None:
        return People(pseudonym_of)
    path = gateway.file(settings.opted_out_file)
    found = _fingerprint(path)
    return People(pseudonym_of, _opted_out(path, pseudonym_of), path, found, found)


def _opted_out(path: Path, pseudonym_of: Pseudonymizer) -> frozenset[str]:
    """Raises KeyProblem for a list of which it is not sure whom it means; of its content nothing is told."""
    text = private_text(path)
    lines = [line.strip() for line in text.split("\n")]
    numbers = [line for line in lines if line]
    if not numbers:
        raise KeyProblem(f"{path} is empty; where nobody has opted out, one line is expected: {_NOBODY}")
    for n, line in enumerate(lines, start=1):
        if numbers != [_NOBODY] and not _is_number(line):  # what a power cut leaves are zeros
            raise KeyProblem(f"{path}, line {n}: one member number on each line is expected, and nothing else")
    if not text.endswith("\n"):
        raise KeyProblem(f"{path} ends within a line, as if it were cut off; a line break at its end is expected")
    return frozenset(pseudonym_of(number) for number in numbers if number != _NOBODY)


def _is_number(line: str) -> bool:
    """Whether nothing but a member number stands there, or nothing at all."""
    return len(line) <= _LONGEST_NUMBER and line.isprintable() and not any(mark in line for mark in _SEPARATORS)


def _fingerprint(path: Path) -> Fingerprint | None:
    """None where there is no such file."""
    try:
        return fingerprint(path.stat())
    except OSError:
        return None


def private_text(path: Path) -> str:
    """The content of a file that only its owner can read. Raises KeyProblem."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise KeyProblem(f"{path} cannot be read ({why}); a text file of mode 0600 is expected") from None
    if os.name == "posix" and mode & 0o077:
        raise KeyProblem(f"{path} can be read by others; run: chmod 600 {path}")
    return text
