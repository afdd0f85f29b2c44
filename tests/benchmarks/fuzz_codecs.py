"""Every codec against bytes that no device should send: no exception escapes, every refusal counted, no memory grows.

uv run python tests/benchmarks/fuzz_codecs.py --inputs 100000
"""

from __future__ import annotations

import argparse
import gc
import logging
import random
import sys
import time
import tracemalloc
from collections import Counter
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_collector.codecs.refusals import REASONS
from edge_collector.readings import Dropped
from tests.edge.codecs.fuzzing import CODECS, Decode, inputs

LIMIT_KB = 512


def rounds(decode: Decode, samples: list[bytes], rng: random.Random, count: int, refused: Counter[str]) -> int:
    """Decode so many inputs; how many readings came of them. Raises whatever a codec lets escape."""
    readings = 0
    for given in islice(inputs(rng, samples), count):
        for reading in decode(given):
            if isinstance(reading, Dropped):
                assert reading.reason in REASONS
                assert reading.count >= 1
                refused[reading.reason] += reading.count
            else:
                readings += 1
    return readings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=110_000, help="over all codecs")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    each = -(-given.inputs // len(CODECS))
    total, worst = Counter[str](), 0.0
    print(f"{'codec':<20} {'inputs':>8} {'readings':>9} {'refusals':>9} {'seconds':>8} {'kept KB':>8} {'peak KB':>8}")
    for name, (decode, samples) in CODECS.items():
        rng, refused = random.Random(given.seed), Counter[str]()
        readings = rounds(decode, samples, rng, each // 4, refused)  # whatever is built once is built now
        gc.collect()
        tracemalloc.start()
        before, began = tracemalloc.get_traced_memory()[0], time.perf_counter()
        readings += rounds(decode, samples, rng, each - each // 4, refused)
        seconds = time.perf_counter() - began
        gc.collect()
        after, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        kept, high = (after - before) / 1024, (peak - before) / 1024
        worst = max(worst, kept)
        total += refused
        figures = f"{each:>8,} {readings:>9,} {refused.total():>9,} {seconds:>8.1f} {kept:>8.1f} {high:>8.1f}"
        print(f"{name:<20} {figures}")
    print(f"\n{each * len(CODECS):,} inputs, no exception; refused by reason:")
    for reason, count in total.most_common():
        print(f"  {reason:<16} {count:>9,}  {REASONS[reason]}")  # type: ignore[index]
    print(f"\nMemory kept after three quarters of the inputs: at most {worst:.1f} KB for one codec; goal {LIMIT_KB} KB")
    sys.exit(0 if worst <= LIMIT_KB else 1)


if __name__ == "__main__":
    main()
