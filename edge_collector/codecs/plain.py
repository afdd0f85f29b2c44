"""The plain JSON endpoint: what tills, terminals and counters without a protocol of their own send.

    {"counts": [{"in_total": 120, "out_total": 96}],
     "visits": [{"id": "f3c1", "member_number": "13085", "direction": "enter", "at": "2026-01-31T18:30:00+01:00"}],
     "orders": [{"id": "8812/1", "order_id": "8812", "order_no": 1, "member_number": null, "category_id": "coffee",
                 "ordered_at": "2026-01-31T18:31:07+01:00", "quantity": 2, "amount": "7.60", "currency": "EUR",
                 "status": "completed"}],
     "links":  [{"id": "77", "terminal_number": "T-4", "member_number": "13085", "action": "link"}]}

Any of the lists may be missing. `id` is the sender's own of this entry, one for each state of an order line; what is
sent again under the same id is the same reading. Entries that cannot be taken are left out one by one.

What does not belong here: what an entry's fields must hold (`entries`), who may send (`sources`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError

from edge_collector.codecs.entries import CountEntry, Entry, LinkEntry, OrderEntry, Text, VisitEntry, mistakes, opaque
from edge_collector.codecs.privacy import Shape, Unreadable, take_json
from edge_collector.codecs.refusals import refuse
from edge_collector.readings import AnyReading


class _Identified(Entry):
    id: Text


_LISTS: Final[Mapping[str, type[CountEntry | VisitEntry | OrderEntry | LinkEntry]]] = {
    "counts": CountEntry,
    "visits": VisitEntry,
    "orders": OrderEntry,
    "links": LinkEntry,
}
_SHAPE: Final[Shape] = {name: dict.fromkeys(("id", *model.model_fields)) for name, model in _LISTS.items()}


def decode(body: bytes, device: str) -> list[AnyReading]:
    """The readings of one request body, and what was left out. `device` is who sent it, as its token says."""
    try:
        payload, biometrics = take_json(body, _SHAPE)
    except Unreadable as error:
        return [refuse(device, "broken", str(error))]
    readings: list[AnyReading] = [refuse(device, "biometric", count=biometrics)] if biometrics else []
    if not payload:
        readings.append(refuse(device, "broken", f"none of {', '.join(_LISTS)} is given"))
    for name, entries in payload.items():
        if not isinstance(entries, list):
            readings.append(refuse(device, "bad_entry", f"{name}: a list is expected"))
            continue
        readings += [_reading(f"{name}[{place}]", _LISTS[name], entry, device) for place, entry in enumerate(entries)]
    return readings


def _reading(
    place: str, model: type[CountEntry | VisitEntry | OrderEntry | LinkEntry], entry: object, device: str
) -> AnyReading:
    try:
        if issubclass(model, CountEntry):
            return model.model_validate(entry).reading(device)
        key = opaque(_Identified.model_validate(entry).id)
        return model.model_validate(entry).reading(device, key)
    except ValidationError as error:
        return refuse(device, "bad_entry", f"{place}.{mistakes(error)}")
