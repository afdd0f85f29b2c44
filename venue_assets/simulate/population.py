"""Who exists: the pool of members whom all venues share, how often they come, how gladly they buy, and pseudonyms.

What people do on a given day is in `visits` and `orders`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from edge_collector.pseudonym import Pseudonymizer
from venue_assets.simulate.chance import generator
from venue_assets.simulate.venue_day import FloatArray, IntArray

MEMBERS_PER_DAILY_VISIT = 4
MOST_FREQUENT = 6.0
"""Nobody comes more often than so many times the average member, or the same few would fill the venue every day."""
AWAY_FROM_HOME = 0.08
"""How much less a member is drawn to a venue that is not the nearest one."""


class Population:
    """The same for every date of a seed. Visit frequency is gamma distributed, as in the NBD model of repeat buying."""

    def __init__(self, seed: int, visits: int, venue_ids: Sequence[str], *, linked: bool) -> None:
        rng = generator(seed, "population")
        size = max(200, MEMBERS_PER_DAILY_VISIT * visits)
        frequency = np.minimum(rng.gamma(0.6, 1 / 0.6, size), MOST_FREQUENT)
        self.eagerness: FloatArray = rng.gamma(2.0, 0.5, size)
        home = rng.integers(0, len(venue_ids), size)
        self._reach = {
            venue_id: np.cumsum(frequency * np.where(home == i, 1.0, AWAY_FROM_HOME))
            for i, venue_id in enumerate(venue_ids)
        }
        self._linked = linked
        self._pseudonym = Pseudonymizer(hashlib.sha256(f"simulated key {seed}".encode()).digest(), epoch="sim")

    def draw(self, rng: np.random.Generator, venue_id: str, n: int) -> IntArray:
        """`n` members who come to this venue, the frequent ones more often."""
        reach = self._reach[venue_id]
        drawn: IntArray = np.searchsorted(reach, rng.random(n) * reach[-1], side="right").clip(max=len(reach) - 1)
        return drawn

    def at_orders(self, members: IntArray) -> list[str]:
        """Pseudonyms of members as the back office knows them."""
        return [self._pseudonym(f"M{m:08d}") for m in members.tolist()]

    def at_terminals(self, members: IntArray) -> list[str]:
        """Pseudonyms of members as terminals know them: the same ones, unless the site's identity is linked."""
        if not self._linked:
            return self.at_orders(members)
        return [self._pseudonym(f"T{m:08d}") for m in members.tolist()]

    def strangers(self, venue_id: str, day: object, n: int) -> list[str]:
        """Pseudonyms that are seen on this day and never again."""
        return [self._pseudonym(f"S/{venue_id}/{day}/{i}") for i in range(n)]
