"""Ordinary days: what people did at the venue is what lands, and what the venue's tables say of it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

from edge_collector.testing.devices import PairSensor
from tests.conftest import compute, rows, upstream
from tests.edge.end_to_end.installation import ADDRESS, OPTED_OUT
from tests.edge.end_to_end.scenario import at_a_venue
from tests.edge.end_to_end.venue import Venue
from venue_assets.home import Home

BEFORE, AFTER = date(2026, 2, 2), date(2026, 2, 3)
"""The event dates of the hour before 04:00 at the venue, and of what comes after it."""


@at_a_venue
async def test_the_tables_of_an_hour_say_what_people_did(venue: Venue, tmp_path: Path) -> None:
    """Seventy minutes across the start of the day: people pass, walk in, are recognised, buy, and walk out."""
    began = venue.clock.now()
    for n in range(35):
        member = f"MBR{n % 20:06d}"
        venue.walk("north", ins=3, outs=1)
        venue.walk("south", ins=2)
        await venue.cross(inwards=n % 3 != 0)
        venue.walk("entrance", ins=2)
        venue.recognise(member, "enter")
        await venue.pass_time(50)
        if n % 4 == 0:
            venue.sell(f"A{n}", "12.50", member, 1)
            venue.sell(f"A{n}", "0.75", member, 2)
        if n % 7 == 0:
            venue.sell(f"B{n}", "3.00")
        await venue.pass_time(40)
        venue.recognise(member, "leave")
        venue.walk("entrance", outs=2)
        await venue.pass_time(25)
    await venue.close()
    assert (venue.clock.now() - began).total_seconds() > 70 * 60

    home = Home(venue.root)
    computed = compute(home, BEFORE, AFTER, tables=upstream("primary_metrics", "gateway_events"))
    checks = {(c.table.name, str(c.day), check.name): check for c in computed for check in c.checks}
    # The gateway stopped ten minutes into the second day, and that is all there is to complain of.
    assert {key for key, check in checks.items() if not check.passed} == {
        ("gateway_events", str(AFTER), "gateways_speak")
    }
    assert checks["gateway_events", str(AFTER), "gateways_speak"].figures["silences"] == 1
    assert sum(len(rows(home, "quarantine", day)) for day in (BEFORE, AFTER)) == 0

    metrics = [rows(home, "primary_metrics", day)[0] for day in (BEFORE, AFTER)]
    crossed = venue.truth.crossed
    passed_by = sum(crossed[name, "in"] for name in ("north", "south", "passage"))
    assert sum(m["pf_range"] for m in metrics) == passed_by  # type: ignore[misc]
    assert sum(m["pf_entrance"] for m in metrics) == crossed["entrance", "in"]  # type: ignore[misc]

    sessions = [s for day in (BEFORE, AFTER) for s in rows(home, "sessions", day)]
    assert {s["state"] for s in sessions} == {"complete"}
    assert len(sessions) == sum(m["pv"] for m in metrics) == 35  # type: ignore[misc]
    assert len({s["user_id"] for s in sessions}) == 20
    assert {s["dwell_seconds"] for s in sessions} == {90.0}
    assert sum(m["gmv"] for m in metrics) == sum(line[3] for line in venue.truth.lines)  # type: ignore[misc]
    assert sum(m["gmv_anonymous"] for m in metrics) == Decimal("3.00") * 5  # type: ignore[misc]
    assert sum(m["completed_orders"] for m in metrics) == 9 + 5  # type: ignore[misc]


@at_a_venue
async def test_counters_that_encrypt_and_counters_that_do_not(venue: Venue) -> None:
    for name in venue.sensors:
        venue.walk(name, ins=4, outs=1)
        await venue.pass_time(20)
        venue.walk(name, ins=1, outs=3)
    await venue.pass_time(70)
    venue.walk("north", ins=10)


@at_a_venue
async def test_adverts_that_get_lost_lose_nobody(venue: Venue) -> None:
    venue.radio.loss = 0.4
    for _ in range(40):
        venue.walk("entrance", ins=1)
        venue.walk("north", outs=2)
        await venue.pass_time(13)


@at_a_venue
async def test_motion_says_that_a_sensor_lives_and_counts_nobody(venue: Venue) -> None:
    for moving in (True, False, True):
        venue.porch.move(moving)
        await venue.pass_time(120)
    await venue.close()
    landing = venue.landed()
    assert not [r for r in landing.of("entrance_counts") if r.device_id == "porch"]
    beats = [event for event in landing.events("heartbeat") if event.subject == "porch"]
    assert beats
    assert {event.detail for event in beats[1:]} == {"battery 9 %"}


@at_a_venue
async def test_triggers_of_two_sensors_are_paired_here(venue: Venue) -> None:
    """Who crosses is counted with a direction, who turns round is unpaired, and a repeated advert is nobody."""
    for n in range(20):
        await venue.cross(inwards=n % 4 != 0, repeats=1 + n % 5)
        if n % 6 == 0:
            await venue.turn_round()
    assert venue.truth.crossed["passage", "in"] == 15
    assert venue.truth.turned_round == 4


@at_a_venue
async def test_terminal_till_and_desk(venue: Venue) -> None:
    venue.link("MBR000001", "MBR000100")
    for n in range(50):
        venue.recognise(f"MBR{n:06d}", "enter")
        venue.sell(f"A{n}", f"{n}.25", f"MBR{n:06d}" if n % 2 else None)
        await venue.pass_time(3)
        venue.recognise(f"MBR{n:06d}", "leave")


@at_a_venue
async def test_a_member_who_opted_out_is_counted_and_never_named(venue: Venue) -> None:
    venue.recognise(OPTED_OUT, "enter")
    venue.walk("entrance", ins=1)
    venue.sell("A1", "9.90", OPTED_OUT)
    venue.recognise("MBR000001", "enter")
    await venue.pass_time(60)
    venue.recognise(OPTED_OUT, "leave")
    venue.walk("entrance", outs=1)
    await venue.close()
    assert len(venue.landed().of("face_visits")) == 1
    assert [order.user_id for order in venue.landed().of("orders")] == [None]
    assert venue.landed().refused()["opted_out"] == venue.truth.opted_out == 2


@at_a_venue
async def test_two_gateways_hear_one_counter_and_its_owner_records_it(venue: Venue) -> None:
    side = venue.sensors["side"] = PairSensor(venue.radio, ADDRESS["side"])
    venue.live(side)
    await venue.add_gateway("gw_side", "hci1", {"side"})
    for _ in range(10):
        venue.walk("side", ins=1)
        venue.walk("north", ins=2, outs=1)
        await venue.pass_time(40)
    await venue.close()
    by = {(r.gateway_id, r.device_id) for r in venue.landed().of("boundary_counts")}
    assert ("gw_side", "side") in by
    assert not {("gw", "side"), ("gw_side", "north")} & by
    for gateway_id in ("gw", "gw_side"):
        refused = [e for e in venue.landed().events("refused") if e.gateway_id == gateway_id]
        assert sum(e.value for e in refused if e.subject == "foreign_device") > 10
