"""What every reader yields, and which reader a file needs. Columns that the map names must be there: checked here.

What does not belong here: how a format is read, and what the cells mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from edge_collector.foreign_files.column_map import BoundMap, CountsMap, MapError
from edge_collector.foreign_files.csv_lines import read_csv
from edge_collector.foreign_files.drafts import Reject, Row
from venue_assets.importing.typed_tables import read_parquet, read_xlsx

CSV_SUFFIXES: Final = (".csv", ".txt", ".tsv")
SUFFIXES: Final = (*CSV_SUFFIXES, ".parquet", ".xlsx")
NO_SUCH_FILE: Final = "there is no such file"


@dataclass(frozen=True)
class Source:
    """The rows of one file, and the lines that are none. `flow` is the count field that the file holds, if only one."""

    path: Path
    columns: Sequence[str]
    rows: Sequence[Row]
    rejects: Sequence[Reject]
    flow: str | None = None

    @property
    def rows_read(self) -> int:
        """Good rows and bad lines together."""
        return len(self.rows) + len(self.rejects)


def read_source(path: Path, bound: BoundMap, flow: str | None = None) -> Source:
    """The rows of a file. Raises MapError where it cannot be read, or lacks columns that the map names."""
    wanted = bound.columns()
    try:
        if path.suffix.lower() in CSV_SUFFIXES:
            columns, rows, rejects = read_csv(path, bound.map.csv)
        elif path.suffix.lower() == ".parquet":
            columns, rows, rejects = read_parquet(path, wanted.values())
        else:
            columns, rows, rejects = read_xlsx(path, bound.map.xlsx, wanted.values())
    except OSError as error:
        raise MapError(path, [f"cannot be read ({error.strerror})"]) from None
    _check_columns(path, bound, columns)
    return Source(path, columns, rows, rejects, flow)


def _check_columns(path: Path, bound: BoundMap, columns: Sequence[str]) -> None:
    wanted = bound.columns()
    mistakes = []
    if missing := [f"{name!r} ({where})" for where, name in wanted.items() if name not in columns]:
        mistakes.append(
            f"lacks columns that {bound.path.name} names: {', '.join(missing)}; it has {', '.join(columns)}"
        )
    mistakes += [
        f"{where} in {bound.path.name}: column {name!r} is there {columns.count(name)} times; once is expected"
        for where, name in wanted.items()
        if columns.count(name) > 1
    ]
    if mistakes:
        raise MapError(path, mistakes)


def choose_files(files: Sequence[Path], bound: BoundMap) -> list[tuple[Path, str | None]]:
    """The files to read, each with its flow where the map has [flows].

    A folder stands for the data files in it. Where one file of a flow is given, its counterpart beside it is taken too.
    """
    found: list[Path] = []
    for file in files:
        if file.is_dir():
            found += sorted(f for f in file.iterdir() if f.suffix.lower() in SUFFIXES)
        elif not file.is_file():
            raise MapError(file, [NO_SUCH_FILE])
        elif file.suffix.lower() not in SUFFIXES:
            raise MapError(file, [f"{file.suffix or 'no ending'} is given; one of {', '.join(SUFFIXES)} is expected"])
        else:
            found.append(file)
    place = files[0] if files else Path()
    if isinstance(bound.map, CountsMap) and bound.map.flows is not None:
        chosen = [(_flow_file(pattern, found, place, bound), flow) for flow, pattern in bound.map.flows]
        taken = {path for path, _ in chosen}
        if strange := [f.name for f in files if f.is_file() and f not in taken]:
            raise MapError(place, [f"{', '.join(strange)} is given; the map's [flows] names other files"])
        return [(path, flow) for path, flow in chosen]
    if len(found) != 1:
        raise MapError(
            place, [f"{len(found)} data files are given ({', '.join(f.name for f in found)}); one is expected"]
        )
    return [(found[0], None)]


def _flow_file(pattern: str, found: Sequence[Path], place: Path, bound: BoundMap) -> Path:
    beside = {f.parent for f in found} or {place}
    candidates = [f for f in found if fnmatchcase(f.name, pattern)] or sorted(
        f for folder in beside if folder.is_dir() for f in folder.iterdir() if fnmatchcase(f.name, pattern)
    )
    if len(candidates) != 1:
        names = ", ".join(f.name for f in candidates) or "none"
        raise MapError(place, [f"{names} found for {pattern!r} of [flows] in {bound.path.name}; one file is expected"])
    return candidates[0]
