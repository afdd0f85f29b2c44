"""What happens on an adversarial day: visits, orders, counts and links, each at the edge of a rule."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime

from tests.oracle.landing_writer import Raw, stamp
from tests.oracle.places import AMOUNTS, DAY, HOUR, IDS, MIN, MS, US, folder_for

# The distances at which a rule changes its mind.
STEPS = (0 * MS, 5 * MIN, 30 * MIN, MS, -MS, 30 * MIN + MS, 30 * MIN - MS, 12 * HOUR, 12 * HOUR + MS, 12 * HOUR - MS)
STEPS += (HOUR, -HOUR, US, 12 * HOUR + US, 30 * MIN + US, 10 * MIN)

# What one visitor does, as (direction, after): every kind of session and every kind of tie.
STORIES = (
    (("enter", 0 * MIN), ("leave", 30 * MIN)),
    (("enter", 0 * MIN),),
    (("leave", 0 * MIN),),
    (("enter", 0 * MIN), ("enter", 5 * MIN), ("leave", 30 * MIN)),
    (("enter", 0 * MIN), ("leave", 12 * HOUR)),
    (("enter", 0 * MIN), ("leave", 12 * HOUR + MS)),
    (("enter", 0 * MIN), ("leave", 12 * HOUR + US)),
    (("enter", 0 * MIN), ("enter", 12 * HOUR + HOUR)),
    (("enter", 0 * MIN), ("leave", 0 * MIN)),
    (("leave", 0 * MIN), ("enter", 0 * MIN)),
    (("enter", 0 * MIN), ("leave", 5 * MIN), ("enter", 5 * MIN), ("leave", 10 * MIN)),
    (("enter", 0 * MIN), ("leave", 5 * MIN), ("leave", 10 * MIN), ("enter", 30 * MIN)),
    (("leave", 0 * MIN), ("leave", 5 * MIN)),
    (("enter", 0 * MIN), ("enter", 0 * MIN), ("leave", 0 * MIN), ("leave", 0 * MIN)),
    (("enter", -DAY), ("leave", 5 * MIN)),
)


@dataclass
class Draft:
    """A record on its way to a line."""

    stream: str
    folder: date
    gateway_id: str  # of the segment; the record may say otherwise
    boot_id: str
    record: dict
    counted: datetime  # the time that counts
    place: float  # records get their seq in the order of this, which is not the order of time
    seq: int = 0  # of the manifest; the record may say otherwise
    copy_of: "Draft | None" = None  # has the identity of that one
    spoiled: bool = False  # a trap has been at work; a second one would find other fields than it expects
    style: tuple = (False, False, (",", ":"))  # ASCII only, keys reversed, separators
    line_trap: Callable[[bytes], bytes] | None = None


@dataclass
class World:
    """What the records of one scenario have in common: few of everything, so that they collide."""

    site: dict
    edges: dict[str, list[datetime]]
    users: list[str]
    boots: list[str]
    order_ids: list[str]
    fine: bool  # whether timestamps are written in many ways
    dice: random.Random = field(default_factory=random.Random)  # those of the story that is being told
    drafts: list[Draft] = field(default_factory=list)

    def pick(self, options: Iterable) -> object:
        return self.dice.choice(tuple(options))

    def chance(self, eighths: int = 4) -> bool:
        return self.dice.randrange(8) < eighths

    def stamp(self, venue: dict, instant: datetime) -> str:
        exact = 6 if instant.microsecond % 1000 else 3 if instant.microsecond else 0
        if not self.fine:
            return stamp(instant, venue["time_zone"], max(exact, 3))
        digits = self.pick(d for d in (3, 0, 1, 4, 6) if d >= exact or (exact == 3 and d == 3))
        zone = self.pick((venue["time_zone"], None, "Asia/Kathmandu", "America/St_Johns"))
        text = stamp(instant, zone, digits)
        return text.replace("Z", "-00:00") if zone is None and self.chance() else text

    def add(self, stream: str, venue: dict, counted: datetime, fields: dict, recorded: datetime | None = None) -> None:
        """One record of a device of the venue; nothing where the venue has none for the stream."""
        devices = [d for d in self.site["devices"] if d["venue_id"] == venue["id"] and d["stream"] == stream]
        if not devices:
            return
        device = self.pick(devices)
        boot_id = self.pick(self.boots)
        record = {
            "gateway_id": device["gateway_id"],
            "boot_id": boot_id,
            "seq": 0,  # given out at the end
            "venue_id": venue["id"],
            "device_id": device["id"],
            "recorded_at": self.stamp(venue, counted if recorded is None else recorded),
            "clock": self.pick(("synced", "unsynced")),
        }
        record |= fields
        self.drafts.append(
            Draft(
                stream=stream,
                folder=folder_for(venue, counted),
                gateway_id=device["gateway_id"],
                boot_id=boot_id,
                record=record,
                counted=counted,
                place=self.dice.random(),
            )
        )

    def instant(self, venue: dict) -> datetime:
        return self.pick(self.edges[venue["id"]]) + self.pick(STEPS)


def add_visits(world: World, venue: dict) -> None:
    """A visitor's story, and orders at the instants where attachment changes."""
    start, user = world.instant(venue), world.pick(world.users)
    story = world.pick(STORIES)
    for direction, after in story:
        world.add("face_visits", venue, start + after, {"user_id": user, "direction": direction})
    for _ in range(world.pick((0, 1, 2, 3))):
        ordered_at = start + world.pick(story)[1] + world.pick(STEPS)
        add_order(world, venue, ordered_at, world.pick((user, user, user, *world.users, None)))


def add_order(world: World, venue: dict, ordered_at: datetime, user: str | None) -> None:
    fields = {
        "order_id": world.pick(world.order_ids),
        "order_no": world.pick((1, 1, 2)),
        "user_id": user,
        "ordered_at": world.stamp(venue, ordered_at),
        "category_id": world.pick(IDS),
        "quantity": world.pick((1, 2, 1000)),
        "amount": world.pick(AMOUNTS),
        "currency": venue["currency"],
        "status": world.pick(("completed", "completed", "cancelled", "refunded")),
    }
    if user is None and world.chance():
        fields |= {"user_id": ""} if world.chance() else {}
        if fields["user_id"] is None:
            del fields["user_id"]
    recorded = ordered_at + world.pick((0 * MS, 0 * MS, MS, DAY, -MS))
    world.add("orders", venue, ordered_at, fields, recorded)


def add_orders(world: World, venue: dict) -> None:
    add_order(world, venue, world.instant(venue), world.pick((*world.users, None)))


def add_counts(world: World, venue: dict, stream: str) -> None:
    """An interval; mostly one of the boundary and one of the entrance, so that there is a rate of the two."""
    start = world.instant(venue)
    for counting in dict.fromkeys((stream, world.pick(("boundary_counts", "entrance_counts")))):
        add_interval(world, venue, counting, start)


def add_interval(world: World, venue: dict, stream: str, start: datetime) -> None:
    end = start + world.pick((15 * MIN, HOUR, MS, US))
    in_count, out_count = world.pick((0, 1, 3, 7, 1000)), world.pick((0, 2, 5))
    fields = {
        "interval_start": world.stamp(venue, start),
        "interval_end": world.stamp(venue, end),
        "in_count": in_count,
        "out_count": out_count,
        "unpaired_count": world.pick((None, 0, 4)),
        "in_total": in_count + world.pick((0, 100)),
        "out_total": out_count + world.pick((0, 2**40)),
        "device_epoch": world.pick((0, 1, 1767225600)),
    }
    if stream == "entrance_counts":
        for name in ("out_count", "out_total"):
            if world.chance():
                fields[name] = None
    world.add(stream, venue, start, fields, end)


def add_boundary(world: World, venue: dict) -> None:
    add_counts(world, venue, "boundary_counts")


def add_entrance(world: World, venue: dict) -> None:
    add_counts(world, venue, "entrance_counts")


def add_link(world: World, venue: dict) -> None:
    fields = {
        "terminal_user_id": world.pick(world.users),
        "member_user_id": world.pick((*world.users, "member")),
        "action": world.pick(("link", "link", "unlink")),
    }
    world.add("identity_links", venue, world.instant(venue) + world.pick((0 * MS, -DAY, DAY, -2 * DAY)), fields)


def add_assignment(world: World, venue: dict) -> None:
    fields = {
        "experiment_id": world.pick(("exp", "Exp")),
        "unit_id": world.pick(world.users),
        "arm": world.pick(("control", "b")),
        "propensity": world.pick((0.5, 1, 1.0, 0.1, Raw("5e-1"), Raw("1e-300"))),
        "leaf_id": world.pick((None, 0, 3)),
        "allocation_id": world.pick((None, "a1", "")),
    }
    world.add("assignments", venue, world.instant(venue), fields)


def add_event(world: World, venue: dict) -> None:
    fields = {
        "kind": world.pick(("heartbeat", "clock_step", "epoch_opened", "refused")),
        "subject": world.pick((None, "s", "😀")),
        "value": world.pick((None, 0, -5, 2**63 - 1, -(2**63))),
        "detail": world.pick((None, "", 'a "quoted" \\ text\r\n')),
    }
    world.add("gateway_events", venue, world.instant(venue), fields)


FACTORIES: dict[str, Callable[[World, dict], None]] = {
    "face_visits": add_visits,
    "orders": add_orders,
    "boundary_counts": add_boundary,
    "entrance_counts": add_entrance,
    "identity_links": add_link,
    "assignments": add_assignment,
    "gateway_events": add_event,
}
