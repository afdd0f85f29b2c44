"""What other rooms write into a publication: the Power BI project and the data dictionary.

They depend on definitions and on the publication's id, which they name, not on rows: while the definitions stay, the
files of the publication before are taken with the other id. What the rooms write is their own affair.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from venue_assets.publish.links import link
from venue_assets.publish.names import DICTIONARY, POWERBI

_ROOMS: Final = ("powerbi", "dictionary")


def write(folder: Path, publication_id: str) -> None:
    """Both, into the folder of a publication."""
    # Imported when they are needed, because that takes long.
    from venue_assets.dictionary import write_dictionary
    from venue_assets.powerbi.project import write_project

    for name in (POWERBI, DICTIONARY):
        (folder / name).mkdir()
    write_project(folder / POWERBI, publication_id=publication_id)
    write_dictionary(folder / DICTIONARY, publication_id=publication_id)


def take_over(folder: Path, publication_id: str, before: Path, id_before: str) -> None:
    """The same from the publication `before`, whose definitions are the same: only its id is another one."""
    for source in sorted(path for name in (POWERBI, DICTIONARY) for path in (before / name).rglob("*")):
        target = folder / source.relative_to(before)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            continue
        content = source.read_bytes()
        if (anew := content.replace(id_before.encode(), publication_id.encode())) == content:
            link(source, target)
        else:
            target.write_bytes(anew)


def code() -> str:
    """Changes when what writes them changes."""
    root = Path(__file__).parents[1]
    files = [
        path
        for room in _ROOMS
        for path in sorted((root / room).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
