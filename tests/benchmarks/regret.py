"""What a bandit costs and brings over 30 days of 2,000 visits and three arms (in one world two): conversions missed
against an oracle that knows every visitor's best arm (regret), in worlds of which the truth is known (closed_loop.py).

    uv run --group bench python tests/benchmarks/regret.py [--seeds 30]

Intervals are of 95 % over the seeds. A ratio is the regret divided by that of UCB1 without context at the same floor,
with an interval for the ratio of means over pairs of runs that met the same visitors.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from importlib.util import find_spec

import numpy as np
from closed_loop import WORLDS, Given, LeafPolicy, LinUCB, Outcome, Policy, Settings, Traffic, simulate
from measure import cpu_seconds, goal, machine, table
from scipy.stats import t as student

from venue_assets.methods.ucb import KLUCB, UCB1

BASE = "UCB1 without context"

Maker = Callable[[Traffic], Policy]


def leaves(**settings: object) -> Maker:
    return lambda traffic: LeafPolicy(traffic, Settings(**settings))  # type: ignore[arg-type]


def linear(**settings: object) -> Maker:
    return lambda traffic: LinUCB(traffic, **settings)  # type: ignore[arg-type]


LEVEL, EFFECT = "tree by reward, history of the control", "tree by effect, 14 random days before"
OWN = "tree by effect, own units, refit every 7 days"
MAIN: dict[str, Maker] = {
    "uniform": Given.uniform,
    "best fixed arm (hindsight)": Given.best_fixed,
    BASE: leaves(),
    "LinUCB": linear(),
    LEVEL: leaves(target="reward"),
    EFFECT: leaves(target="effect"),
    OWN: leaves(target="effect", history_days=0, refit_days=7),
    "arms of the rewarded, 14 random days before": leaves(target="arms of the rewarded"),
    "oracle": Given.oracle,
}
"""Exploration 0.1 and floor 0.05 where nothing else is said. The goals are for the trees that the product makes."""

GROUPS = {"target": "effect"}
FEW = {"target": "arms of the rewarded"}
TRIED: dict[str, tuple[Maker, Maker]] = {
    "as above": (leaves(**GROUPS), leaves()),
    **{f"exploration {c}": (leaves(**GROUPS, index=UCB1(c)), leaves(index=UCB1(c))) for c in (0.03, 0.3, 1.0)},
    "KL-UCB": (leaves(**GROUPS, index=KLUCB()), leaves(index=KLUCB())),
    **{f"floor {f}": (leaves(**GROUPS, floor=f), leaves(floor=f)) for f in (0.0, 0.02, 0.1, 0.15)},
    "floor 0, exploration 0.03": (
        leaves(**GROUPS, floor=0.0, index=UCB1(0.03)),
        leaves(floor=0.0, index=UCB1(0.03)),
    ),
    "a day's visits all to one arm": (leaves(**GROUPS, in_one=True), leaves(in_one=True)),
    "alpha of the tree 0.2": (leaves(**GROUPS, alpha=0.2), leaves()),
    "refit every 7 days": (leaves(**GROUPS, refit_days=7), leaves()),
    **{f"{d} random days before": (leaves(**GROUPS, history_days=d), leaves()) for d in (3, 7, 28)},
    "3 random days before, refit every 3 days": (leaves(**GROUPS, history_days=3, refit_days=3), leaves()),
    "random days count, floor 0.05": (leaves(**GROUPS, warm=True), leaves(warm=True)),
    "LinUCB, random days count, floor 0.05": (linear(warm=True), leaves(warm=True)),
    "random days count, floor 0": (leaves(**GROUPS, warm=True, floor=0.0), leaves(warm=True, floor=0.0)),
    "LinUCB, random days count, floor 0": (linear(warm=True, floor=0.0), leaves(warm=True, floor=0.0)),
    "LinUCB, floor 0": (linear(floor=0.0), leaves(floor=0.0)),
    **{f"LinUCB, alpha {a}": (linear(alpha=a), leaves()) for a in (0.1, 1.0)},
    "own units, refit every 3 days": (leaves(**GROUPS, history_days=0, refit_days=3), leaves()),
    "own units, every 3, alpha 0.2": (leaves(**GROUPS, history_days=0, refit_days=3, alpha=0.2), leaves()),
    "own units, every 3, first 3 days equal": (leaves(**GROUPS, history_days=0, refit_days=3, equal_days=3), leaves()),
    "own, arms of the rewarded, every 3, alpha 0.2": (
        leaves(**FEW, history_days=0, refit_days=3, alpha=0.2),
        leaves(),
    ),
    "own, arms of the rewarded, every 7, first 7 equal": (
        leaves(**FEW, history_days=0, refit_days=7, equal_days=7),
        leaves(),
    ),
    "tree by effect, own units, exploration 0.3": (
        leaves(target="effect", history_days=0, refit_days=7, index=UCB1(0.3)),
        leaves(index=UCB1(0.3)),
    ),
    "tree by reward, refit every 7 days": (leaves(target="reward", refit_days=7), leaves()),
}
"""What was tried, and UCB1 without context under the same conditions."""


def half_width(values: np.ndarray) -> float:
    """Of the mean's 95 % interval."""
    return float(student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def interval(values: np.ndarray) -> str:
    return f"{values.mean():,.0f} ± {half_width(values):,.0f}"


def ratio(ours: np.ndarray, base: np.ndarray) -> tuple[float, float]:
    """Ratio of means and half the width of its interval, by the delta method."""
    if not base.any():
        return float("nan"), float("nan")
    found = float(ours.mean() / base.mean())
    return found, half_width(ours - found * base) / float(base.mean())


def ratio_text(ours: np.ndarray, base: np.ndarray) -> str:
    found, width = ratio(ours, base)
    return "" if np.isnan(found) else f"{found:.2f} ± {width:.2f}"


def possible(makers: Mapping[str, object]) -> list[str]:
    """The names whose contender can run here."""
    return [name for name in makers if "LinUCB" not in name or find_spec("mabwiser")]


def compared(world: str, seeds: int) -> dict[str, Outcome]:
    """All contenders in one world, printed as a table."""
    traffic = Traffic.draw(WORLDS[world], seeds)
    found = {contender: simulate(traffic, MAIN[contender](traffic)) for contender in possible(MAIN)}
    rows = [[world, "regret", "of UCB1 without context", "conversions", "more than uniform", "leaves"]]
    for contender, outcome in found.items():
        rows.append(
            [
                contender,
                interval(outcome.regret),
                ratio_text(outcome.regret, found[BASE].regret),
                f"{outcome.conversions.mean():,.0f}",
                interval(outcome.conversions - found["uniform"].conversions),
                f"{outcome.leaves.mean():.1f}",
            ]
        )
    table(rows)
    print()
    return found


def tried(worlds: list[str], seeds: int) -> None:
    """What changes when one thing is changed, printed as a table."""
    rows = [
        ["tree by effect, 14 random days before, but", *(column for world in worlds for column in (world, "ratio"))]
    ]
    cells: dict[str, list[str]] = {name: [name] for name in possible(TRIED)}
    for world in worlds:
        traffic = Traffic.draw(WORLDS[world], seeds)
        for name in cells:
            ours, base = (simulate(traffic, make(traffic)) for make in TRIED[name])
            cells[name] += [interval(ours.regret), ratio_text(ours.regret, base.regret)]
    table([*rows, *cells.values()])
    print("ratio: to UCB1 without context at the same exploration, floor and start\n")


def main(seeds: int) -> bool:
    print(machine())
    if not find_spec("mabwiser"):
        print("LinUCB is left out: MABWiser is not installed (uv run --group bench ...)")
    print(f"{seeds} seeds, 30 days of 2,000 visits, exploration 0.1, floor 0.05\n")
    started = cpu_seconds()
    found = {world: compared(world, seeds) for world in WORLDS}
    tried(["one best arm", "best arm by group"], seeds)
    print(f"{cpu_seconds() - started:.0f} cpu seconds\n")
    met = []
    for contender in (EFFECT, OWN, LEVEL):
        for world, outcomes in found.items():
            ours, base = outcomes[contender], outcomes[BASE]
            if world == "no effect":
                share = float(ours.conversions.mean() / outcomes["uniform"].conversions.mean())
                met.append(goal(f"{contender}; {world}: conversions to those of uniform", share, 0.99, at_least=True))
            else:
                limit = 1.1 if world == "one best arm" else 0.6
                met.append(goal(f"{contender}; {world}: regret", ratio(ours.regret, base.regret)[0], limit))
    return all(met)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30)
    raise SystemExit(0 if main(parser.parse_args().seeds) else 1)
