"""How the tests run the `venue` command: through `main`, which the installed script calls."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

import pytest

from venue_assets.cli import main

ROOT = Path(__file__).parents[2]
SITE = ROOT / "data" / "site.toml"
SCRIPT = Path(sys.executable).with_name("venue")
DAY = "2026-01-05"
RANGE = "2026-01-05...2026-01-06"


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def venue(home: Path | None, *arguments: str) -> Ended:
    """Run a command in this process; `home` becomes VENUE_DATA. Whatever it does to the environment is undone."""
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.dict(os.environ), mock.patch.object(sys, "argv", ["venue", *arguments]):
        os.environ.pop("VENUE_DATA", None)
        if home is not None:
            os.environ["VENUE_DATA"] = str(home)
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code
    assert code is None or isinstance(code, int)
    return Ended(code or 0, out.getvalue(), err.getvalue())


def done(home: Path, *arguments: str) -> str:
    """What a command that must succeed printed."""
    ended = venue(home, *arguments)
    assert ended.code == 0, ended
    return ended.out


def on_a_terminal(home: Path, columns: int, *arguments: str) -> str:
    """What a terminal of that width shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [SCRIPT, *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
        env={**environment, "VENUE_DATA": str(home), "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # the other side was closed
        pass
    os.close(ours)
    process.wait()
    return re.sub(r"\x1b\[[0-9;?]*\w", "", shown.decode().replace("\r\n", "\n"))


def is_refused(ended: Ended, *words: str) -> None:
    """Exit code 2, nothing but one sentence, and in it the words that help."""
    assert ended.code == 2, ended
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert ended.err.startswith("error: ")
    assert ended.err.endswith("\n")
    assert ended.err.count("\n") == 1, ended.err
    for word in words:
        assert word in ended.err


def empty_home(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(SITE, root / "site.toml")
    return root


def simulated(root: Path, days: int, visits: int) -> Path:
    """A home in which the dates from `DAY` on landed, with so many visits a day."""
    done(empty_home(root), "simulate", "--days", str(days), "--visits", str(visits))
    return root


def copied(home: Path, folder: Path) -> Path:
    """A copy of a home, as `home` in the folder."""
    return Path(shutil.copytree(home, folder / "home", symlinks=True))


def files(*folders: Path) -> dict[Path, tuple[int, int, int]]:
    """Size, time of change and inode of every file: a file that was written anew differs, even with the same bytes."""
    found = (p for folder in folders for p in folder.rglob("*") if p.is_file() and p.name != ".lock")
    return {p: (s.st_size, s.st_mtime_ns, s.st_ino) for p in found for s in [p.stat()]}


if __name__ == "__main__":
    # What a home and command lines end with, as JSON: for tests whose commands need a process with other rights.
    print(json.dumps([asdict(venue(Path(sys.argv[1]), *line.split())) for line in sys.argv[2:]]))
