"""Files that are whole or absent, whatever happens in between: a kill, a power cut, a second writer.

Everything is written beside its place first, into a hidden file that ends with `.part`. A kill can leave such a file;
readers never look at one, and whoever owns the folder may delete it.

What does not belong here: what the files mean.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

PART_SUFFIX: Final = ".part"
_NO_LINKS: Final = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def write_atomically(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """`content` at `path`, whole or not at all, in the place of what was there; flushed, the folder too."""
    with staged({path: content}, mode=mode) as parts:
        parts[path].replace(path)
    flush_folder(path.parent)


def create_atomically(path: Path, content: bytes) -> bool:
    """`content` at `path`, whole or not at all, if there is nothing yet; returns whether that was so.

    Its name survives a power cut after `flush_folder`.
    """
    with staged({path: content}) as parts:
        return name_first(parts[path], path)


def name_first(part: Path, path: Path) -> bool:
    """Give a staged file its name, if nothing has that name yet; returns whether that was so.

    Of several writers at once exactly one is first.
    """
    try:
        os.link(part, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # FAT and some network shares have no links. A second writer of the name could slip in here, and only here.
        if path.exists():
            return False
        part.replace(path)
    return True


@contextmanager
def staged(contents: Mapping[Path, bytes], *, mode: int = 0o666) -> Iterator[Mapping[Path, Path]]:
    """The contents of several paths, flushed, each in a part beside its path; gone afterwards unless renamed.

    All are written before the first is flushed, so that a file system with a journal flushes them together.
    """
    parts = {path: path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART_SUFFIX}") for path in contents}
    with ExitStack() as opened:
        files: list[BinaryIO] = []
        for path, part in parts.items():
            opened.callback(part.unlink, missing_ok=True)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            files.append(opened.enter_context(os.fdopen(descriptor, "wb")))
            files[-1].write(contents[path])
            files[-1].flush()
        for file in files:
            os.fsync(file.fileno())
            file.close()
        yield parts


def make_folder(path: Path) -> None:
    """The folder and those above it, in a way that survives a power cut."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    flush_folder(path.parent)


def flush_file(path: Path) -> None:
    """Make the content of a file that was written survive a power cut."""
    with path.open("r+b") as file:  # Windows flushes only what is open to be written
        os.fsync(file.fileno())


def flush_folder(path: Path) -> None:
    """Make renames in a folder survive a power cut. Windows has no such thing and needs none."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
