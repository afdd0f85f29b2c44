"""The command as people and systemd run it: real processes, exit codes, and one clear sentence for what is wrong."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from edge_collector import cli
from edge_collector.spool import Spool
from tests.edge.collector.box import Box, device
from tests.edge.collector.folder.exports import FOLDER, ORDERS
from tests.edge.collector.test_crash import free_port, order

EDGE = device("till", "http") + device("gateway", "gateway")
# A machine that runs tests often has no time source; its records would wait for one. And a landing that is not there
# is waited for at the end, here for a second.
PROGRAM = (
    "import edge_collector.clock as clock; clock.SystemClock.synced = lambda self: True\n"
    "import edge_collector.collector as collector; collector._LAST_WORDS = 1.0\n"
    "from edge_collector.cli import main; main()"
)


def command(*arguments: str | Path, first: str = "", patient: bool = False) -> list[str]:
    program = PROGRAM.replace("_LAST_WORDS = 1.0", "_LAST_WORDS = 10.0") if patient else PROGRAM
    return [sys.executable, "-c", first + program, *map(str, arguments)]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path).write(EDGE)


def listen_on(box: Box, port: int) -> None:
    text = (box.root / "edge.toml").read_text()
    box.secret("edge.toml", text.replace('listen = "127.0.0.1:0"', f'listen = "127.0.0.1:{port}"'))


@contextmanager
def running(box: Box, first: str = "", *, patient: bool = False) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its health address; killed if a test fails. `first` is done before it begins."""
    process = subprocess.Popen(
        command("run", "-c", box.root / "edge.toml", first=first, patient=patient),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        found = re.search(r"http://[^/]+", said)
        assert found, said + (process.stderr.read() if process.stderr else "")
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


def wrong(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The sentence with which the command ends; nothing else is said."""
    monkeypatch.setattr(sys, "argv", ["edge-collector", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    return said.err.removeprefix("error: ").strip()


def test_it_collects_until_sigterm_and_everything_has_landed(box: Box) -> None:
    port = free_port()
    listen_on(box, port)
    with running(box) as (process, health):
        for n in range(20):
            answer = httpx.post(f"http://127.0.0.1:{port}/readings/riverside/till", json=order(n), trust_env=False)
            assert answer.json()["written"] == 1, answer.text
        state = httpx.get(f"{health}/health", trust_env=False).json()
        assert (state["status"], state["gateway_id"]) == ("ok", "gw")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert "what was captured is landed" in out
    assert {r["order_id"] for r in box.landed("orders")} == {f"o{n}" for n in range(20)}
    assert any(r["kind"] == "heartbeat" for r in box.landed("gateway_events"))


def test_without_a_landing_it_works_and_keeps_everything(box: Box) -> None:
    port = free_port()
    listen_on(box, port)
    box.landing.rmdir()
    with running(box) as (process, _):
        httpx.post(f"http://127.0.0.1:{port}/readings/riverside/till", json=order(1), trust_env=False)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 0
    spool = Spool(box.root / "spool.db", gateway_id="gw", boot_id="b", max_bytes=10**9)
    assert spool.depth().segment_rows >= 2
    spool.close()
    box.landing.mkdir()
    with running(box) as (process, _):
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert len(box.landed("orders")) == 1


class Silence:
    """A landing that takes connections and says nothing, ever."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()


NAMES_HANG = """
import socket, threading
asked = socket.getaddrinfo
def hang(host, *more, **named):
    if host in ("landing.example", b"landing.example"):
        threading.Event().wait()
    return asked(host, *more, **named)
socket.getaddrinfo = hang
"""
SHARE_HANGS = """
import threading
import edge_collector.ship.object_store as object_store
object_store.create_atomically = lambda *_: threading.Event().wait()
"""
FOLDER_HANGS = """
import threading
import edge_collector.sources.folder as folder
folder.FolderWatcher._settled = lambda _: threading.Event().wait()
"""
UPLINKS = {
    "refuses": "",
    "is silent": "",
    "has a name that nobody tells": NAMES_HANG,
    "is a share that hangs": SHARE_HANGS,
    "hangs, and a watched folder": SHARE_HANGS + FOLDER_HANGS,
}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("uplink", UPLINKS)
def test_it_stops_at_once_where_the_uplink_is_dead_and_loses_nothing(
    box: Box, monkeypatch: pytest.MonkeyPatch, uplink: str, how: signal.Signals
) -> None:
    port = free_port()
    listen_on(box, port)
    with Silence() as silence:
        address = {
            "refuses": f"http://127.0.0.1:{free_port()}",
            "is silent": silence.address,
            "has a name that nobody tells": "https://landing.example",
        }.get(uplink, "landing")
        text = (box.root / "edge.toml").read_text().replace("segment_seconds = 10", "segment_seconds = 1")
        box.secret("token", "x")
        (box.root / "in").mkdir()
        (box.root / "till.toml").write_text(ORDERS)
        text += FOLDER.format(path="in", map="till")
        box.secret("edge.toml", text.replace('target = "landing"', f'target = "{address}"\ntoken_file = "token"'))
        with (
            running(box, UPLINKS[uplink], patient=True) as (process, _),
            socket.create_connection(("127.0.0.1", port)) as slow,
        ):
            slow.sendall(b"POST /readings/riverside/till HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
            for n in range(3):
                url = f"http://127.0.0.1:{port}/readings/riverside/till"
                assert httpx.post(url, json=order(n), trust_env=False).status_code == 200
            time.sleep(1.5)  # by then some of it is on its way
            began = time.monotonic()
            process.send_signal(how)
            out, _ = process.communicate(timeout=60)
            took = time.monotonic() - began
            assert process.returncode == 0
            assert out.startswith("stopped; ")
    assert took < 4  # two, and a machine that does other things
    spool = Spool(box.root / "spool.db", gateway_id="gw", boot_id="b", max_bytes=10**9)
    assert spool.depth().records == 0  # sealed
    assert spool.depth().segment_rows > 3
    spool.close()


def alarm_of(health: str) -> str:
    return str(httpx.get(f"{health}/health", trust_env=False).json()["alarms"].get("spool damaged"))


def test_a_file_that_is_no_spool_any_more_stops_nobody(box: Box) -> None:
    (box.root / "spool.db").write_bytes(b"no database at all, but long enough to be looked at" * 99)
    with running(box) as (process, health):
        assert "states, records, assigned, delivered, segments cannot be read" in alarm_of(health)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert box.landed("gateway_events")
    assert len(list(box.root.glob("spool.db.damaged-*"))) == 1


def test_damage_that_is_met_while_it_works_makes_a_new_beginning_by_itself(box: Box) -> None:
    """A start looks for ten seconds at most; here not at all."""
    from tests.edge.collector.damaged_spool import damage, fill, page_of

    path = box.root / "spool.db"
    fill(path)
    damage(path, page_of(path, b'"k1:3000"'))
    blind = "from edge_collector.spool import Spool; Spool.check = lambda *_: ''\n"
    with running(box, blind) as (process, _):
        assert process.stdout is not None
        guard = threading.Timer(60, process.kill)
        guard.daemon = True
        guard.start()
        health = re.search(r"http://[^/]+", process.stdout.readline())  # of the second collector
        assert health
        assert "something of records cannot be read" in alarm_of(health[0])
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0
    landed = {r["seq"] for r in box.landed("face_visits") if r["boot_id"] == "b1"}
    assert 5000 - 60 < len(landed) < 5000


def test_one_collector_at_a_time_has_a_spool(
    box: Box, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(box):
        done = subprocess.run(command("run", "-c", box.root / "edge.toml"), capture_output=True, text=True, timeout=60)
        assert done.returncode == 2
        assert done.stderr.endswith("is in use by another edge-collector; stop that one first\n")
        examined = subprocess.run(
            command("doctor", "-c", box.root / "edge.toml"), capture_output=True, text=True, timeout=60
        )
        assert "is in use by a running edge-collector; ask its /health" in examined.stdout
        assert examined.returncode == 0, examined.stdout


@pytest.mark.parametrize("which", ["health", "listen"])
def test_a_port_that_is_taken(
    box: Box, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], which: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        text = (box.root / "edge.toml").read_text()
        box.secret("edge.toml", text.replace(f'{which} = "127.0.0.1:0"', f'{which} = "{address}"'))
        said = wrong(monkeypatch, capsys, "run", "-c", box.root / "edge.toml")
    why = "cannot be listened on (Address already in use)"
    assert said == f"{address} {why}; choose another gateway.health or http.listen in edge.toml"


def old_spool(box: Box) -> None:
    import sqlite3

    db = sqlite3.connect(box.root / "spool.db")
    db.execute("PRAGMA user_version=99")
    db.close()


def replace(old: str, new: str, file: str = "edge.toml") -> object:
    def change(box: Box) -> None:
        text = (box.root / file).read_text()
        assert old in text
        box.secret(file, text.replace(old, new))

    return change


WRONG = {
    "no file": (lambda box: (box.root / "edge.toml").unlink(), r"edge\.toml: No such file or directory; look at"),
    "a folder": (lambda box: ((box.root / "edge.toml").unlink(), (box.root / "edge.toml").mkdir()), "Is a directory"),
    "no site": (lambda box: (box.root / "site.toml").unlink(), r"site\.toml: No such file or directory"),
    "a wrong site": (replace('"EUR"', '"euro"', "site.toml"), r"site\.toml: venues\[0\]\.currency: 'euro' is given"),
    "mistakes": (replace('id = "till"', 'id = "tyll"'), r"edge\.toml: devices\[0\]\.id: riverside/tyll is given"),
    "no key": (lambda box: (box.root / "pseudonym.key").unlink(), "no pseudonym key: set VENUE_PSEUDONYM_KEY"),
    "an open key": (lambda box: (box.root / "pseudonym.key").chmod(0o644), "can be read by others; run: chmod 600"),
    "no token": (replace('source = "http"', 'source = "http"\ntoken_file = "till.token"'), "till.token cannot be read"),
    "an empty token": (
        lambda box: (replace('source = "http"', 'source = "http"\ntoken_file = "t"')(box), box.secret("t", "\n")),  # type: ignore[operator]
        "is empty; a token is expected",
    ),
    "no landing token": (replace('target = "landing"', 'target = "https://x"'), "is given without a token"),
    "no certificate": (
        replace('listen = "127.0.0.1:0"', 'listen = "127.0.0.1:0"\ntls_cert = "c.pem"\ntls_key = "k.pem"'),
        "are no certificate and its key",
    ),
    "no signing key": (replace('target = "landing"', 'target = "landing"\nsigning_key_file = "s"'), "no signing key"),
    "a later spool": (old_spool, "has layout 99; this edge-collector reads"),
    "no folder of a spool": (replace('id = "gw"', 'id = "gw"\nspool = "edge.toml/spool.db"'), "edge.toml: "),
    "no map": (
        replace("[http]", '[[folders]]\npath = "in"\nmap = "map.toml"\n\n[http]'),
        r"map\.toml: the map cannot be read",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_ends_with_one_sentence(
    box: Box, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    change, expected = WRONG[name]
    change(box)  # type: ignore[operator]
    assert re.search(expected, wrong(monkeypatch, capsys, "run", "-c", box.root / "edge.toml"))


def test_an_unknown_option(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert "see: edge-collector --help" in wrong(monkeypatch, capsys, "run", "--colour")


def test_every_command_has_an_example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("run", "doctor", "simulate"):
        monkeypatch.setattr(sys, "argv", ["edge-collector", name, "--help"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0
        assert "Example" in capsys.readouterr().out
