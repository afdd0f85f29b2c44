"""A conditional inference tree on a million rows of ten mixed covariates: fitting, and sending rows to leaves.

    uv run --group bench python tests/benchmarks/tree.py

Each measurement is one fresh process, which makes the table first; that is not part of the figure.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from typing import Literal

from measure import MEGABYTE, Taken, compare, goal, in_turn, machine, median_cpu, report, work

LEVELS = (2, 4, 8, 12, 24)
"""Levels of the five categorical covariates; beside them stand five continuous ones."""
FITS = ("fit binary", "fit continuous")
APPLY = "apply"


def run(contender: str, rows: int) -> None:
    import numpy as np
    import polars as pl

    from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree

    kind: Literal["binary", "continuous"] = "continuous" if contender == "fit continuous" else "binary"
    generator = np.random.default_rng(1)
    x = generator.standard_normal((5, rows))
    c = [generator.integers(0, levels, rows) for levels in LEVELS]
    # A slope, a step that only some levels have, a factor of many levels; x3 to x5, c1, c3 and c4 are noise.
    score = 0.4 * x[0] + 0.8 * (x[1] > 0.5) * np.isin(c[1], (0, 2)) + 0.3 * np.sin(c[4])
    if kind == "binary":
        y = pl.Series("y", generator.random(rows) < 1 / (1 + np.exp(1 - score)))
    else:
        y = pl.Series("y", score + generator.standard_normal(rows))
    table = pl.DataFrame({f"x{i + 1}": values for i, values in enumerate(x)}).with_columns(
        pl.Series(f"c{i + 1}", codes).cast(pl.String).cast(pl.Enum([str(level) for level in range(levels)]))
        for i, (codes, levels) in enumerate(zip(c, LEVELS, strict=True))
    )
    del x, c, score
    tree = ConditionalInferenceTree()
    if contender in FITS:
        with work() as taken:
            tree.fit(table, y)
    else:
        tree.fit(table, y)
        with work() as taken:
            tree.apply(table)
    leaves = sum(node.split is None for node in tree.nodes)
    report(taken, nodes=len(tree.nodes), leaves=leaves)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--contender", choices=(*FITS, APPLY), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        run(given.contender, given.rows)
        return
    found = in_turn(__file__, (*FITS, APPLY), ["--rows", str(given.rows)], times=given.times)
    print(f"{given.rows:,} rows x 10 covariates, {given.times} runs; {machine()}\n")
    compare(found, FITS[0], records=given.rows)
    for name in FITS:
        print(f"{name}: {found[name][0].figures['nodes']} nodes, {found[name][0].figures['leaves']} leaves")
    print()
    met = [
        goal("cpu seconds to fit a binary response", median_cpu(found["fit binary"]), 2),
        goal("cpu seconds to fit a continuous response", median_cpu(found["fit continuous"]), 3),
        goal("peak MB of a process that fits", max(_peak(found[name]) for name in FITS), 1024),
        goal("cpu seconds to send all rows to their leaves", median_cpu(found[APPLY]), 0.2),
        goal("seconds to send all rows to their leaves", statistics.median(t.wall for t in found[APPLY]), 0.2),
    ]
    sys.exit(0 if all(met) else 1)


def _peak(taken: list[Taken]) -> float:
    return max(t.peak_bytes for t in taken) / MEGABYTE


if __name__ == "__main__":
    main()
