"""The doctor: everything is looked at, nothing is changed, and whatever is wrong comes with what to do."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_collector import cli, doctor
from edge_collector.allocation import path_of, signed
from edge_collector.clock import SystemClock
from edge_collector.doctor import examine
from edge_collector.event_time import event_date
from edge_collector.finding import Finding
from edge_collector.signing import public_key_text
from tests.edge.collector.box import Box, device
from tests.edge.collector.test_assign import experiment
from tests.edge.collector.test_cli import PROGRAM
from tests.edge.collector.test_folder import ORDERS
from tests.edge.test_allocation import KEY, OTHER_KEY, document

EDGE = device("till", "http") + device("gateway", "gateway")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    monkeypatch.setattr(SystemClock, "synced", lambda self: True)
    return Box(tmp_path).write(EDGE)


def change(box: Box, old: str, new: str) -> None:
    text = (box.root / "edge.toml").read_text()
    assert old in text
    box.secret("edge.toml", text.replace(old, new))


def found(box: Box, level: str | None = None) -> list[Finding]:
    return [finding for finding in examine(box.gateway()) if level is None or finding.level == level]


def only(box: Box, level: str = "error") -> Finding:
    (finding,) = found(box, level)
    assert finding.remedy
    return finding


def test_a_healthy_gateway(box: Box) -> None:
    before = sorted(path.name for path in box.root.rglob("*"))
    findings = found(box)
    assert {f.level for f in findings} == {"ok"}
    subjects = [f.subject for f in findings]
    assert subjects == [
        "edge-collector", "pseudonyms", "clock", "time zone of riverside", "disk", "spool", "landing",
    ]  # fmt: skip
    assert sorted(path.name for path in box.root.rglob("*")) == before


@pytest.mark.parametrize("name", ["edge.toml", "pseudonym.key"])
def test_secrets_that_others_can_read(box: Box, name: str) -> None:
    (box.root / name).chmod(0o640)
    finding = only(box)
    assert finding.found == f"{box.root / name} can be read by others"
    assert finding.remedy == f"chmod 600 {box.root / name}"


def test_all_secrets_are_looked_at(box: Box) -> None:
    change(box, 'source = "http"', 'source = "http"\ntoken_file = "till.token"')
    change(box, "[landing]", '[pseudonyms]\nopted_out_file = "out"\n\n[landing]\nsigning_key_file = "sign"')
    (box.root / "pseudonym.key").write_text("short")
    told = " ".join(f.found for f in found(box, "error"))
    for name in ("at least 16", "till.token cannot be read", "no signing key"):
        assert name in told
    assert "short" not in told


def test_a_clock_without_a_source_is_a_warning(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SystemClock, "synced", lambda self: False)
    assert "wait a day" in only(box, "warning").found


@pytest.mark.parametrize(("free", "level"), [(10**9, "warning"), (10**6, "error")])
def test_a_disk_with_little_room(box: Box, monkeypatch: pytest.MonkeyPatch, free: int, level: str) -> None:
    usage = shutil.disk_usage(box.root)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert only(box, level).subject == "disk"


def test_a_damaged_spool(box: Box) -> None:
    (box.root / "spool.db").write_bytes(b"not a database" * 200)
    assert "is damaged" in only(box).found


def test_a_spool_that_is_damaged_inside(box: Box) -> None:
    from edge_collector.spool import Entry, Spool
    from tests.edge.collector.test_spool import stamp, visit

    spool = Spool(box.root / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**8)
    spool.take(Entry([visit(n, key=f"k{n}") for n in range(2000)]), stamp()).result()
    spool.close()
    path = box.root / "spool.db"
    content = bytearray(path.read_bytes())
    content[40_000:60_000] = os.urandom(20_000)
    path.write_bytes(content)
    assert "damaged" in only(box).found


def test_what_waits_in_the_spool_and_what_was_refused(box: Box) -> None:
    from edge_collector.seal import seal
    from edge_collector.spool import Entry, Spool
    from tests.edge.collector.test_spool import AT_ONCE, stamp, visit

    gateway = box.gateway()
    spool = Spool(box.root / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**8)
    spool.take(Entry([visit(n) for n in range(3)]), stamp()).result()
    (segment,) = seal(spool, gateway.site, AT_ONCE, stamp())
    spool.take(Entry([visit(9)]), stamp()).result()
    spool.refused(1, "other content lies there")
    spool.close()
    finding = only(box, "warning")
    assert finding.found == "1 records, 1 segments with 3 rows wait, 1 of them refused by the landing"
    assert segment.rows == 3


def test_a_landing_that_is_not_there(box: Box) -> None:
    box.landing.rmdir()
    assert "is no folder; make it, or mount the share" in only(box).found


HANGS = """
import threading
from pathlib import Path
asked = Path.is_dir
Path.is_dir = lambda path: threading.Event().wait() if path.name == {name!r} else asked(path)
import edge_collector.doctor as doctor
doctor._PATIENCE = 0.5
"""


@pytest.mark.parametrize("name", ["landing", "in"])
def test_a_share_that_hangs_does_not_hang_the_doctor(box: Box, name: str) -> None:
    change(box, "[http]", '[[folders]]\npath = "in"\nmap = "map.toml"\n\n[http]')
    (box.root / "in").mkdir()
    (box.root / "map.toml").write_text(ORDERS)
    program = HANGS.format(name=name) + PROGRAM
    asked = subprocess.run(
        [sys.executable, "-c", program, "doctor", "-c", str(box.root / "edge.toml")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert asked.returncode == 1, asked.stderr
    assert "answer within 0.5 s" in asked.stdout
    assert "1 errors" in asked.stdout


def test_a_landing_service_that_does_not_answer(box: Box) -> None:
    box.secret("token", "x")
    change(box, 'target = "landing"', 'target = "http://127.0.0.1:9"\ntoken_file = "token"')
    finding = only(box)
    assert finding.subject == "landing"
    assert "records wait in the spool" in finding.remedy


def test_a_landing_service_without_a_token(box: Box) -> None:
    change(box, 'target = "landing"', 'target = "https://landing.example"')
    assert "is given without a token" in only(box).found


def test_folders_and_their_maps(box: Box) -> None:
    change(box, "[http]", '[[folders]]\npath = "in"\nmap = "map.toml"\n\n[http]')
    assert [f.subject for f in found(box, "error")] == ["folder", "folder"]
    (box.root / "in").mkdir()
    (box.root / "map.toml").write_text(ORDERS)
    assert found(box, "error") == []
    (box.root / "in").rmdir()
    (box.root / "in").touch()
    assert "cannot be read" in only(box).found
    (box.root / "in").unlink()
    (box.root / "in").mkdir()
    (box.root / "map.toml").write_text(ORDERS.replace("[columns]", "[columns]\ncolour = 1"))
    assert "columns.colour" in only(box).found


def test_a_gateway_without_a_voice(tmp_path: Path, box: Box) -> None:
    box.write(device("till", "http"))
    assert "nobody will hear when this gateway falls silent" in only(box, "warning").found


def certificate(box: Box, days: float) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gw")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=99)).not_valid_after(now + timedelta(days=days))
    box.secret("cert.pem", made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode())
    box.secret(
        "key.pem",
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )


@pytest.mark.parametrize(("days", "level"), [(90, "ok"), (10, "warning"), (-1, "error")])
def test_a_certificate_that_ends(box: Box, days: float, level: str) -> None:
    certificate(box, days)
    change(box, 'listen = "127.0.0.1:0"', 'listen = "127.0.0.1:0"\ntls_cert = "cert.pem"\ntls_key = "key.pem"')
    (finding,) = (f for f in found(box) if f.subject == "certificate")
    assert finding.level == level
    assert (box.root / "key.pem").chmod(0o644) is None
    assert "key.pem can be read by others" in only(box).found if level != "error" else True


def test_a_certificate_that_is_none(box: Box) -> None:
    certificate(box, 90)
    box.secret("key.pem", "nothing")
    change(box, 'listen = "127.0.0.1:0"', 'listen = "127.0.0.1:0"\ntls_cert = "cert.pem"\ntls_key = "key.pem"')
    assert "are no certificate and its key" in only(box).found


class Radio:
    """What Linux and BlueZ say of the adapters of a machine."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._root, self._monkeypatch = root / "sys", monkeypatch
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr(doctor, "_SYS", self._root)
        monkeypatch.setattr(doctor, "_BUS_SOCKET", str(root))
        self.bluez((5, 70))

    def bluez(self, version: tuple[int, ...] | None) -> None:
        self._monkeypatch.setattr(doctor, "_bluez_version", lambda: version)

    def adapter(self, name: str, *, hard: int = 0, soft: int = 0) -> None:
        (self._root / "bluetooth" / name).mkdir(parents=True)
        switch = self._root / "rfkill" / f"rfkill{name[-1]}"
        switch.mkdir(parents=True)
        for what, said in {"type": "bluetooth", "name": name, "hard": hard, "soft": soft}.items():
            (switch / what).write_text(f"{said}\n")


@pytest.fixture
def radio(box: Box, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Radio:
    box.write(EDGE + device("entrance", "bthome", address="AA:00:00:00:00:01"))
    return Radio(tmp_path_factory.mktemp("machine"), monkeypatch)


async def _may(*_: object) -> Finding:
    return Finding("ok", "BlueZ", "gw may speak with it")


@pytest.mark.parametrize(
    ("adapters", "bluez", "expected"),
    [
        ([], (5, 70), "this machine has no adapter"),
        (["hci0"], None, "bluetoothd is not found"),
        (["hci0"], (5, 50), "version 5.50"),
    ],
)
def test_bluetooth_is_looked_at_where_devices_need_it(
    box: Box, radio: Radio, monkeypatch: pytest.MonkeyPatch, adapters: list[str], bluez: Any, expected: str
) -> None:
    monkeypatch.setattr(doctor, "_rights", _may)
    for name in adapters:
        radio.adapter(name)
    radio.bluez(bluez)
    assert expected in only(box).found
    box.write(EDGE)
    assert not any(f.subject in ("Bluetooth", "BlueZ") for f in found(box))


@pytest.mark.parametrize(
    ("how", "expected", "remedy"),
    [
        ({"soft": 1}, "hci0 is switched off by software", "rfkill unblock bluetooth"),
        ({"hard": 1}, "hci0 is switched off by hardware", "look for a switch, or in the BIOS"),
        ({"hard": 1, "soft": 1}, "hci0 is switched off by hardware", "look for a switch, or in the BIOS"),
    ],
)
def test_an_adapter_that_is_switched_off(
    box: Box, radio: Radio, monkeypatch: pytest.MonkeyPatch, how: dict[str, int], expected: str, remedy: str
) -> None:
    monkeypatch.setattr(doctor, "_rights", _may)
    radio.adapter("hci0", **how)
    assert (only(box).found, only(box).remedy) == (expected, remedy)
    radio.adapter("hci1")  # with another one it goes well enough
    assert found(box, "error") == []
    assert only(box, "warning").found == expected


BUS = """<busconfig>
<type>system</type><listen>unix:dir={root}</listen><auth>EXTERNAL</auth>
<policy context="default">
  <allow user="*"/><allow own="*"/><allow send_type="*"/><allow receive_type="*"/>{policy}
</policy>
</busconfig>"""


@contextmanager
def system_bus(root: Path, monkeypatch: pytest.MonkeyPatch, policy: str = "") -> Iterator[str]:
    """A system bus of our own, in the place of this machine's."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon is not installed")
    (root / "bus.conf").write_text(BUS.format(root=root, policy=policy))
    daemon = subprocess.Popen(
        ["dbus-daemon", "--nofork", "--print-address", f"--config-file={root / 'bus.conf'}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert daemon.stdout
    try:
        address = daemon.stdout.readline().strip()
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        yield address
    finally:
        daemon.kill()
        daemon.communicate()


@contextmanager
def bluetoothd(address: str, *, powered: bool) -> Iterator[None]:
    """Somebody who has BlueZ's name, and one adapter."""
    from dbus_fast import Message, Variant
    from dbus_fast.aio import MessageBus

    ready, end = threading.Event(), threading.Event()

    def answer(asked: Message) -> Message | None:
        if asked.member != "GetManagedObjects":
            return None
        adapter = {"org.bluez.Adapter1": {"Powered": Variant("b", powered)}}
        return Message.new_method_return(asked, "a{oa{sa{sv}}}", [{"/org/bluez/hci0": adapter}])

    async def serve() -> None:
        bus = await MessageBus(bus_address=address).connect()
        bus.add_message_handler(answer)
        await bus.request_name("org.bluez")
        ready.set()
        while not end.is_set():
            await asyncio.sleep(0.02)
        bus.disconnect()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        end.set()
        thread.join(10)


def test_somebody_who_may_speak_with_bluez(
    box: Box, radio: Radio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    radio.adapter("hci0")
    with system_bus(tmp_path, monkeypatch) as address:
        with bluetoothd(address, powered=True):
            assert found(box, "error") == []
            assert any(f.found.endswith("may speak with it") for f in found(box))
        with bluetoothd(address, powered=False):
            assert only(box).found == "none of its adapters is powered"
        finding = only(box)
        assert finding.found.startswith("bluetoothd does not answer: ServiceUnknown")
        assert finding.remedy == "systemctl enable --now bluetooth"
    assert "cannot use the D-Bus system bus" in only(box).found


def test_somebody_who_is_not_in_the_group_of_bluez(
    box: Box, radio: Radio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Debian has it: only root and the group `bluetooth` may."""
    radio.adapter("hci0")
    policy = '<deny send_destination="org.bluez"/>'
    with system_bus(tmp_path, monkeypatch, policy) as address, bluetoothd(address, powered=True):
        finding = only(box)
    assert finding.found.endswith("may not speak with BlueZ")
    assert "--groups bluetooth" in finding.remedy


# Where it lands -------------------------------------------------------------------------------------------------------


def test_a_landing_on_a_share_that_is_not_mounted(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    change(box, 'target = "landing"', f'target = "{box.landing}"\nmount_point = "{box.root}"')
    assert only(box).found == f"nothing is mounted at {box.root}; mount the share that {box.landing} is on"
    monkeypatch.setattr(Path, "is_mount", lambda _: True)
    assert found(box, "error") == []


@pytest.mark.parametrize("as_address", [False, True])
def test_a_landing_where_shares_are_mounted_and_none_is(
    box: Box, monkeypatch: pytest.MonkeyPatch, as_address: bool
) -> None:
    """Without a mount_point it cannot be known, but it is strange."""
    if as_address:
        change(box, 'target = "landing"', f'target = "{box.landing.as_uri()}"')
    monkeypatch.setattr(doctor, "_SHARES", (box.root,))
    monkeypatch.setattr(doctor, "_ROOT", box.root)
    finding = only(box, "warning")
    assert "lies on this machine's own disk" in finding.found
    assert "landing.mount_point" in finding.remedy


def test_a_damaged_spool_that_lies_aside(box: Box) -> None:
    from edge_collector.spool import Spool

    Spool(box.root / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**8).close()
    (box.root / "spool.db.damaged-20260101T000000").touch()
    assert "spool.db.damaged-20260101T000000: the disk is dying" in only(box, "warning").found


# Experiments ----------------------------------------------------------------------------------------------------------

SCREEN = EDGE + device("screen", "gateway")


def today() -> date:
    return event_date(datetime.now(UTC), "Europe/Berlin", time(4))


@pytest.fixture
def bandit(box: Box) -> Box:
    """A gateway that assigns by a bandit which runs today, with the fixed shares."""
    return box.write(SCREEN, experiment("voucher", "bandit", "visit", "conversion", first=today() - timedelta(days=1)))


def allocating(box: Box, source: str = "published", key: str = "") -> Box:
    text = (box.root / "edge.toml").read_text()
    public_key = key or public_key_text(KEY)
    box.secret("edge.toml", f'{text}\n[allocations]\nsource = "{source}"\npublic_key = "{public_key}"\n')
    return box


def published(box: Box, day: date, **changes: Any) -> None:
    path = path_of(box.root / "published", "voucher", day)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(signed(document(**{"event_date": str(day)} | changes), KEY))


def test_an_experiment_without_a_device_that_assigns(box: Box) -> None:
    box.write(EDGE, experiment("greeting", "randomised", "user", "conversion", first=today()))
    finding = only(box, "warning")
    assert finding.subject == "experiment greeting"
    assert finding.found == "nobody is assigned at riverside: a device of assignments is expected in edge.toml"
    assert finding.remedy == 'add it to edge.toml with source = "gateway"'
    box.write(SCREEN, experiment("greeting", "randomised", "user", "conversion", first=today()))
    assert found(box, "warning") == []


def test_an_experiment_that_has_ended_or_assigns_nobody_needs_none(box: Box) -> None:
    ended = experiment("greeting", "randomised", "user", "conversion", first=today() - timedelta(days=99))
    shelf = experiment(
        "shelf", "before_after", "venue_day", "gmv", f"changed_on = {today()}", today() - timedelta(days=1)
    )
    box.write(EDGE, ended + shelf)
    assert found(box, "warning") == []


def test_a_bandit_without_a_source_of_allocations(bandit: Box) -> None:
    assert only(bandit, "warning").found.endswith("the fixed shares hold for voucher")


def test_the_newest_allocation_is_looked_at(bandit: Box) -> None:
    allocating(bandit)
    assert "cannot be asked" in only(bandit).found  # no folder: a share that is not mounted
    (bandit.root / "published").mkdir()
    assert only(bandit, "warning").found == "published has none; the fixed shares hold"
    published(bandit, today() - timedelta(days=1))
    stale = f"stale: the newest is for {today() - timedelta(days=1)}, today is {today()}; the fixed shares hold"
    assert only(bandit, "warning").found == stale
    published(bandit, today())
    assert {f.level for f in found(bandit)} == {"ok"}
    assert found(bandit)[-1].found == f"a1, for {today()}"
    shares = {leaf: {"none": 0.25, "coffee": 0.75} for leaf in ("3", "4", "6", "7")}
    published(bandit, today(), arms=["none", "coffee"], shares=shares)
    assert only(bandit, "warning").found == "it is for the arms none, coffee; none, tea are expected"


def test_an_allocation_of_another_key(bandit: Box) -> None:
    published(bandit, today())
    finding = only(allocating(bandit, key=public_key_text(OTHER_KEY)))
    assert (finding.subject, "signature" in finding.found) == ("allocation voucher", True)
    assert "public-key.pem" in finding.remedy


def test_a_service_of_allocations_that_does_not_answer_or_does_not_know_the_token(bandit: Box) -> None:
    change(bandit, 'target = "landing"', 'target = "landing"\ntoken_file = "token"')
    bandit.secret("token", "wrong")
    allocating(bandit, "http://127.0.0.1:9")
    finding = only(bandit)
    assert finding.found.startswith("http://127.0.0.1:9 cannot be asked: ")
    assert "until then what was fetched holds" in finding.remedy

    class Nobody(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/allocations/voucher"
            self.send_error(401)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Nobody) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        change(bandit, "127.0.0.1:9", f"127.0.0.1:{service.server_port}")
        finding = only(bandit)
        service.shutdown()
    assert "does not take the token" in finding.found
    assert finding.remedy == "venue landing token add gw prints a new one"


def test_the_command_shows_it_and_exits_with_1_where_something_is_wrong(
    box: Box, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for code, last in ((0, "no errors"), (1, "1 errors; correct them and run doctor again")):
        monkeypatch.setattr(sys, "argv", ["edge-collector", "doctor", "-c", str(box.root / "edge.toml")])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr().out
        assert ended.value.code == code
        assert said.strip().endswith(last)
        box.landing.rmdir() if box.landing.exists() else None
    assert "make it, or mount the share" in said
