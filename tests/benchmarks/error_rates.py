"""How often verdicts are wrong under a bandit: false positives, coverage and power of `adaptive_effect` over 30 daily
batches, analysed once, and what Welch's t test would have said about the same units.

    uv run python tests/benchmarks/error_rates.py [--runs 4000]

Every line is that many experiments of which the truth is known (tests/methods/batch_bandit.py).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from measure import cpu_seconds, goal, machine, table

from tests.methods.batch_bandit import World, verdicts

GROUPS = ((0.05, 0.08, 0.12, 0.20), (0.08, 0.10, 0.10, 0.23))
WORLDS = {
    "A/A": World([[0.1, 0.1]]),
    "A/A, 3 arms": World([[0.1] * 3]),
    "A/A, 4 leaves": World([[rate] * 2 for rate in GROUPS[0]]),
    "A/A, amounts": World([[0.3, 0.3]], minimum_effect=0.8, amounts=(2, 3, 5, 10, 40)),
    "A/A, 60 units a day": World([[0.2, 0.2], [0.4, 0.4]], units=60, minimum_effect=0.1),
    "better arm": World([[0.1, 0.12]]),
    "worse arm": World([[0.1, 0.08]]),
    "best arm by leaf": World(list(zip(*GROUPS, strict=True))),
    "60 units a day": World([[0.2, 0.3], [0.4, 0.4]], units=60, minimum_effect=0.1),
}
SETTINGS = {
    "exploration 0.1, floor 0.1": {"exploration": 0.1, "floor": 0.1},
    "exploration 1, floor 0.1": {"exploration": 1.0, "floor": 0.1},
    "exploration 0.05, floor 0.02": {"exploration": 0.05, "floor": 0.02},
}
FALSE_POSITIVES, COVERAGE = (0.03, 0.07), (0.93, 0.97)


def percent(values: Sequence[bool]) -> str:
    return f"{100 * np.mean(values):.1f}"


def main(runs: int) -> bool:
    print(machine())
    print(
        f"{runs} experiments each; false positives and power are of any arm, coverage is of each arm's 95 % interval\n"
    )
    started, rates, coverages = cpu_seconds(), [], []
    for setting, values in SETTINGS.items():
        for wait in (False, True):
            print(f"{setting}, analysed {'on the last date' if wait else 'once enough units'}")
            rows = [["world", "day", "significant %", "covered %", "bias / s.e.", "Welch: significant %", "covered %"]]
            for seed, (name, world) in enumerate(WORLDS.items()):
                found = verdicts(replace(world, **values), runs, seed, wait_for_last_date=wait)
                coverages.append(float(np.mean(found.covered)))
                if name.startswith("A/A"):
                    rates.append(float(np.mean(found.any_significant)))
                rows.append(
                    [
                        name,
                        f"{np.mean(found.day):.1f}",
                        percent(found.any_significant),
                        percent(found.covered),
                        f"{np.mean(found.error) / np.mean(found.standard_error):+.2f}",
                        percent(found.plain_any_significant),
                        percent(found.plain_covered),
                    ]
                )
            table(rows)
            print()
    print(f"{cpu_seconds() - started:.0f} cpu seconds\n")
    return all(
        [
            goal("fewest false positives of any A/A world", min(rates), FALSE_POSITIVES[0], at_least=True),
            goal("most false positives of any A/A world", max(rates), FALSE_POSITIVES[1]),
            goal("lowest coverage", min(coverages), COVERAGE[0], at_least=True),
            goal("highest coverage", max(coverages), COVERAGE[1]),
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000)
    raise SystemExit(0 if main(parser.parse_args().runs) else 1)
