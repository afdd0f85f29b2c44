"""ZKTeco PUSH (ADMS): attendance terminals that post their log over HTTP, and what is answered to them.

| request                                         | body                                   | answer                  |
|-------------------------------------------------|----------------------------------------|-------------------------|
| GET /iclock/cdata?SN=..&options=all             |                                        | `handshake`             |
| POST /iclock/cdata?SN=..&table=ATTLOG&Stamp=..  | lines: member number, local time,      | `accepted`, lines       |
|                                                 | status, way of verifying, ... by tabs  |                         |
| POST /iclock/cdata?SN=..&table=(another)        | photographs, templates, users, ...     | `accepted`, lines       |
| GET /iclock/getrequest?SN=..                    |                                        | `IDLE`: nothing to do   |

Status 0 is checking in, 1 checking out; what others mean differs between venues. The time is the terminal's own,
without a zone. Tables of photographs and templates are acknowledged, or the terminal would send them for ever, and
refused unread: of their lines only the number is known.

What does not belong here: HTTP, and which serial numbers are this gateway's (`sources`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

from edge_collector.codecs.entries import local_instant, opaque
from edge_collector.codecs.privacy import is_biometric, is_image
from edge_collector.codecs.refusals import Reason, refuse
from edge_collector.readings import Alive, AnyReading, Dropped, Visit

Direction = Literal["enter", "leave"]

STATUSES: Final[Mapping[str, Direction]] = {"0": "enter", "1": "leave"}
IDLE: Final = "OK"

_BIOMETRIC: Final = frozenset(
    ("ATTPHOTO", "BIODATA", "BIOPHOTO", "FACE", "FINGERTMP", "FP", "FVEIN", "PALM", "TEMPLATEV10", "USERPIC")
)
"""Tables, and first words of lines of the operation log, that carry images or templates."""
_MAX_LINE: Final = 1024
_MEMBER_NUMBER: Final = re.compile(r"[0-9A-Za-z_.-]{1,32}")
_LAST_STAMP: Final = 2**32 - 1
"""Terminals count in 32 bits. One that was told more would hold back everything that it records from then on."""
_STATUS: Final = re.compile(r"[0-9]{1,3}")


def handshake(serial: str, stamp: str = "") -> str:
    """What a terminal is told when it starts: send attendance, at once, and nothing else.

    `stamp` is the last one that this terminal sent along (`stamp_of`), of records that are durable here: it need not
    send these again. Without one it goes on where it was.
    """
    since = stamp if _is_stamp(stamp) else "None"
    lines = (
        f"GET OPTION FROM: {re.sub('[^A-Za-z0-9_.-]', '', serial)}",
        f"ATTLOGStamp={since}",
        "OPERLOGStamp=None",
        "ATTPHOTOStamp=None",
        "ErrorDelay=30",
        "Delay=10",
        "TransTimes=00:00;14:05",
        "TransInterval=1",
        "TransFlag=TransData AttLog",
        "Realtime=1",
        "Encrypt=None",
    )
    return "\n".join(lines) + "\n"


def stamp_of(table: str, stamp: str, readings: Sequence[AnyReading]) -> str | None:
    """How far a terminal has come with its log, as it says itself when it posts some of it.

    None of anything else, and of a body of which no visit came: what was not understood is to be sent again.
    """
    visits = any(isinstance(reading, Visit) for reading in readings)
    return stamp if table.upper() == "ATTLOG" and _is_stamp(stamp) and visits else None


def _is_stamp(stamp: str) -> bool:
    return re.fullmatch("[0-9]{1,10}", stamp) is not None and int(stamp) <= _LAST_STAMP


def accepted(lines: int) -> str:
    """The answer to so many lines, which the terminal then does not send again."""
    return f"OK: {lines}"


def count_lines(body: bytes) -> int:
    """Lines of a body that are not empty; a photograph is one."""
    return sum(1 for line in body.splitlines() if line.strip()) if body.isascii() else 1


def decode(
    table: str,
    body: bytes,
    device: str,
    time_zone: str,
    *,
    statuses: Mapping[str, Direction] = STATUSES,
    direction: Direction | None = None,
) -> list[AnyReading]:
    """The visits of one posted table, and what was left out.

    `device` is the terminal's serial number, `time_zone` that of its clock, `direction` that of a terminal which sees
    one direction only, whatever status it gives.
    """
    name = table.upper()
    if name in _BIOMETRIC:
        return [refuse(device, "biometric", f"table {name}", max(1, count_lines(body)))]
    lines = [line for line in body.splitlines() if line.strip()]
    if name == "OPTIONS" or not lines:
        return [Alive(device=device)]
    if name == "ATTLOG":
        return _visits(_visit(line, device, time_zone, statuses, direction) for line in lines)
    reasons = Counter(_why_not(line) for line in lines)
    detail = f"table {name}" if re.fullmatch("[A-Z0-9_]{1,16}", name) else "another table"
    return [refuse(device, reason, detail, count) for reason, count in sorted(reasons.items())]


def _visits(lines: Iterable[Visit | Dropped]) -> list[AnyReading]:
    """What each line says; those that say the same and are no visit are one, or a body of them takes a gigabyte."""
    visits: list[AnyReading] = []
    left_out: Counter[Dropped] = Counter()
    for line in lines:
        if isinstance(line, Visit):
            visits.append(line)
        else:
            left_out[line] += 1
    return visits + [replace(dropped, count=count) for dropped, count in left_out.items()]


def _why_not(line: bytes) -> Literal["biometric", "not_recorded"]:
    """Why a line that is no attendance is left out."""
    word = line.split(maxsplit=1)[0][:16].decode("latin-1").upper()
    is_template = word in _BIOMETRIC or is_image(line) or is_biometric(line.decode("latin-1"))
    return "biometric" if is_template else "not_recorded"


def _visit(
    line: bytes, device: str, time_zone: str, statuses: Mapping[str, Direction], only: Direction | None
) -> Visit | Dropped:
    if len(line) > _MAX_LINE:
        reason: Reason = "biometric" if _why_not(line) == "biometric" else "too_long"
        return refuse(device, reason, f"a line of {len(line)} bytes")
    fields = [field.strip() for field in line.decode("ascii", "replace").split("\t")]
    if len(fields) < 3:
        return refuse(device, "truncated", f"{len(fields)} fields are given; at least 3, with tabs, are expected")
    number, time, status = fields[:3]
    if not _MEMBER_NUMBER.fullmatch(number) or not _STATUS.fullmatch(status):
        return refuse(device, "bad_entry", "a member number and a status are expected")
    try:
        at = local_instant(time, time_zone)
    except ValueError as error:
        return refuse(device, "bad_time", str(error))
    towards = only or statuses.get(status)
    if towards is None:
        return refuse(device, "no_direction", f"status {status}; {', '.join(statuses)} are known")
    key = opaque(device, number, time, status)
    return Visit(device=device, key=key, member_number=number, direction=towards, at=at)
