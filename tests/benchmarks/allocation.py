"""Handing out a million visits to five arms, all in one leaf or spread over many. Beside it: ten thousand in Python.

    uv run python tests/benchmarks/allocation.py

Each measurement in a fresh process, in turn; counted is `allocate` alone, from arrays to shares.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from measure import compare, goal, in_turn, machine, median_cpu, report, work

VISITS, ARMS = 1_000_000, 5
LEAVES = (1, 100, 10_000, 100_000)
SMALL = 10_000
CONTENDERS = (
    *(f"UCB1, leaves {leaves}" for leaves in LEAVES),
    "UCB1, never seen",
    "KLUCB, leaves 1",
    "UCBV, leaves 1",
    f"one by one, {SMALL} visits",
)


def measure(contender: str) -> None:
    from venue_assets.methods.ucb import KLUCB, UCB1, UCBV, allocate

    kind, _, rest = contender.partition(", ")
    if kind == "one by one":
        from tests.methods.test_allocation import one_by_one

        with work() as taken:
            given = one_by_one([40, 90, 20, 10, 50], [0.1, 0.12, 0.08, 0.1, 0.11], SMALL, 0.2)
        report(taken, visits=sum(given))
        return
    index = {"UCB1": UCB1(0.2), "KLUCB": KLUCB(), "UCBV": UCBV()}[kind]
    leaves = 1 if rest == "never seen" else int(rest.removeprefix("leaves "))
    rng = np.random.default_rng(1)
    n = np.zeros((leaves, ARMS)) if rest == "never seen" else rng.integers(0, 200, (leaves, ARMS))
    mean = rng.random((leaves, ARMS)) * 0.2
    forecast = np.full(leaves, VISITS // leaves)
    with work() as taken:
        allocation = allocate(n, mean, forecast, index=index, variance=mean * (1 - mean), floor=0.05)
    report(taken, visits=int(allocation.visits.sum()))


def main() -> bool:
    print(machine())
    found = in_turn(__file__, CONTENDERS)
    compare(found, CONTENDERS[0])
    print()
    counted = [name for name in CONTENDERS if not name.startswith("one by one")]
    met = [goal(f"cpu seconds, a million visits, {name}", median_cpu(found[name]), 1.0) for name in counted]
    return all(met)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contender", choices=CONTENDERS)
    contender = parser.parse_args().contender
    if contender:
        measure(contender)
        sys.exit()
    raise SystemExit(0 if main() else 1)
