"""A conditional inference tree on a million rows of ten mixed covariates: fitting, and sending rows to leaves.

    uv run --group bench python tests/benchmarks/tree.py

Each measurement is one fresh process, which makes the table first; that is not part of the figure. Where R and its
package partykit are installed, its `ctree` fits the same tables beside ours, once each; it sees the factor of 24 levels
left out, because it would try all 2^23 ways to split it.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from measure import MEGABYTE, Taken, compare, goal, in_turn, machine, median_cpu, report, work

LEVELS = (2, 4, 8, 12, 24)
"""Levels of the five categorical covariates; beside them stand five continuous ones."""
FITS = ("fit binary", "fit continuous")
APPLY = "apply"


_IN_R = """
suppressMessages(library(partykit))
table <- read.csv(commandArgs(TRUE)[1], stringsAsFactors = FALSE)
for (n in grep("^c", names(table), value = TRUE)) table[[n]] <- factor(table[[n]])
if (commandArgs(TRUE)[2] == "binary") table$y <- factor(table$y)
taken <- system.time(fitted <- ctree(y ~ ., data = table))
cat(taken[["user.self"]] + taken[["sys.self"]], length(fitted))
"""


def beside_r(kind: Literal["binary", "continuous"], rows: int) -> tuple[float, int] | None:
    """The cpu-seconds of partykit's ctree and the nodes it finds; None where there is no R, or not the package."""
    if not shutil.which("Rscript"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        script, data = Path(folder, "fit.R"), Path(folder, "table.csv")
        script.write_text(_IN_R)
        table, y = make(kind, rows)
        table.drop("c5").with_columns(y=y).write_csv(data)
        done = subprocess.run(["Rscript", script, data, kind], capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    seconds, nodes = done.stdout.split()
    return float(seconds), int(nodes)


def make(kind: Literal["binary", "continuous"], rows: int) -> tuple[pl.DataFrame, pl.Series]:
    """Covariates and response."""
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
    return table, y


def run(contender: str, rows: int) -> None:
    from venue_assets.methods.conditional_inference_tree import ConditionalInferenceTree

    table, y = make("continuous" if contender == "fit continuous" else "binary", rows)
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
    for kind, name in (("binary", FITS[0]), ("continuous", FITS[1])):
        if in_r := beside_r(kind, given.rows):
            ratio = median_cpu(found[name]) / in_r[0]
            print(
                f"{name}: partykit {in_r[0]:.1f} cpu-seconds without c5, {in_r[1]} nodes; ours takes {ratio:.3f} of it"
            )
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
