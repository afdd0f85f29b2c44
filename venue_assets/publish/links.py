"""Hard links, links by name and copies that share blocks, and what is done on file systems that have none."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from edge_collector.durable import flush_file, flush_folder


def link(source: Path, target: Path) -> None:
    """The same file under another name."""
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def copy(source: Path, target: Path) -> None:
    """A file of its own with the same content; what shares blocks until they are written (XFS, btrfs) does it here."""
    if hasattr(os, "copy_file_range"):  # Linux
        with suppress(OSError), source.open("rb") as original, target.open("wb") as made:
            size = os.fstat(original.fileno()).st_size
            with ThreadPoolExecutor(_COPYING) as threads:
                parts = threads.map(partial(_copy_part, original.fileno(), made.fileno()), range(0, size, _PIECE))
                if sum(parts) == size:
                    return
    shutil.copyfile(source, target)


def _copy_part(original: int, made: int, start: int) -> int:
    """Copy a piece of a file; returns how many bytes were copied."""
    at = start
    while at < start + _PIECE and (copied := os.copy_file_range(original, made, start + _PIECE - at, at, at)):
        at += copied
    return at - start


def flush(folder: Path) -> None:
    """Bring a folder and what is new in it to the disk: a file with another name is of a folder where that was done."""
    for inside, _, files in os.walk(folder):
        for path in (Path(inside, name) for name in files):
            if path.stat().st_nlink == 1:
                flush_file(path)
        flush_folder(Path(inside))


def replace_link(name: Path, target: Path) -> None:
    """`name` leads to `target` from now on; before and after, never to nothing."""
    if name.is_symlink() and name.readlink() == target:
        return
    beside = _beside(name)
    beside.symlink_to(target, target_is_directory=True)
    if name.is_dir() and not name.is_symlink():
        shutil.rmtree(name)  # a copy, of when there were no links: nothing can be renamed over a folder
    beside.replace(name)


def replace_file(source: Path, target: Path) -> None:
    """`target` is the file `source` from now on; who has the earlier one open goes on reading it."""
    if target.exists() and target.samefile(source):
        return
    beside = _beside(target)
    link(source, beside)
    beside.replace(target)


def replace_copies(copies: Mapping[Path, Path]) -> None:
    """Each name is a copy of its file or folder from now on, in this order; nothing is replaced until all are made."""
    made: dict[Path, Path] = {}
    try:
        for name, source in copies.items():
            beside = made[name] = _beside(name)
            if source.is_dir():
                shutil.copytree(source, beside)
                flush(beside)
            else:
                shutil.copyfile(source, beside)
                flush_file(beside)
    except BaseException:
        for beside in made.values():
            _remove(beside)
        raise
    for name, beside in made.items():
        if name.is_dir() or name.is_symlink():
            _remove(name)  # nothing can be renamed over a folder, and no folder over a link
        beside.replace(name)


def means_no_links(error: OSError | NotImplementedError) -> bool:
    """Whether an error says that there are no links here at all, rather than that this one failed."""
    return isinstance(error, NotImplementedError) or error.errno in _NO_LINKS or _windows(error) in _NO_LINKS_ON_WINDOWS


def sweep(folder: Path, names: Iterable[str]) -> None:
    """Delete what processes that are gone left beside these names; only while no other one replaces them."""
    for name in names:
        for left in folder.glob(f".{name}.*"):
            if left.name.removeprefix(f".{name}.").isdecimal():
                _remove(left)


_PIECE: Final = 32 * 1024**2
_COPYING: Final = 2
"""Pieces at a time: what is in the memory is copied as fast as cores can."""
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
_NO_LINKS_ON_WINDOWS: Final = frozenset({1, 50, 1314})
"""No such function on this file system; not supported; a privilege that the user does not hold."""


def _windows(error: OSError) -> int | None:
    return getattr(error, "winerror", None)


def _beside(name: Path) -> Path:
    """A free name in the same folder."""
    beside = name.with_name(f".{name.name}.{os.getpid()}")
    _remove(beside)
    return beside


def _remove(path: Path) -> None:
    """A file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
