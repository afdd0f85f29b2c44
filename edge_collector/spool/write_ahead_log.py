"""Whether SQLite left something of a write-ahead log unread that had been flushed.

After a kill SQLite reads the log up to the first frame that is not as it was written, and overwrites the rest. Mostly
that is the tail of a transaction that nobody was told of. Where a sector was lost, it is all that was durable behind.

What does not belong here: what is done about it (`file`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_MAGIC: Final = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")


def has_more(log: Path, frames: int, page_size: int) -> bool:
    """Whether behind the first so many frames, which SQLite has read, others follow that had been flushed.

    A transaction is flushed before the next one writes: a frame behind another that ends a transaction proves it. The
    last transaction of all cannot be told from one that a power cut tore, and is not looked at.
    """
    with log.open("rb") as file:
        header = file.read(_HEADER)

        def frame(number: int) -> tuple[bytes, bool]:
            """Its salts, by which frames of one round through the log are known, and whether it ends a transaction."""
            file.seek(_HEADER + number * (_FRAME_HEADER + page_size))
            read = file.read(_FRAME_HEADER)
            return read[8:16], any(read[4:8])

        # Without its first sector, the second frame knows them.
        salts = header[16:24] if header[:4] in _MAGIC else frame(1)[0]
        if not any(salts):
            return False
        ended = False
        while (found := frame(frames))[0]:
            frames += 1
            if found[0] == salts:
                if ended:
                    return True
                ended = found[1]
    return False
