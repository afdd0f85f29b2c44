"""What can be wrong with a record or with its line: each trap changes one thing and has a name."""

import json
from collections.abc import Callable, Iterable

from tests.oracle.landing_writer import DAMAGES, PACKINGS, Raw, padded, stamp, with_extra
from tests.oracle.places import DAY, GATEWAYS, HOUR, MS, US
from tests.oracle.stories import Draft, World

# Traps in a record ----------------------------------------------------------------------------------------------------

INSTANTS = ("recorded_at", "interval_start", "interval_end", "ordered_at")
NULLABLE = {
    "boundary_counts": ("unpaired_count",),
    "entrance_counts": ("unpaired_count", "out_count", "out_total"),
    "orders": ("user_id",),
    "assignments": ("leaf_id", "allocation_id"),
    "gateway_events": ("subject", "value", "detail"),
}
ENUMERATIONS = ("clock", "direction", "status", "action", "kind")
COUNTS = ("in_count", "out_count", "unpaired_count", "in_total", "out_total")
NO_INSTANT: tuple[Callable[[str], str | Raw], ...] = (
    lambda t: t.replace("T", " "),
    lambda t: t.replace("T", "t"),
    lambda t: t[:19],  # no offset
    lambda t: t[:19] + "+0100",
    lambda t: t[:19] + "+01",
    lambda t: t[:19] + "z",
    lambda t: t[:19] + "+24:00",
    lambda t: t[:19] + "+01:60",
    lambda t: t[:19] + ".1234567Z",
    lambda t: t[:19] + ".Z",
    lambda t: t[:19] + ",123Z",
    lambda t: t[:16] + "Z",
    lambda t: t[:17] + "60Z",
    lambda t: t[:11] + "24:00:00Z",
    lambda t: t[:5] + "02-30" + t[10:],
    lambda t: t[:5] + "13-01" + t[10:],
    lambda t: t[:10].replace("-", "") + t[10:],
    lambda t: " " + t,
    lambda t: t + " ",
    lambda t: t + "\n",
    lambda t: t[:3] + "\uff16" + t[4:],  # a full-width digit
    lambda t: t[:19] + "Z[UTC]",
    lambda t: Raw("1774742400"),
    lambda t: Raw("1774742400000"),
)
NO_AMOUNT = (
    *("1,50", "1.234", ".5", "5.", " 1.00", "1.00 ", "1e2", "+1.00", "--1", "NaN", "Infinity", "1_0", "0x10", "-", "."),
    *("١.00", "12345678901234567", "12345678901234567.00", "1.00\n", "€1.00", "1.0.0"),
    *(Raw("1.5"), Raw("1"), Raw("null"), Raw('""'), Raw('["1.00"]')),
)
NO_INTEGER = (
    *(Raw("5.0"), Raw("5e0"), Raw("5E1"), Raw("true"), Raw("false"), Raw("NaN"), Raw("Infinity"), Raw("-Infinity")),
    *("5", " 5", Raw("[5]"), Raw("{}"), Raw("9223372036854775808"), Raw("-9223372036854775809"), Raw("1" + "0" * 30)),
)
NO_TEXT = (Raw("5"), Raw("1.5"), Raw("true"), Raw("[]"), Raw("{}"), Raw('["a"]'), Raw('{"a":1}'))
LONE_SURROGATES = (r'"\ud800"', r'"\udc00"', r'"a\ud83d"', r'"\ude00\ud83d"', r'"\ud83d\ud83d\ude00"', r'"\uDBFFx"')

Trap = Callable[[World, Draft], None]


def names_of(draft: Draft, kind: type | tuple[type, ...]) -> list[str]:
    return [n for n, v in draft.record.items() if isinstance(v, kind) and not isinstance(v, bool)]


def required(world: World, draft: Draft) -> str:
    return world.pick(n for n in draft.record if n not in NULLABLE.get(draft.stream, ()))


def setting(names: Iterable[str], values: Iterable) -> Trap:
    """Puts one of the values in one of the fields, where the stream has one of them."""
    names, values = tuple(names), tuple(values)

    def trap(world: World, draft: Draft) -> None:
        present = [name for name in names if name in draft.record]
        if present:
            draft.record[world.pick(present)] = world.pick(values)

    return trap


def trap_missing(world: World, draft: Draft) -> None:
    del draft.record[required(world, draft)]


def trap_null(world: World, draft: Draft) -> None:
    draft.record[required(world, draft)] = None


def trap_empty(world: World, draft: Draft) -> None:
    draft.record[required(world, draft)] = ""


def trap_other_case(world: World, draft: Draft) -> None:
    """A name in another case is another name, so the field is missing; or it is there twice and one is ignored."""
    name = required(world, draft)
    draft.record[name.upper()] = draft.record[name] if world.chance() else draft.record.pop(name)


def trap_integer(world: World, draft: Draft) -> None:
    draft.record[world.pick(names_of(draft, int))] = world.pick(NO_INTEGER)


def trap_text(world: World, draft: Draft) -> None:
    draft.record[world.pick(names_of(draft, str))] = world.pick(NO_TEXT)


def trap_instant(world: World, draft: Draft) -> None:
    name = world.pick(n for n in INSTANTS if n in draft.record)
    if not isinstance(draft.record[name], Raw):
        draft.record[name] = world.pick(NO_INSTANT)(str(draft.record[name]))


def trap_enumeration(world: World, draft: Draft) -> None:
    name = world.pick(n for n in ENUMERATIONS if n in draft.record)
    draft.record[name] = world.pick((str.upper, str.title, lambda t: t + " ", lambda t: "no_" + t))(draft.record[name])


def trap_surrogate(world: World, draft: Draft) -> None:
    draft.record[world.pick((*names_of(draft, str), "extra"))] = Raw(world.pick(LONE_SURROGATES))


def trap_nullable(world: World, draft: Draft) -> None:
    """A nullable field left out, null or empty is null; of a wrong type it is not."""
    if draft.stream in NULLABLE:
        name = world.pick(NULLABLE[draft.stream])
        value = world.pick((None, "", Raw("true"), Raw("5.0"), Raw("[]"), Raw("5"), "5", ...))
        if value is ...:
            draft.record.pop(name, None)
        else:
            draft.record[name] = value


def trap_number(world: World, draft: Draft) -> None:
    if draft.stream == "assignments":
        texts = ("0", "0.0", "1.0000001", "-0.5", "2", "-1", "NaN", "Infinity", '"0.5"', "true", "1.0", "1e-9", "[]")
        draft.record["propensity"] = Raw(world.pick(texts))


def trap_device(world: World, draft: Draft) -> None:
    """A device that exists, but not for this venue, gateway and stream; or not at all."""
    draft.record["device_id"] = world.pick((*(d["id"] for d in world.site["devices"]), "nobody", "FACE_VISITS_A"))


def trap_venue(world: World, draft: Draft) -> None:
    draft.record["venue_id"] = world.pick((*(v["id"] for v in world.site["venues"]), "nowhere", "HALL", "hall "))


def trap_folder(world: World, draft: Draft) -> None:
    draft.folder += world.pick((-DAY, DAY))


def trap_year(world: World, draft: Draft) -> None:
    name = world.pick(n for n in INSTANTS if n in draft.record)
    draft.record[name] = world.pick(("2099", "1970", "2025")) + str(draft.record[name])[4:]


def trap_total(world: World, draft: Draft) -> None:
    """Totals just below and exactly at the interval's own counts."""
    for total, count in (("in_total", "in_count"), ("out_total", "out_count")):
        if type(draft.record.get(count)) is int and draft.record.get(total) is not None:
            draft.record[total] = draft.record[count] - world.pick((0, 1))


def trap_interval(world: World, draft: Draft) -> None:
    """An interval without duration, or backwards; by the wall clock it may look forward, and the reverse."""
    if "interval_end" in draft.record:
        zone = world.pick(("Asia/Kathmandu", "America/St_Johns"))
        draft.record["interval_end"] = stamp(draft.counted + world.pick((0 * MS, -US, US, -HOUR)), zone, 6)


RECORD_TRAPS: dict[str, Trap] = {
    "missing": trap_missing,
    "null": trap_null,
    "empty": trap_empty,
    "other_case": trap_other_case,
    "no_integer": trap_integer,
    "no_text": trap_text,
    "no_instant": trap_instant,
    "no_enumeration": trap_enumeration,
    "no_number": trap_number,
    "no_amount": setting(("amount",), NO_AMOUNT),
    "lone_surrogate": trap_surrogate,
    "nullable": trap_nullable,
    "name_part": setting(("gateway_id", "boot_id"), ("a-b", "", "ü", "a b", "a/b")),
    "venue": trap_venue,
    "device": trap_device,
    "gateway": setting(("gateway_id",), GATEWAYS),
    "wrong_folder": trap_folder,
    "year": trap_year,
    "negative_count": setting(COUNTS, (-1, -(2**63))),
    "total": trap_total,
    "interval": trap_interval,
    "quantity": setting(("quantity",), (0, -1, 1)),
    "negative_amount": setting(("amount",), ("-0.01", "-1", "-0.00")),
    "currency": setting(("currency",), ("XXX", "eur", "EUR", "USD")),
    "other_seq": setting(("seq",), (5, 2**63 - 1, -1)),
}

# Traps in a line ------------------------------------------------------------------------------------------------------

LINE_TRAPS: dict[str, tuple[Callable[[bytes], bytes], ...]] = {
    "not_utf8": (
        lambda line: line.replace(b'"', b'"\xff', 1),
        lambda line: with_extra(line, b'"\xed\xa0\x80"'),  # a surrogate, encoded
        lambda line: with_extra(line, b'"\xc0\xaf"'),  # over-long
        lambda line: with_extra(line, b'"\xe4\xbc"'),  # cut
        lambda line: with_extra(line, b'"\xf4\x90\x80\x80"'),  # above U+10FFFF
        lambda line: line + b"\x80",
        lambda line: line.decode().encode("utf-16"),
    ),
    "bom": (lambda line: b"\xef\xbb\xbf" + line,),
    "not_json": (
        lambda line: line[:-1] + b",}",
        lambda line: line[:-1],
        lambda line: line[1:],
        lambda line: line + line,
        lambda line: line + b" " + line,
        lambda line: line + b",",
        lambda line: line + b"\x00",
        lambda line: line.replace(b'"', b"'"),
        lambda line: line + b"//",
        lambda line: b"/**/" + line,
        lambda line: with_extra(line, b"01"),
        lambda line: with_extra(line, b".5"),
        lambda line: with_extra(line, b"+1"),
        lambda line: with_extra(line, b"0x1"),
        lambda line: with_extra(line, b"[1,]"),
        lambda line: with_extra(line, b"True"),
        lambda line: with_extra(line, b"undefined"),
        lambda line: with_extra(line, b'"\t"'),  # a control character inside text
        lambda line: with_extra(line, b'"\\x41"'),
        lambda line: with_extra(line, b'"\\u12"'),
        lambda line: with_extra(line, b"\xc2\xa01"),  # a no-break space is no white space
        lambda line: b"\x0c" + line,
        lambda line: b"hello",
    ),
    "not_an_object": (
        lambda line: b"[" + line + b"]",
        lambda line: b"null",
        lambda line: b"5",
        lambda line: b'"text"',
        lambda line: b"{}",
        lambda line: b"[]",
        lambda line: json.dumps(line.decode()).encode(),
    ),
    "nan_extra": (lambda line: with_extra(line, b"NaN"), lambda line: with_extra(line, b"[-Infinity,Infinity]")),
    "twice": (
        lambda line: b'{"seq":"first",' + line[1:],
        lambda line: b'{"clock":null,"clock":"synced",' + line[1:],
        lambda line: line[:-1] + b',"venue_id":"hall"}',
        lambda line: line[:-1] + b',"recorded_at":null}',
        lambda line: line[:-1] + b',"user_id":"u"}',
        lambda line: line[:-1] + b',"s\\u0065q":123456}',
    ),
    "extra": (
        lambda line: with_extra(line, b'[1,{"a":null,"seq":7}]'),
        lambda line: with_extra(line, b'"\xe2\x80\xa8\xf0\x9f\x98\x80\\/\\u0041\\ud83d\\ude00"'),
        lambda line: with_extra(line, b"1e-5"),
        lambda line: with_extra(line, b"123456789012345678901234567890"),
        lambda line: with_extra(line, b"-0.0"),
        lambda line: line[:-1] + b',"":0," ":1,"seq ":2,"a.b":3}',
        lambda line: line[:-1] + b',"Seq":1,"USER_ID":"other","Amount":5}',
        lambda line: line[:-1] + b',"line":1,"segment":"x","event_date":"2020-01-01","stream":"y","reason":1}',
    ),
    "deep": (
        lambda line: with_extra(line, b"[" * 100 + b"]" * 100),
        lambda line: with_extra(line, b'{"a":' * 100 + b"1" + b"}" * 100),
        lambda line: with_extra(line, b"[" * 400 + b"]" * 400),
        lambda line: with_extra(line, b'{"a":' * 400 + b"1" + b"}" * 400),
        lambda line: with_extra(line, b"[" * 20000 + b"]" * 20000),
        lambda line: with_extra(line, b'"' + b"[{" * 400 + b'"'),  # brackets in text are no depth
        lambda line: with_extra(line, b"[" + b"[]," * 400 + b"1]"),  # broad, not deep
    ),
    "long": (
        lambda line: padded(line, 65536),
        lambda line: padded(line, 65537),
        lambda line: padded(line, 70000),
        lambda line: padded(line, 65536) + b"\r",
        lambda line: b" " * 70000 + line,
    ),
    "around": (
        lambda line: line + b"\r",
        lambda line: b" \t" + line + b" \t\r",
        lambda line: line.replace(b'{"', b'{ \t"', 1),
    ),
    "blank_line": (lambda line: b"\n" + line, lambda line: line + b"\n", lambda line: b"\n\n\n" + line),
    "whitespace_line": (lambda line: line + b"\n\r", lambda line: b"  \n" + line, lambda line: b"\t\n" + line),
}

FEATURES = ("duplicate", "tight_created_at", "keys_reversed", *PACKINGS)
TRAPS = (*RECORD_TRAPS, *LINE_TRAPS, *DAMAGES, *FEATURES)
