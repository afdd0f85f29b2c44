"""People at a gateway: from here on a member is a pseudonym, or nobody.

What does not belong here: how a pseudonym is made (`pseudonym`).
"""

from __future__ import annotations

import hmac
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from edge_collector.gateway import Gateway
from edge_collector.key_file import KeyProblem
from edge_collector.pseudonym import Pseudonymizer, load_pseudonymizer


@dataclass(frozen=True)
class People:
    """Pseudonyms of members, without those who opted out: of them not even a pseudonym is made to leave the gateway."""

    pseudonym_of: Pseudonymizer
    opted_out: frozenset[str] = frozenset()
    """Their pseudonyms; the file's member numbers are not kept in memory."""

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
    numbers = private_text(gateway.file(settings.opted_out_file)).split("\n")
    return People(pseudonym_of, frozenset(pseudonym_of(number.strip()) for number in numbers if number.strip()))


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
