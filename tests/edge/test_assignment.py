"""Which arm a unit is given: the same for everybody who knows the shares, and as often as the shares say."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import date
from fractions import Fraction

import pytest

from edge_collector.assignment import arm_of, unit_of_day

ARMS = ("none", "tea", "second_half_price")
UNITS = [f"sim:{i:032x}/2026-01-08/1" for i in range(20_000)]


def test_the_hash_is_as_described() -> None:
    """Recomputed in whole numbers and fractions: whoever writes it anew in another language comes to the same arm."""
    thirds = [1 / 3] * 3
    for unit in UNITS[:500]:
        bits = "".join(f"{byte:08b}" for byte in hashlib.sha256(f"7/voucher/{unit}".encode()).digest())
        at = Fraction(int(bits[:53], 2), 2**53)
        wanted = ARMS[0 if at < Fraction(1 / 3) else 1 if at < Fraction(1 / 3 + 1 / 3) else 2]
        assert arm_of("voucher", unit, 7, ARMS, thirds) == (wanted, 0.333333333333333)


def test_arms_of_known_units() -> None:
    """Written down once, so that no change of the code gives running experiments other arms."""
    given = [arm_of("welcome_screen", f"k1:{i:032x}", 1, ("plain", "greeting"), (0.5, 0.5))[0] for i in range(12)]
    assert "".join(arm[0] for arm in given) == "gppgppgggpgg"
    assert arm_of("x", "é/ü 店", 2**63 - 1, ("a", "b"), (0.25, 0.75)) == ("b", 0.75)


@pytest.mark.parametrize("shares", [(0.2, 0.3, 0.5), (0.05, 0.05, 0.9), (1.0, 0.0, 0.0)])
def test_arms_are_given_as_often_as_their_shares_say(shares: tuple[float, ...]) -> None:
    counts = Counter(arm_of("voucher", unit, 1, ARMS, shares) for unit in UNITS)
    for arm, share in zip(ARMS, shares, strict=True):
        assert counts[arm, share] / len(UNITS) == pytest.approx(
            share, abs=4 * (share * (1 - share) / len(UNITS)) ** 0.5
        )


def test_seeds_experiments_and_units_are_independent() -> None:
    both = Counter(
        (
            arm_of("a", u, 1, "xy", (0.5, 0.5))[0],
            arm_of("a", u, 2, "xy", (0.5, 0.5))[0],
            arm_of("b", u, 1, "xy", (0.5, 0.5))[0],
        )
        for u in UNITS
    )
    assert all(n / len(UNITS) == pytest.approx(1 / 8, abs=0.01) for n in both.values())
    assert len(both) == 8


def test_a_growing_share_takes_units_and_gives_none_away() -> None:
    before = {u for u in UNITS if arm_of("a", u, 1, "xy", (0.5, 0.5))[0] == "x"}
    after = {u for u in UNITS if arm_of("a", u, 1, "xy", (0.6, 0.4))[0] == "x"}
    assert before < after


def test_nobody_gets_an_arm_without_a_share_also_where_shares_do_not_reach_1() -> None:
    short = (0.3, 0.3, 0.0)
    assert {arm_of("a", u, 1, ARMS, short) for u in UNITS} == {("none", 0.3), ("tea", 0.3)}


@pytest.mark.parametrize("shares", [(), (0.5, 0.5), (0.0, 0.0, 0.0)])
def test_shares_that_are_none_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"shares: .* given; one per arm of \['none', 'tea', 'second_half_price'\]"):
        arm_of("voucher", "u", 1, ARMS, shares)


def test_a_venue_changes_its_arm_from_day_to_day() -> None:
    days = [date(2026, 1, d) for d in range(1, 31)]
    assert unit_of_day("riverside", days[0]) == "riverside/2026-01-01"
    arms = [arm_of("music", unit_of_day("riverside", day), 1, "ab", (0.5, 0.5))[0] for day in days]
    assert 5 < arms.count("a") < 25
