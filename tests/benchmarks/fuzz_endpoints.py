"""Every endpoint against requests that nobody should send: no exception escapes, refusals are counted, no memory grows.

uv run python tests/benchmarks/fuzz_endpoints.py --requests 120000

The applications are asked in this process, as a server would ask them; some thousand requests also go over a socket.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_collector.serving import listen, serve
from tests.edge.end_to_end.fuzzing import fuzz
from tests.edge.end_to_end.requests import Asked, Endpoint, Fuzzed

LIMIT_MB = 8
_MEMORY = Path("/dev/shm")


def memory_mb() -> float:
    """What this process holds."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


async def in_process(fuzzed: Fuzzed, endpoint: Endpoint, chance: Random, count: int) -> float:
    """Returns by how many MB memory grew in the last two thirds."""
    await fuzz(fuzzed, endpoint, chance, count // 3)
    before = memory_mb()
    await fuzz(fuzzed, endpoint, chance, count - count // 3)
    return memory_mb() - before


async def over_a_socket(endpoint: Endpoint, chance: Random, count: int) -> int:
    """The same requests as bytes, also such as no client would write. Returns how many were answered with 500."""
    listener = listen("127.0.0.1", 0)
    serving = asyncio.create_task(serve(endpoint.application, listener, at_once=endpoint.at_once))
    failed = 0
    for asked in islice(endpoint.requests(chance), count):
        reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        try:
            writer.write(_as_bytes(asked, chance))
            if asked.cut or chance.random() < 0.5:
                writer.write_eof()
            async with asyncio.timeout(0.2):
                failed += b" 500 " in (await reader.read(2000)).partition(b"\r\n")[0]
        except (TimeoutError, ConnectionError):  # it waits for the rest of a body, or has left
            pass
        finally:
            writer.transport.abort()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    return failed


def _as_bytes(asked: Asked, chance: Random) -> bytes:
    length = () if chance.random() < 0.1 else (("content-length", str(len(asked.body)).encode()),)
    target = asked.path.encode() if chance.random() < 0.9 else asked.path.encode() + chance.randbytes(3)
    head = b"%s %s HTTP/1.1\r\nhost: x\r\n" % (asked.method.encode(), target)
    return head + b"".join(b"%s: %s\r\n" % (n.encode(), v) for n, v in (*asked.headers, *length)) + b"\r\n" + asked.body


async def run(requests: int, sockets: int, seed: int) -> int:
    worst, failed = 0.0, 0
    place = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as root:
        fuzzed = Fuzzed(Path(root))
        async with fuzzed.service.router.lifespan_context(fuzzed.service):
            print(f"{'endpoint':<10} {'requests':>9} {'seconds':>8} {'grown MB':>9}  answers")
            for endpoint in fuzzed.endpoints():
                chance, began = Random(f"{seed}/{endpoint.name}"), time.perf_counter()
                grown = await in_process(fuzzed, endpoint, chance, -(-requests // 3))
                worst = max(worst, grown)
                seconds = time.perf_counter() - began
                answers = ", ".join(f"{status}: {n:,}" for status, n in sorted(endpoint.statuses.items()))
                print(f"{endpoint.name:<10} {-(-requests // 3):>9,} {seconds:>8.1f} {grown:>9.1f}  {answers}")
                failed += await over_a_socket(endpoint, chance, sockets)
            print(f"\nOver a socket: {3 * sockets:,} requests, {failed} answered with 500")
            print("\nLeft out of bodies, by source and reason:")
            for (source, reason), n in fuzzed.collector.tally.refused.most_common():
                print(f"  {source:<10} {reason:<18} {n:>9,}")
        fuzzed.close()
    print(f"\nMemory grew by at most {worst:.1f} MB for one endpoint; goal {LIMIT_MB} MB")
    return 0 if worst <= LIMIT_MB and not failed else 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=120_000, help="over all endpoints")
    parser.add_argument("--sockets", type=int, default=1_000, help="for each endpoint")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    sys.exit(asyncio.run(run(given.requests, given.sockets, given.seed)))


if __name__ == "__main__":
    main()
