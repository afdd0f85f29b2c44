"""Bytes that no device should send, for every codec: random ones, and good ones with something changed.

What does not belong here: what comes of them (`test_fuzz`, `benchmarks/fuzz_codecs`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from edge_collector.codecs import bthome, hikvision, plain, records, zkteco
from edge_collector.codecs.records import RecordDecoder
from edge_collector.readings import AnyReading, Totals
from tests.edge.codecs.samples import (
    ADDRESS,
    ATTLOG,
    HIKVISION_JSON,
    HIKVISION_XML,
    KEY,
    OPERLOG,
    PLAIN,
    VISIT,
    form,
)

Decode = Callable[[bytes], list[AnyReading]]

_FORM, _FORM_TYPE = form(HIKVISION_JSON)
_FIRST, *_REST = [f for sequence in (5, 6) for f in records.encode(VISIT, sequence, value_bytes=20)]


def _in_between(value: bytes) -> list[AnyReading]:
    """A notification in the middle of a record, and what comes after it, from a device that sends again when told."""
    decoder = RecordDecoder(ADDRESS, "00" * 8, 5)
    readings = [r for v in (_FIRST, value, *_REST) for r in decoder.feed(v)]
    if decoder.resume_from is not None:
        decoder.resumed()
        readings += [r for v in (_FIRST, *_REST) for r in decoder.feed(v)]
    return readings


CODECS: dict[str, tuple[Decode, list[bytes]]] = {
    "bthome, plain": (
        lambda b: bthome.decode(b, ADDRESS),
        [bytes.fromhex("4000070161095060"), bytes.fromhex("403d6009210150112233445303616263")],
    ),
    "bthome, encrypted": (
        lambda b: bthome.decode(b, ADDRESS, KEY),
        [bthome.encode(Totals(device=ADDRESS, in_total=5, out_total=3, packet_id=7), key=KEY, counter=9)],
    ),
    "records, fragments": (_in_between, [f for s in (4, 5, 6) for f in records.encode(VISIT, s, value_bytes=20)]),
    "records, whole": (
        lambda b: [records.decode(b, ADDRESS, "0:1")],
        [b"".join(f[6:] for f in records.encode(VISIT, 1))[:-4]],
    ),
    "zkteco, attendance": (lambda b: zkteco.decode("ATTLOG", b, "CJ1", "Europe/Berlin"), [ATTLOG]),
    "zkteco, operations": (lambda b: zkteco.decode("OPERLOG", b, "CJ1", "Europe/Berlin"), [OPERLOG]),
    "hikvision, json": (lambda b: hikvision.decode(b, "application/json", "DS1", "UTC"), [HIKVISION_JSON]),
    "hikvision, xml": (lambda b: hikvision.decode(b, "application/xml", "DS1", "UTC"), [HIKVISION_XML]),
    "hikvision, form": (lambda b: hikvision.decode(b, _FORM_TYPE, "DS1", "UTC"), [_FORM]),
    "hikvision, type": (lambda b: hikvision.decode(_FORM, b.decode("latin-1"), "DS1", "UTC"), [_FORM_TYPE.encode()]),
    "plain": (lambda b: plain.decode(b, "till"), [PLAIN]),
}


def inputs(rng: random.Random, samples: list[bytes]) -> Iterator[bytes]:
    """Bytes without end: one in four random, the others a sample with bytes changed, cut out, doubled or put in."""
    while True:
        if rng.random() < 0.25:
            yield rng.randbytes(rng.choice((0, 1, 2, 8, 20, 40, 244, 1000)))
            continue
        changed = bytearray(rng.choice(samples))
        for _ in range(rng.choice((0, 1, 1, 2, 5))):
            at, length = rng.randrange(len(changed) + 1), rng.choice((1, 1, 1, 4, 40))
            match rng.randrange(5):
                case 0:
                    changed[at : at + length] = rng.randbytes(length)
                case 1:
                    del changed[at : at + length]
                case 2:
                    changed[at:at] = changed[at : at + length]
                case 3:
                    changed[at:at] = rng.choice(
                        (b"\0", b"{", b"[", b'"', b"<", b"\r\n", b"--", b"1e999", b"\xff", b"-")
                    )
                case _ if changed:
                    changed[at % len(changed)] ^= 1 << rng.randrange(8)
        yield bytes(changed)
