"""The doctor: everything is looked at, nothing is changed, and whatever is wrong comes with what to do."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_collector import cli, doctor
from edge_collector.clock import SystemClock
from edge_collector.doctor import examine
from edge_collector.finding import Finding
from tests.edge.collector.box import Box, device
from tests.edge.collector.test_folder import ORDERS

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


@pytest.mark.parametrize(
    ("adapters", "bluez", "expected"),
    [
        ([], (5, 70), "this machine has no adapter"),
        (["hci0"], None, "bluetoothd is not found"),
        (["hci0"], (5, 50), "version 5.50"),
    ],
)
def test_bluetooth_is_looked_at_where_devices_need_it(
    box: Box, monkeypatch: pytest.MonkeyPatch, adapters: list[str], bluez: Any, expected: str
) -> None:
    exists, glob = Path.exists, Path.glob
    bus = "/run/dbus/system_bus_socket"
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(Path, "exists", lambda self: str(self) == bus or exists(self))
    monkeypatch.setattr(
        Path,
        "glob",
        lambda self, p: [self / a for a in adapters] if str(self) == "/sys/class/bluetooth" else glob(self, p),
    )
    monkeypatch.setattr(doctor, "_bluez_version", lambda: bluez)
    assert not any(f.subject in ("Bluetooth", "BlueZ") for f in found(box))
    box.write(EDGE + device("entrance", "bthome", address="AA:00:00:00:00:01"))
    assert expected in only(box).found


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
