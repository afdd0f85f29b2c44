"""Gateways whose disk stands still for a while, as a worn SD card does: who passed meanwhile is counted."""

from __future__ import annotations

import pytest

from tests.edge.end_to_end.scenario import at_a_venue
from tests.edge.end_to_end.venue import Venue


@pytest.mark.parametrize("crossings", [1, 3, 20])
@at_a_venue
async def test_people_walk_through_the_passage_meanwhile(venue: Venue, crossings: int) -> None:
    """Their triggers are heard in time and are taken late, some of them behind the close of an interval."""
    await venue.cross(inwards=True)
    with venue.gateway.disk_at_a_standstill():
        venue.walk("north", ins=1)
        await venue.clock.advance(5)  # that waits for the disk now, and all that is heard from here on behind it
        for n in range(crossings):
            venue.step_through(inwards=n % 3 == 0)
            await venue.clock.advance(60 / crossings)
    await venue.cross(inwards=False)


@at_a_venue
async def test_a_counter_is_reset_meanwhile_and_once_more_right_afterwards(venue: Venue) -> None:
    """What has been the only voice for a minute when it was heard is believed as soon as it is taken."""
    venue.walk("north", ins=9, outs=4)
    await venue.pass_time(150)
    with venue.gateway.disk_at_a_standstill():
        venue.walk("entrance", ins=1)
        await venue.clock.advance(5)
        venue.sensors["north"].reboot()
        venue.walk("north", ins=2)
        await venue.clock.advance(150)
    await venue.pass_time(2.5)
    venue.sensors["north"].reboot()
    venue.walk("north", ins=1)
