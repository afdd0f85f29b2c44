"""Hard links and links by name, and what is done on file systems that have none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def link(source: Path, target: Path) -> None:
    """The same file under another name."""
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def link_tree(source: Path, target: Path) -> None:
    """The same files in another folder."""
    for folder, _, names in os.walk(source):
        there = target / Path(folder).relative_to(source)
        there.mkdir(parents=True, exist_ok=True)
        for name in names:
            link(Path(folder, name), there / name)


def replace_link(name: Path, target: Path) -> None:
    """`name` leads to `target` from now on; before and after, never to nothing."""
    if name.is_symlink() and name.readlink() == target:
        return
    beside = name.with_name(f".{name.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target, target_is_directory=True)
    beside.replace(name)


def replace_file(source: Path, target: Path) -> None:
    """`target` is the file `source` from now on; who has the earlier one open goes on reading it."""
    if target.exists() and target.samefile(source):
        return
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    link(source, beside)
    beside.replace(target)


def replace_copy(source: Path, target: Path) -> None:
    """`target` is a copy of the file or folder `source` from now on."""
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    if source.is_dir():
        shutil.copytree(source, beside)
        shutil.rmtree(target, ignore_errors=True)
    else:
        shutil.copyfile(source, beside)
    beside.replace(target)
