"""A real test: 64,000 customers, no e-mail or one of two at random; who visited the shop? Policies are learned on one
half of the customers, and what they would have brought is estimated on the other half.

    uv run python tests/benchmarks/hillstrom.py [--splits 20]

A policy gives each leaf the arm with its highest mean in the learning half. Its value on the other half is estimated by
inverse propensity weighting (IPW: visits of those whose arm was the policy's, times three), the same self-normalised
(SNIPS), and augmented (AIPW: means of leaf and arm of the learning half, corrected by what they missed). Figures are
means over splits, intervals those of 95 % of one split: splits share customers, so more of them do not narrow it.

Data: MineThatData e-mail analytics challenge (Hillstrom 2008), in ../shared/data/hillstrom.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from closed_loop import Past, Target, grow, leaves_of
from measure import cpu_seconds, goal, machine, table
from numpy.typing import NDArray

from venue_assets.methods.context_groups import ALPHA

FloatArray = NDArray[np.float64]

FILE = Path(__file__).resolve().parents[3] / "shared/data/hillstrom/hillstrom.csv.gz"
ARMS = ("No E-Mail", "Mens E-Mail", "Womens E-Mail")
COVARIATES = ("recency", "history", "mens", "womens", "zip_code", "newbie", "channel")
SEED = 2008
LEARNED: dict[str, Target | None] = {
    "best on average": None,
    "tree by reward": "reward",
    "tree by effect": "effect",
    "arms of the rewarded": "arms of the rewarded",
}
GIVEN: dict[str, FloatArray] = {
    **{f"all {arm}": np.eye(len(ARMS))[position] for position, arm in enumerate(ARMS)},
    "uniform": np.full(len(ARMS), 1 / len(ARMS)),
}
ESTIMATORS = ("IPW", "SNIPS", "AIPW")
Z = 1.96


@dataclass(frozen=True)
class Judged:
    """A policy on one split: per estimator the customers' scores, whose mean is its value; and its leaves."""

    scores: FloatArray
    leaves: int

    def against(self, other: Judged) -> tuple[FloatArray, FloatArray]:
        """Difference of values and half the width of its interval, per estimator, from the same customers."""
        return mean_and_width(self.scores - other.scores)


def mean_and_width(scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    return scores.mean(axis=1), Z * scores.std(axis=1, ddof=1) / np.sqrt(scores.shape[1])


def read() -> Past:
    customers = pl.read_csv(FILE, infer_schema_length=None)
    arm = customers["segment"].cast(pl.Enum(ARMS)).to_physical().to_numpy().astype(np.int64)
    share = np.full((len(arm), len(ARMS)), 1 / len(ARMS))
    return Past(customers.select(COVARIATES), arm, customers["visit"].to_numpy() == 1, share)


def leaf_means(learn: Past, judge: Past, target: Target | None, rng: np.random.Generator) -> tuple[FloatArray, int]:
    """Per customer to be judged the learning half's mean reward of each arm in his leaf; and the number of leaves."""
    both = pl.concat([learn.covariates, judge.covariates])
    leaf = leaves_of(grow(learn, target, ALPHA, rng), both) if target else np.zeros(both.height, dtype=np.int64)
    known, asked = np.split(leaf, [len(learn.arm)])
    n, total = np.zeros((2, leaf.max() + 1, len(ARMS)))
    np.add.at(n, (known, learn.arm), 1)
    np.add.at(total, (known, learn.arm), learn.reward)
    return (total / np.maximum(n, 1))[asked], len(n)


def score(judge: Past, chance: FloatArray, expected: FloatArray) -> FloatArray:
    """Scores of a policy that gives each arm with `chance`: a row per estimator."""
    got, reward = np.eye(len(ARMS))[judge.arm], judge.reward.astype(np.float64)
    weight = (chance * got / judge.share).sum(axis=1)
    value = (weight * reward).sum() / weight.sum()
    # SNIPS is a ratio of means; these scores have its value as their mean, and its error by the delta method.
    normalised = value + weight * (reward - value) / weight.mean()
    augmented = (chance * expected).sum(axis=1) + weight * (reward - (expected * got).sum(axis=1))
    return np.stack([weight * reward, normalised, augmented])


def judged(customers: Past, split: int) -> dict[str, Judged]:
    """Every policy on one split."""
    rng = np.random.default_rng([SEED, split])
    learning = rng.permutation(len(customers.arm)) < len(customers.arm) // 2
    learn, judge = customers.where(learning), customers.where(~learning)
    means = {name: leaf_means(learn, judge, target, rng) for name, target in LEARNED.items()}
    # The same for all, so that policies differ in the scores of those customers only whom they give another arm.
    expected, _ = means["tree by reward"]
    found = {}
    for name, (mean, leaves) in means.items():
        found[name] = Judged(score(judge, np.eye(len(ARMS))[mean.argmax(axis=1)], expected), leaves)
    for name, chance in GIVEN.items():
        found[name] = Judged(score(judge, np.broadcast_to(chance, expected.shape), expected), 1)
    return found


def percent(mean: float, width: float, sign: str = "") -> str:
    return f"{100 * mean:{sign}.2f} ± {100 * width:.2f}"


def main(splits: int) -> bool:
    print(machine())
    started, customers = cpu_seconds(), read()
    print(f"{len(customers.arm):,} customers, {splits} random halves, seed {SEED}\n")
    found = [judged(customers, split) for split in range(splits)]
    names = [*LEARNED, *GIVEN]
    rows = [["visits per 100 customers", *ESTIMATORS, "AIPW, least and most", "leaves"]]
    for name in names:
        values, widths = np.mean([mean_and_width(split[name].scores) for split in found], axis=0)
        each = [100 * split[name].scores[-1].mean() for split in found]
        leaves = np.mean([split[name].leaves for split in found])
        cells = [percent(*pair) for pair in zip(values, widths, strict=True)]
        rows.append([name, *cells, f"{min(each):.2f} to {max(each):.2f}", f"{leaves:.1f}"])
    table(rows)
    print()
    gains: dict[tuple[str, str], tuple[float, float]] = {}
    rows = [["more than (AIPW)", *GIVEN, "splits above, below 0 against the best fixed arm"]]
    best = max(list(GIVEN)[:-1], key=lambda name: np.mean([split[name].scores[-1].mean() for split in found]))
    for name in LEARNED:
        for other in GIVEN:
            mean, width = np.mean([[x[-1] for x in split[name].against(split[other])] for split in found], axis=0)
            gains[name, other] = float(mean), float(width)
        each = [tuple(float(x[-1]) for x in split[name].against(split[best])) for split in found]
        clear = f"{sum(m > w for m, w in each)}, {sum(m < -w for m, w in each)} of {splits}"
        rows.append([name, *(percent(*gains[name, other], sign="+") for other in GIVEN), clear])
    table(rows)
    print(f"the best fixed arm of all customers: {best}\n{cpu_seconds() - started:.0f} cpu seconds\n")
    met = []
    for name in LEARNED:
        mean, width = gains[name, "uniform"]
        met.append(
            goal(f"{name}: lower end of what it brings above uniform, per 100", 100 * (mean - width), 0, at_least=True)
        )
        mean, _ = gains[name, best]
        met.append(goal(f"{name}: what it brings above {best}, per 100", 100 * mean, 0, at_least=True))
    return all(met)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=20)
    if not FILE.exists():
        raise SystemExit(f"{FILE} is not there: this benchmark needs the shared data folder beside the repository.")
    raise SystemExit(0 if main(parser.parse_args().splits) else 1)
