"""Which units have an arm already. A unit gets it by a record, and the record is all that is flushed before it is told.

The table `assigned`, by which a unit is known for ever, has no order in which units come, so that each row is a page of
its own to flush. It is written later, many rows at a time, and at the latest when the record goes; until then the units
are known from memory, and after a kill from their records.

What does not belong here: which arm it is (`assign`), and when what is written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from edge_collector.spool.entry import Unit

_TOLD: Final = "SELECT answer FROM assigned WHERE experiment_id = ? AND unit_id = ?"
_GIVEN: Final = "SELECT unit, body FROM records WHERE stream = 'assignments' AND typeof(unit) = 'text'"


class Arms:
    """What each unit was told when it asked first, as JSON. Only for who is at work in the file."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._given: dict[Unit, str] = {}
        """By records that may not be in the table."""
        for unit, body in db.execute(_GIVEN):
            experiment_id, _, unit_id = unit.partition("/")
            self._given[Unit(experiment_id, unit_id)] = f"{{{body}}}"

    def told(self, unit: Unit) -> str | None:
        """None where it has no arm yet."""
        if (told := self._given.get(unit)) is not None:
            return told
        found = self._db.execute(_TOLD, unit).fetchone()
        return found[0] if found else None

    def given(self, told: Mapping[Unit, str]) -> None:
        """Records that give them are durable."""
        self._given |= told

    def write(self) -> None:
        """Into the table, within a transaction; `written` when it is committed."""
        rows = [(*unit, told) for unit, told in self._given.items()]
        self._db.executemany("INSERT OR IGNORE INTO assigned VALUES (?, ?, ?)", rows)

    def written(self) -> None:
        """What was given needs its records no more."""
        self._given.clear()
