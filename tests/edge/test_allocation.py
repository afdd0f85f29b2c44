"""Allocations at the gateway: only what was signed and fits together is acted on, and every unit comes to its leaf."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from edge_collector.allocation import (
    AllocationProblem,
    SharesInForce,
    read_allocation,
    shares_in_force,
    signed,
    verified,
)
from edge_collector.assignment import arm_of
from edge_collector.canonical_json import canonical
from tests.edge.allocations import KEY, OTHER_KEY, TODAY, document, node, put_signed

MORNING, EVENING = datetime(2026, 1, 8, 10, 59, 59), datetime(2026, 1, 8, 19)
LATE = datetime(2026, 1, 9, 1, 30)  # after midnight, of the same event date


def test_a_signed_file_is_read_back(tmp_path: Path) -> None:
    put_signed(tmp_path)
    found = read_allocation(tmp_path, "voucher", TODAY, KEY.public_key())
    assert found is not None
    assert (found.allocation_id, found.event_date, found.arms) == ("a1", TODAY, ["none", "tea"])
    assert found.shares[3] == {"none": 0.25, "tea": 0.75}


def test_signing_again_gives_the_same_bytes() -> None:
    assert signed(document(), KEY) == signed(dict(reversed(document().items())), KEY)


def test_a_seed_beyond_what_json_numbers_hold_is_read_from_its_digits() -> None:
    assert verified(signed(document(seed=str(2**63 - 1)), KEY), KEY.public_key()).seed == 2**63 - 1


def test_a_field_of_a_later_time_does_no_harm() -> None:
    assert verified(signed(document(note="x"), KEY), KEY.public_key()).allocation_id == "a1"


TAMPERED: dict[str, Callable[[bytes], bytes]] = {
    "a share": lambda c: c.replace(b"0.75", b"0.95", 1).replace(b"0.25", b"0.05", 1),
    "the date": lambda c: c.replace(b"2026-01-08", b"2026-01-09"),
    "a user": lambda c: c.replace(b'"always":4', b'"always":3'),
    "something added": lambda c: c.replace(b'"seed":1', b'"seed":1,"x":1'),
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED)
def test_a_tampered_file_is_refused(tamper: Callable[[bytes], bytes]) -> None:
    content = signed(document(), KEY)
    assert tamper(content) != content
    with pytest.raises(AllocationProblem, match="the signature is not of this content and key"):
        verified(tamper(content), KEY.public_key())


def test_white_space_is_no_tampering() -> None:
    pretty = json.dumps(json.loads(signed(document(), KEY)), indent=2).encode()
    assert verified(pretty, KEY.public_key()) == verified(signed(document(), KEY), KEY.public_key())


def test_a_file_signed_with_another_key_is_refused() -> None:
    with pytest.raises(AllocationProblem, match="the signature is not of this content and key"):
        verified(signed(document(), OTHER_KEY), KEY.public_key())


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"null", b"\xff", b"{}", b"[" * 100_000, canonical(document())),
        *(b'{"signature": 1}', b'{"signature": "="}', b'{"signature":"", "x": 1e999}', b'{"signature":"", "x": NaN}'),
    ],
)
def test_what_is_no_signed_file_is_refused(content: bytes) -> None:
    with pytest.raises(AllocationProblem):
        verified(content, KEY.public_key())


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "schema": ({"schema": 2}, "schema"),
    "leaf without shares": ({"shares": {"3": {"none": 1, "tea": 0}}}, "shares are given of the leaves"),
    "unknown arm": ({"arms": ["none", "coffee"]}, "one share per arm"),
    "shares beyond 1": ({"fixed_shares": [0.5, 0.6]}, "adding up to 1"),
    "no fixed shares": ({"fixed_shares": []}, "one share per arm"),
    "unknown leaf of a user": ({"leaf_of_user": {"keeper": 5}}, "keeper leads to the unknown leaf 5"),
    "unknown leaf of several": ({"leaf_of_user": {"keeper": [3, 9]}}, "unknown leaf"),
    "no leaf": ({"default_leaf": []}, "default_leaf leads to the unknown leaf"),
    "no tree": ({"tree": {"nodes": []}}, "tree.nodes"),
    "a circle": ({"tree": {"nodes": [node(1, "hour", 3.0, (1, 1))]}}, "does not fit into the tree"),
    "an hour by name": ({"tree": {"nodes": [node(1, "hour", None, (2, 3)), node(2), node(3)]}}, "splits hour by None"),
}


@pytest.mark.parametrize(("changes", "sentence"), BROKEN.values(), ids=BROKEN)
def test_a_signed_file_that_does_not_fit_together_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(AllocationProblem, match=sentence):
        verified(signed(document(**changes), KEY), KEY.public_key())


def test_a_file_under_another_name_is_refused(tmp_path: Path) -> None:
    """Or yesterday's shares could be passed off as today's."""
    put_signed(tmp_path, date(2026, 1, 9), event_date="2026-01-08")
    with pytest.raises(AllocationProblem, match="the file of voucher on 2026-01-09 holds voucher on 2026-01-08"):
        read_allocation(tmp_path, "voucher", date(2026, 1, 9), KEY.public_key())


@pytest.mark.parametrize(
    ("user", "at", "leaf"),
    [
        ("keeper", MORNING, 3),
        ("keeper", EVENING, 4),
        ("keeper", LATE, 3),  # half past one is not after ten
        ("always", MORNING, 4),
        ("value", MORNING, 6),
        ("value", LATE, 6),  # Friday by the clock, Thursday by the event date
        ("a stranger", EVENING, 6),
        (None, EVENING, 6),
    ],
)
def test_the_leaf_is_that_of_the_user_at_the_moment(user: str | None, at: datetime, leaf: int) -> None:
    assert verified(signed(document(), KEY), KEY.public_key()).leaf_of(user, at) == leaf


def test_on_a_saturday_people_of_value_are_in_the_other_leaf() -> None:
    saturday = verified(signed(document(event_date="2026-01-10"), KEY), KEY.public_key())
    assert saturday.leaf_of("value", datetime(2026, 1, 10, 12)) == 7


def test_an_allocation_in_force_gives_shares_leaf_and_id() -> None:
    allocation = verified(signed(document(), KEY), KEY.public_key())
    found = shares_in_force(allocation, (0.5, 0.5), today=TODAY, user_id="keeper", local_time=MORNING)
    assert found == SharesInForce((0.25, 0.75), 3, "a1")
    arm, propensity = arm_of("voucher", "keeper/2026-01-08/1", allocation.seed, allocation.arms, found.shares)
    assert (arm, propensity) in (("none", 0.25), ("tea", 0.75))


@pytest.mark.parametrize(
    ("day", "why"),
    [
        (9, "the allocation is stale: it is for 2026-01-08, today is 2026-01-09"),
        (7, "the allocation is not in force yet: it is for 2026-01-08, today is 2026-01-07"),
    ],
)
def test_of_another_date_the_fixed_shares_hold_and_the_record_names_no_allocation(day: int, why: str) -> None:
    allocation = verified(signed(document(), KEY), KEY.public_key())
    found = shares_in_force(
        allocation, allocation.fixed_shares, today=date(2026, 1, day), user_id="keeper", local_time=MORNING
    )
    assert found == SharesInForce((0.5, 0.5), None, None, why)


def test_an_absent_file_leaves_the_fixed_shares(tmp_path: Path) -> None:
    absent = read_allocation(tmp_path, "voucher", TODAY, KEY.public_key())
    assert absent is None
    found = shares_in_force(absent, [0.5, 0.5], today=TODAY, user_id="keeper", local_time=MORNING)
    assert found == SharesInForce((0.5, 0.5), None, None, "there is no allocation")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        # RFC 8785, appendix B and section 3.2.
        (0.0, "0"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (-1.7976931348623157e308, "-1.7976931348623157e+308"),
        (9007199254740992.0, "9007199254740992"),
        (295147905179352830000.0, "295147905179352830000"),
        (9.999999999999997e22, "9.999999999999997e+22"),
        (1e23, "1e+23"),
        (999999999999999900000.0, "999999999999999900000"),
        (1e21, "1e+21"),
        (0.000001, "0.000001"),
        (9.999999999999997e-7, "9.999999999999997e-7"),
        (333333333.33333329, "333333333.3333333"),
        (-0.0000033333333333333333, "-0.0000033333333333333333"),
        (1424953923781206.2, "1424953923781206.2"),
        ([56, {"d": True, "10": None, "1": []}], '[56,{"1":[],"10":null,"d":true}]'),
        ('€$\x0f\nA\'B"\\\\"/', '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'),
        (
            {"€": 1, "\r": 2, "\ufb33": 3, "1": 4, "😀": 5, "\x80": 6, "ö": 7},
            '{"\\r":2,"1":4,"\x80":6,"ö":7,"€":1,"😀":5,"\ufb33":3}',
        ),
    ],
)
def test_canonical_json_is_that_of_rfc_8785(value: Any, text: str) -> None:
    assert canonical(value).decode() == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, "\ud800", {1: 2}, b"x", {"\ud800": 1}])
def test_what_json_cannot_say_exactly_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"expected|half a character"):
        canonical(value)
