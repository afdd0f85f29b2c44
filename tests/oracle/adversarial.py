"""Adversarial days: small landings that sit on every edge of the design at once.

    @given(landings())
    def test_same(scenario):
        scenario.write(folder)              # folder/site.toml and folder/landing/
        recompute(folder, scenario.event_date)

`landings(without={"whitespace_line", ...})` leaves out traps by name; `TRAPS` lists the names. A scenario says nothing
about the expected result: that is what the oracle is for. Nothing of the system is imported, here and in what this
stands on: `places`, `stories`, `traps` and `landing_writer`.
"""

import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from itertools import pairwise

from hypothesis import strategies as st

from tests.oracle.landing_writer import DAMAGES, PACKINGS, Scenario, Segment, line_of
from tests.oracle.places import (
    AMOUNTS,
    BOOTS,
    CURRENCY,
    DAY,
    DAY_STARTS,
    GATEWAYS,
    HOUR,
    IDS,
    MS,
    PLACES,
    ZONES,
    edges_of_day,
)
from tests.oracle.stories import FACTORIES, Draft, World
from tests.oracle.traps import LINE_TRAPS, RECORD_TRAPS, TRAPS

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def sites(draw: st.DrawFn, place: tuple[str, date]) -> dict:
    zone, day = place
    gateways = draw(st.lists(st.sampled_from(GATEWAYS), min_size=2, max_size=3, unique=True))
    venues, devices, activities = [], [], []
    for number, venue_id in enumerate(draw(st.sampled_from((("hall",), ("hall", "quay"), ("quay", "hall", "Hall"))))):
        venue_zone = zone if number == 0 else draw(st.sampled_from(ZONES))
        venues.append(
            {
                "id": venue_id,
                "name": f"The {venue_id}",
                "time_zone": venue_zone,
                "currency": CURRENCY.get(venue_zone, "NPR"),
                "day_starts_at": draw(st.sampled_from(DAY_STARTS)),
                "opened_on": day - 5 * DAY,
            }
        )
        equipped = number == 0 or draw(st.booleans())  # the first venue has everything, the others what is drawn
        for stream in FACTORIES:
            count = 1 + draw(st.integers(0, 1)) if equipped else draw(st.integers(0, 1))
            for device_number in range(count):
                device = {
                    "id": f"{stream}_{'ab'[device_number]}",
                    "venue_id": venue_id,
                    "gateway_id": draw(st.sampled_from(gateways)),
                    "stream": stream,
                }
                if stream == "entrance_counts":
                    device |= draw(
                        st.sampled_from(
                            (
                                {},
                                {"counting": "directional"},
                                {"counting": "passages", "in_share": 0.5},
                                {"counting": "passages", "in_share": 0.37},
                                {"counting": "passages"},
                            )
                        )
                    )
                devices.append(device)
        first = draw(st.sampled_from((None, -1, 0, 1)))
        if first is not None:
            activities.append(
                {
                    "id": f"fair_{number}",
                    "name": "Fair",
                    "venue_id": venue_id,
                    "first_date": day + first * DAY,
                    "last_date": day + max(first, 0) * DAY,
                }
            )
    site = {"identity": draw(st.sampled_from(("shared", "linked")))}
    # The order of the tables in site.toml means nothing.
    return site | {"venues": venues, "devices": draw(st.permutations(devices)), "activities": activities}


@st.composite
def landings(draw: st.DrawFn, without: Iterable[str] = (), max_stories: int = 20) -> Scenario:
    """A site and a landing full of edges. `without` names traps to leave out, see TRAPS.

    A story (some records that belong together, with what is wrong with them) is drawn as one number, from which its
    own dice are made: so a failing landing is made smaller by leaving out stories, and the others stay as they are.
    """
    without = frozenset(without)
    unknown = without - set(TRAPS)
    if unknown:
        raise ValueError(f"no such traps: {sorted(unknown)}; there are {sorted(TRAPS)}")
    place = draw(st.sampled_from(PLACES))
    site = draw(sites(place))
    edges = {}
    for venue in site["venues"]:
        possible = edges_of_day(venue, place[1])
        edges[venue["id"]] = draw(st.lists(st.sampled_from(possible), min_size=1, max_size=2, unique=True))
    world = World(
        site=site,
        edges=edges,
        users=draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=3, unique=True)),
        boots=draw(st.lists(st.sampled_from(BOOTS), min_size=1, max_size=2, unique=True)),
        order_ids=draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=2, unique=True)),
        fine=draw(st.booleans()),
    )
    # In eighths: how many records and how many segments have something wrong.
    dirt, damage = draw(st.sampled_from((0, 1, 3))), draw(st.sampled_from((0, 0, 1, 4)))
    few = min(draw(st.sampled_from((1, 8, 12, 8, 12, 4, 10, 0))), max_stories)
    for seed in draw(st.lists(SEEDS, min_size=few, max_size=min(2 * few, max_stories))):
        world.dice = random.Random(seed)
        tell_story(world, dirt, without)
    give_out_seqs(world.drafts, first=draw(st.sampled_from((1, 8, 98, 0, 2**40))))
    cutting = draw(SEEDS)
    groups: dict[tuple, list[Draft]] = defaultdict(list)
    for draft in sorted(world.drafts, key=lambda draft: draft.seq):
        groups[draft.stream, draft.folder, draft.gateway_id, draft.boot_id].append(draft)
    segments = []
    for key, group in groups.items():
        world.dice = random.Random(f"{cutting} {key}")
        segments += [segment_of(world, part, damage, without) for part in in_parts(world, group)]
    return Scenario(event_date=place[1], site=site, segments=segments)


def tell_story(world: World, dirt: int, without: frozenset[str]) -> None:
    """Some records that belong together, and what is wrong with them."""
    told = len(world.drafts)
    stream = world.pick(("face_visits", "face_visits", "face_visits", *FACTORIES))
    if world.site["identity"] == "linked" and world.chance(1):
        stream = "identity_links"
    FACTORIES[stream](world, world.pick(world.site["venues"]))
    if dirt and told and "duplicate" not in without and world.chance(2):
        add_duplicate(world, world.pick(world.drafts[:told]))
    record_traps = [trap for name, trap in RECORD_TRAPS.items() if name not in without]
    line_traps = [traps for name, traps in LINE_TRAPS.items() if name not in without]
    for draft in world.drafts[told:]:
        if world.chance(dirt) and record_traps and not draft.spoiled:
            draft.spoiled = True
            world.pick(record_traps)(world, draft)
        if world.chance(dirt) and world.chance() and line_traps:
            draft.line_trap = world.pick(world.pick(line_traps))
        reverse = "keys_reversed" not in without and world.chance(2)
        separators = world.pick(((",", ":"), (",", ":"), (", ", ": "), (" ,\t", " : ")))
        draft.style = (world.chance(), reverse, separators)


def add_duplicate(world: World, original: Draft) -> None:
    """A record sent again as it was, or one that says something else under an identity that is taken."""
    copy = Draft(
        stream=original.stream,
        folder=original.folder,
        gateway_id=original.gateway_id,
        boot_id=world.pick(world.boots),
        record=dict(original.record),
        counted=original.counted,
        place=world.dice.random(),
        copy_of=original,
        spoiled=original.spoiled,
    )
    changes = {"direction": ("enter", "leave"), "user_id": world.users, "amount": AMOUNTS, "in_count": (0, 1)}
    for name, values in changes.items():
        if name in copy.record and world.chance(2):
            copy.record[name] = world.pick(values)
    world.drafts.append(copy)


def give_out_seqs(drafts: list[Draft], first: int) -> None:
    """Consecutive per (gateway, boot, stream)."""
    following: dict[tuple, int] = {}
    for draft in sorted(drafts, key=lambda draft: draft.place):
        key = (draft.gateway_id, draft.boot_id, draft.stream)
        draft.seq = following.get(key, first)
        following[key] = draft.seq + 1
        if type(draft.record.get("seq")) is int and draft.record["seq"] == 0:  # not where a trap has been at work
            draft.record["seq"] = draft.seq
    for draft in drafts:  # an original comes before its copies
        if draft.copy_of is not None:
            identity = ("gateway_id", "boot_id", "seq")
            draft.record |= {n: draft.copy_of.record[n] for n in identity if n in draft.copy_of.record}


def in_parts(world: World, group: list[Draft]) -> list[list[Draft]]:
    """The group in one to three segments."""
    cuts = sorted(world.dice.randint(1, len(group)) for _ in range(world.pick((0, 1, 2))))
    return [group[a:b] for a, b in pairwise([0, *cuts, len(group)]) if a < b]


def segment_of(world: World, part: list[Draft], damage: int, without: frozenset[str]) -> Segment:
    lines = []
    for draft in part:
        ascii_only, backwards, separators = draft.style
        record = dict(reversed(draft.record.items())) if backwards else draft.record
        line = line_of(record, ascii_only, separators)
        lines.append(line if draft.line_trap is None else draft.line_trap(line))
    created_at = max(draft.counted for draft in part) + HOUR
    if "tight_created_at" not in without and world.chance(1):
        created_at = world.pick(part).counted - DAY + world.pick((0 * MS, -MS, MS))
    damages = [name for name in DAMAGES if name not in without]
    packings = ["plain", "plain", *(name for name in PACKINGS if name not in without)]
    return Segment(
        stream=part[0].stream,
        event_date=part[0].folder,
        gateway_id=part[0].gateway_id,
        boot_id=part[0].boot_id,
        seqs=[draft.seq for draft in part],
        lines=lines,
        created_at=created_at,
        damages=tuple(world.dice.sample(damages, world.pick((1, 1, 2)))) if damages and world.chance(damage) else (),
        last_line_ends=world.chance(),
        packing=world.pick(packings),
    )
