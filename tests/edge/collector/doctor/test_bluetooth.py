"""The doctor of Bluetooth: the adapter, BlueZ, and whether this user may speak with it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_collector import doctor
from edge_collector.finding import Finding
from tests.edge.collector.box import Box, device
from tests.edge.collector.doctor.examined import EDGE, found, only


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
