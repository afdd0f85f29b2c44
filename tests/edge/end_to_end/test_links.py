"""Terminals and tills whose link, power or memory fails: every visit and every order line lands once."""

from __future__ import annotations

from collections import Counter

import pytest

from edge_collector.pseudonym import Pseudonymizer
from tests.edge.end_to_end.installation import ADDRESS, PSEUDONYM_KEY
from tests.edge.end_to_end.scenario import at_a_venue
from tests.edge.end_to_end.venue import Venue

LONG = "0123456789" * 12
"""A record with it has several fragments."""


@pytest.mark.parametrize("after", [0, 1, 2, 3, 5])
@at_a_venue
async def test_a_link_that_is_lost_in_mid_record(venue: Venue, after: int) -> None:
    for n in range(12):
        venue.sell(f"{n}-{LONG}", "1.00", f"MBR{n:06d}", category_id=LONG)
        venue.recognise(f"MBR{n:06d}", "enter")
        if n % 3 == 0:
            venue.radio.break_link(ADDRESS["till"], after=after)
            venue.radio.break_link(ADDRESS["terminal"], after=after)
        await venue.pass_time(20)
    assert venue.till.connections > 1


@at_a_venue
async def test_a_terminal_and_a_till_that_are_switched_off_for_a_while(venue: Venue) -> None:
    venue.recognise("MBR000001", "enter")
    await venue.pass_time(5)
    venue.terminal.switch_off()
    venue.till.switch_off()
    venue.recognise("MBR000001", "leave")
    venue.sell("A1", "2.00")
    await venue.pass_time(200)
    await venue.till.switch_on()
    await venue.terminal.switch_on()
    venue.sell("A2", "2.00")


@at_a_venue
async def test_a_terminal_whose_log_begins_anew(venue: Venue) -> None:
    venue.recognise("MBR000001", "enter")
    await venue.until(lambda: not venue.terminal.kept, passing=1.0)
    venue.terminal.switch_off()
    venue.terminal.reset()
    venue.recognise("MBR000001", "leave")
    await venue.terminal.switch_on()


@at_a_venue
async def test_a_terminal_whose_log_goes_back(venue: Venue) -> None:
    """A power cut undoes the last writes of its memory, which had arrived; their numbers are given once more."""
    for n in range(6):
        venue.recognise(f"MBR{n:06d}", "enter")
    await venue.until(lambda: not venue.terminal.kept, passing=1.0)
    venue.terminal.switch_off()
    venue.terminal.oldest = venue.terminal.following = 2
    venue.recognise("MBR000010", "enter")
    venue.recognise("MBR000011", "enter")
    await venue.terminal.switch_on()
    await venue.until(lambda: not venue.terminal.kept, passing=1.0)
    venue.recognise("MBR000012", "enter")
    await venue.close()
    assert venue.landed().refused()["rolled_back"] == 1


@at_a_venue
async def test_that_a_log_went_back_is_not_forgotten_by_a_kill(venue: Venue) -> None:
    """Killed when it has heard of it and of no record since; then the terminal gives just as many numbers again."""
    for n in range(6):
        venue.recognise(f"MBR{n:06d}", "enter")
    await venue.until(lambda: not venue.terminal.kept, passing=1.0)
    venue.terminal.switch_off()
    venue.terminal.oldest = venue.terminal.following = 2
    await venue.terminal.switch_on()
    tally = venue.gateway.collector.tally
    await venue.until(lambda: tally.refused["records", "rolled_back"], passing=1.0)
    await venue.gateway.kill()
    for n in range(10, 14):
        venue.recognise(f"MBR{n:06d}", "enter")
    await venue.gateway.start()
    await venue.until(lambda: not venue.terminal.kept, passing=1.0)
    await venue.close()
    pseudonym_of = Pseudonymizer(PSEUDONYM_KEY.encode())
    landed = Counter(visit.user_id for visit in venue.landed().of("face_visits"))
    assert landed == Counter(pseudonym_of(f"MBR{n:06d}") for n in (*range(6), *range(10, 14)))


@at_a_venue
async def test_a_collector_that_is_killed_does_not_ask_for_what_it_has(venue: Venue) -> None:
    for n in range(10):
        venue.recognise(f"MBR{n:06d}", "enter")
    await venue.until(lambda: venue.terminal.kept < 10)
    await venue.gateway.kill()
    venue.recognise("MBR000020", "enter")
    await venue.gateway.start()
