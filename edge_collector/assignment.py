"""Which arm of an experiment a unit is given: by hash, so that everybody who knows the shares comes to the same arm.

What does not belong here: where the shares come from (fixed ones, or those of an allocation), and when a unit is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import Final

_BITS: Final = 53
"""As many as a double holds exactly."""
_DECIMALS: Final = 15
"""As many as the record contract's pattern of a fraction takes."""


def arm_of(
    experiment_id: str, unit_id: str, seed: int, arms: Sequence[str], shares: Sequence[float]
) -> tuple[str, float]:
    """The arm of a unit and the propensity, which is the share (a fraction, to 15 decimals) of that arm.

    The hash is SHA-256 over the UTF-8 bytes of `<seed>/<experiment_id>/<unit_id>`, the seed in decimal digits without
    leading zeros. Neither it nor an experiment's id holds a slash, so no two units have the same bytes. The first 53
    bits of the digest, most significant first, over 2^53 are a fraction in [0, 1): a double, without rounding. The arm
    is the first one whose cumulated share, added up as doubles in the order of the arms, is more than that; where the
    shares add up to a little less than 1, the last arm with a share takes the rest. An arm without a share gets nobody.

    Of a venue_day the unit_id is the venue, the same every day: ask for `unit_of_day` instead, or nothing ever changes.

    Raises ValueError where there is not one share per arm, or no share at all.
    """
    if len(arms) != len(shares) or not max(shares, default=0) > 0:
        raise ValueError(
            f"shares: {list(shares)} are given; one per arm of {list(arms)}, at least one > 0, is expected"
        )
    digest = hashlib.sha256(f"{seed}/{experiment_id}/{unit_id}".encode()).digest()
    fraction = (int.from_bytes(digest[:8], "big") >> (64 - _BITS)) / 2**_BITS
    chosen, upto = 0, 0.0
    for number, share in enumerate(shares):
        chosen = number if share > 0 else chosen
        upto += share
        if fraction < upto:
            break
    return arms[chosen], round(shares[chosen], _DECIMALS)


def unit_of_day(venue_id: str, event_date: date) -> str:
    """What stands for the unit_id of a venue_day in the hash of `arm_of`: `<venue_id>/<YYYY-MM-DD>`."""
    return f"{venue_id}/{event_date.isoformat()}"
