"""The spool: what was captured waits here, through kills and power cuts, until the landing has confirmed it.

spool.py             taking, counting, handing out and forgetting, each in one transaction
entry.py             what is put in and what comes out
arms.py              which units have an arm already
file.py              the SQLite file: tables, opening, older layouts, what errors say of it
write_ahead_log.py   whether SQLite left something of its log unread
seal.py              records become segments

What does not belong here: a damaged file (`edge_collector.salvage`), where segments go (`ship`).
"""

from edge_collector.spool.entry import Capture, Depth, Entry, Replacement, SealedSegment, Stamp, Taken, Unit
from edge_collector.spool.file import SpoolDamaged, SpoolProblem
from edge_collector.spool.spool import OWN_FIELDS, REMEMBERED, Spool, SpoolFull

__all__ = [
    "OWN_FIELDS",
    "REMEMBERED",
    "Capture",
    "Depth",
    "Entry",
    "Replacement",
    "SealedSegment",
    "Spool",
    "SpoolDamaged",
    "SpoolFull",
    "SpoolProblem",
    "Stamp",
    "Taken",
    "Unit",
]
