"""Why codecs leave something out: every reason there is, and what it means.

A reason is the label of a metric, so there are few, and none is made from what was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

from edge_collector.readings import Dropped

Reason = Literal[
    "too_short",
    "truncated",
    "too_long",
    "broken",
    "wrong_version",
    "no_key",
    "wrong_key",
    "downgraded",
    "wrong_address",
    "no_clock",
    "out_of_range",
    "unknown_object",
    "unknown_type",
    "gap",
    "lost",
    "rolled_back",
    "duplicate",
    "bad_checksum",
    "bad_time",
    "bad_entry",
    "no_direction",
    "unrecognised",
    "not_recorded",
    "biometric",
]

REASONS: Final[Mapping[Reason, str]] = {
    "too_short": "fewer bytes than the shortest frame has",
    "truncated": "ends in the middle of a field",
    "too_long": "longer than anything a device has to say",
    "broken": "not of the format at all",
    "wrong_version": "a version of the format that this gateway does not read",
    "no_key": "encrypted, and the device has no key in edge.toml",
    "wrong_key": "encrypted with another key, or altered on the way",
    "downgraded": "not encrypted, from a device that has a key",
    "wrong_address": "speaks for a device with another address",
    "no_clock": "a trigger without the device's time: directions cannot be told from it",
    "out_of_range": "a total below zero",
    "unknown_object": "an object of unknown length, which ends what can be read of a frame",
    "unknown_type": "a record of a type that this gateway does not know",
    "gap": "came before the records that precede it, which are asked for again",
    "lost": "overwritten by the device before this gateway could fetch it",
    "rolled_back": "no record, but a log that went back to an earlier state: what it holds is read again and compared",
    "duplicate": "had been received already",
    "bad_checksum": "altered on the way, or in the device",
    "bad_time": "no time, or none between 1900 and 9000",
    "bad_entry": "an entry whose fields are missing or of another form",
    "no_direction": "neither a coming nor a going",
    "unrecognised": "nobody was recognised",
    "not_recorded": "of a kind that is not recorded",
    "biometric": "an image, template or embedding: left out unread",
}
assert set(REASONS) == set(get_args(Reason))

MAX_DETAIL: Final = 200
"""Characters."""


def refuse(device: str, reason: Reason, detail: str = "", count: int = 1) -> Dropped:
    """What was left out of what `device` sent. `detail` must not show content: no numbers of members, no secrets."""
    return Dropped(device=device, reason=reason, detail=detail[:MAX_DETAIL], count=count)
