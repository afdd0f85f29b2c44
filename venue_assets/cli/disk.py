"""Whether folders can be written, found out by writing, and how much room there is: for the doctor, and for whoever
has to say why a command could not go on."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from venue_assets.home import Home

_TRIAL: Final = 64 * 1024
"""What a trial writes: as much as SQLite needs beside a database to open it."""
_OF_THE_DISK: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(p for p in (path, *path.parents) if p.exists())


def free_bytes(path: Path) -> int:
    """Room on the disk on which the path lies, or would lie."""
    return shutil.disk_usage(existing(path)).free


def size(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 else f"{count / 1024**2:.1f} MiB"


def written_folders(home: Home) -> dict[str, Path]:
    """The folders that commands write to, by name."""
    return {
        "landing": home.landing,
        "lake": home.lake,
        "published": home.published,
        "dagster": home.dagster,
        "dagster/history": home.dagster / "history",
    }


def trouble(folder: Path) -> str:
    """Why a folder cannot be written, found out by writing a few KB; nothing where it can."""
    try:
        with tempfile.TemporaryFile(dir=existing(folder)) as trial:
            trial.write(b"\0" * _TRIAL)
            trial.flush()
            os.fsync(trial.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return ""


def explained(error: BaseException, home: Home) -> str:
    """What a command ran into, in one sentence, where a file, a disk or Dagster's databases were it; else nothing."""
    causes = list(_causes(error))
    full = any(said in str(e) for e in causes for said in ("No space left on device", "disk is full"))
    database = any(isinstance(e, sqlite3.DatabaseError) for e in causes)
    system = [e for e in causes if isinstance(e, OSError)]
    named = next((e for e in system if e.filename and e.strerror), None)
    if not (full or database or named or any(e.errno in _OF_THE_DISK for e in system)):
        return ""
    for folder in reversed(written_folders(home).values()):  # what is asked most often comes first
        if why := trouble(folder):
            return unwritable(folder, why)
    if full:
        return unwritable(home.root, "No space left on device")
    if named and not database:
        return f"{named.filename}: {named.strerror}; look whether its disk is there, then run the command again"
    return (
        f"{home.dagster} cannot be used ({str(causes[-1]).splitlines()[0]}); look at the files in it, or move it aside:"
        " it holds runs and events, no figures"
    )


def unwritable(folder: Path, why: str) -> str:
    """That a folder cannot be written, how much room there is, and what to do, in one sentence."""
    return (
        f"{folder} cannot be written ({why}; {size(free_bytes(folder))} free on its disk); {remedy(folder, why)}, then "
        "run the command again; venue doctor looks at every folder"
    )


def remedy(folder: Path, why: str) -> str:
    """What to do about a folder that cannot be written."""
    if "space" in why or "quota" in why:
        return "make room on that disk"
    if "Read-only" in why:
        return "mount that disk for writing"
    if existing(folder).is_file():
        return f"move the file {existing(folder)} away, a folder is expected there"
    return f"give this user the right to write {existing(folder)}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
