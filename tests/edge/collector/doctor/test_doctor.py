"""The doctor: everything is looked at, nothing is changed, and whatever is wrong comes with what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge_collector import cli, doctor
from edge_collector.clock import SystemClock
from edge_collector.spool import Entry, Spool
from edge_collector.spool.seal import seal
from tests.edge.collector.box import Box, device
from tests.edge.collector.doctor.examined import change, found, only
from tests.edge.collector.folder.exports import ORDERS
from tests.edge.collector.spooled import AT_ONCE, stamp, visit
from tests.edge.collector.test_cli import PROGRAM


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
    spool = Spool(box.root / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**8)
    spool.take(Entry([visit(n, key=f"k{n}") for n in range(2000)]), stamp()).result()
    spool.close()
    path = box.root / "spool.db"
    content = bytearray(path.read_bytes())
    content[40_000:60_000] = os.urandom(20_000)
    path.write_bytes(content)
    assert "damaged" in only(box).found


def test_what_waits_in_the_spool_and_what_was_refused(box: Box) -> None:
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
    Spool(box.root / "spool.db", gateway_id="gw", boot_id="b1", max_bytes=10**8).close()
    (box.root / "spool.db.damaged-20260101T000000").touch()
    assert "spool.db.damaged-20260101T000000: the disk is dying" in only(box, "warning").found


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
