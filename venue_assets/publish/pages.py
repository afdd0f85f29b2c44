"""What other rooms write into a publication: the Power BI project and the data dictionary.

They depend on definitions and the site, not on rows: while those stay as they are, the files of the publication before
are linked. What the rooms write is their own affair.
"""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from venue_assets.publish.links import link_tree

POWERBI: Final = "powerbi"
DICTIONARY: Final = "dictionary"
_ROOMS: Final = ("powerbi", "dictionary")


def write(folder: Path, publication_id: str, before: Path | None) -> None:
    """Both, into the folder of a publication; from the one `before` where nothing that they depend on changed."""
    for name, write_anew in ((POWERBI, _power_bi), (DICTIONARY, _dictionary)):
        if before and (before / name).is_dir():
            link_tree(before / name, folder / name)
        else:
            (folder / name).mkdir()
            write_anew(folder / name, publication_id)


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


def _power_bi(folder: Path, publication_id: str) -> None:
    if write_project := _function("venue_assets.powerbi.project", "write_project"):
        write_project(folder, publication_id=publication_id)


def _dictionary(folder: Path, publication_id: str) -> None:
    if write_dictionary := _function("venue_assets.dictionary", "write_dictionary"):
        write_dictionary(folder)


def _function(module: str, name: str) -> Any:
    """Imported when it is needed, because it takes long; None where the room is not furnished yet."""
    try:
        return getattr(import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name and module.startswith(error.name):
            return None
        raise
