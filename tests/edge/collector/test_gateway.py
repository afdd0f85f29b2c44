"""Mistakes in an edge file: all are told at once, each with its path, what was given and expected; secrets never are."""

# ruff: noqa: E501  (tables read better with one case per line)

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path

import pytest

from edge_collector.gateway import EdgeFileError, Gateway, load_gateway
from edge_collector.key_file import KeyProblem
from edge_collector.people import load_people
from edge_collector.signing import public_key_text
from edge_collector.site import SiteError
from tests.edge.allocations import KEY
from tests.edge.collector.box import DEVICES, Box, device

SECRET = "5ec2e7" * 5 + "ab"
ENTRANCE = device("entrance", "bthome", address="a4:c1:38:00:00:01", key=SECRET)
ADDRESSES = {"outer_address": "AA:00:00:00:00:01", "inner_address": "AA:00:00:00:00:02"}
NORTH = device("north", "pair", common_clock=True, **ADDRESSES)
TERMINAL = device("terminal", "zkteco", serial="ZK1")
TILL = device("till", "http", token_file="till.token")
EVERYTHING = (
    ENTRANCE + NORTH + TERMINAL + TILL + device("desk", "records", address="AA:00:00:00:00:03")
    + device("screen", "gateway") + device("gateway", "gateway")
)  # fmt: skip
ALLOCATIONS = f'\n[allocations]\nsource = "../published/allocations"\npublic_key = "{public_key_text(KEY)}"\n'


def load(root: Path, edge: str = EVERYTHING, changes: tuple[tuple[str, str], ...] = (), site: str = "") -> Gateway:
    box = Box(root).write(edge, site)
    text = (root / "edge.toml").read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    box.secret("edge.toml", text)
    return box.gateway()


def mistakes(root: Path, *changes: tuple[str, str], edge: str = EVERYTHING) -> tuple[str, ...]:
    with pytest.raises(EdgeFileError) as raised:
        load(root, edge, changes)
    assert SECRET not in str(raised.value)
    assert str(raised.value).startswith(f"{root / 'edge.toml'}: ")
    return raised.value.mistakes


def test_a_whole_file_says_how_each_device_is_met(tmp_path: Path) -> None:
    gateway = load(tmp_path, EVERYTHING + ALLOCATIONS)
    met = {known.device.id: known.met for known in gateway.devices}
    assert met["entrance"].names == ("A4:C1:38:00:00:01",)
    assert met["entrance"].bindkey == bytes.fromhex(SECRET)
    assert met["north"].names == ("AA:00:00:00:00:01", "AA:00:00:00:00:02")
    assert met["terminal"].names == ("ZK1",)
    assert met["till"].names == ("riverside/till",)
    assert gateway.own_device("assignments", "riverside") is not None
    assert gateway.own_device("assignments", "elsewhere") is None
    assert gateway.file("x/y") == tmp_path / "x" / "y"
    assert gateway.file("/var/x") == Path("/var/x")


def test_one_voice_may_speak_for_several_streams(tmp_path: Path) -> None:
    edge = device("till", "records", address="AA:00:00:00:00:03") + device(
        "desk", "records", address="AA:00:00:00:00:03"
    )
    assert [known.met.name for known in load(tmp_path, edge).devices] == ["AA:00:00:00:00:03"] * 2


MISTAKES: dict[str, tuple[str, str, str]] = {
    "gateway unnamed": ('id = "gw"\n', "", "gateway.id: missing; it is required"),
    "gateway no file name": ('id = "gw"', 'id = "g/w"', "gateway.id: 'g/w' is given; letters, digits"),
    "spool tiny": ("report_seconds = 60", "spool_mb = 15", "gateway.spool_mb: 15 is given"),
    "report never": ("report_seconds = 60", "report_seconds = 0", "gateway.report_seconds: 0 is given"),
    "report half": ("report_seconds = 60", "report_seconds = 0.5", "gateway.report_seconds: 0.5 is given; a whole number"),
    "health for all": ('health = "127.0.0.1:0"', 'health = "0.0.0.0:8302"', "gateway.health: '0.0.0.0:8302' is given; an address of this machine alone"),
    "health elsewhere": ('health = "127.0.0.1:0"', 'health = "[::]:8302"', "gateway.health: '[::]:8302' is given; an address of this machine alone"),
    "health by name": ('health = "127.0.0.1:0"', 'health = "localhost.example:1"', "gateway.health: "),
    "port too high": ('health = "127.0.0.1:0"', 'health = "127.0.0.1:65536"', "gateway.health: '127.0.0.1:65536' is given; host and port"),
    "port missing": ('listen = "127.0.0.1:0"', 'listen = "127.0.0.1"', "http.listen: '127.0.0.1' is given; host and port"),
    "listen open": ('listen = "127.0.0.1:0"', 'listen = "0.0.0.0:8301"', "http.listen: '0.0.0.0:8301' is given; beyond loopback tls_cert and tls_key"),
    "certificate alone": ('listen = "127.0.0.1:0"', 'listen = "127.0.0.1:0"\ntls_cert = "c.pem"', "http.tls_key: certificate and key are expected together"),
    "body": ('listen = "127.0.0.1:0"', 'listen = "127.0.0.1:0"\nmax_body_mb = 65', "http.max_body_mb: 65 is given"),
    "http missing": ('[http]\nlisten = "127.0.0.1:0"\n', "", "http: missing; devices that send over HTTP need the listener"),
    "target unknown": ('target = "landing"', 'target = "ftp://x/y"', "landing.target: 'ftp://x/y' is given; a folder, or an address"),
    "target empty": ('target = "landing"', 'target = ""', "landing.target: '' is given"),
    "target no host": ('target = "landing"', 'target = "https://"', "landing.target: 'https://' is given"),
    "target in the clear": ('target = "landing"', 'target = "http://landing.example/"', "landing.target: 'http://landing.example/' is given; beyond this machine https://"),
    "target like loopback": ('target = "landing"', 'target = "http://localhost.example"', "landing.target: 'http://localhost.example' is given; beyond this machine"),
    "target port": ('target = "landing"', 'target = "https://x:99999"', "landing.target: 'https://x:99999' is given"),
    "mount point of a service": ('target = "landing"', 'target = "https://x"\nmount_point = "/mnt/share"', "landing: a table is given; mount_point belongs to a target that is a folder in it"),
    "mount point elsewhere": ('target = "landing"', 'target = "/mnt/share/landing"\nmount_point = "/mnt/other"', "landing: a table is given; mount_point belongs to"),
    "segment rows": ("segment_seconds = 10", "segment_rows = 0", "landing.segment_rows: 0 is given"),
    "segment seconds": ("segment_seconds = 10", "segment_seconds = 86401", "landing.segment_seconds: 86401 is given"),
    "unknown word": ("segment_seconds = 10", "seconds = 10", "landing.seconds: is not known here"),
    "unknown device": ('id = "till"', 'id = "tyll"', "devices[3].id: riverside/tyll is given; a device of gw in the site file is expected (riverside/entrance, "),
    "device twice": ('id = "till"', 'id = "terminal"', "devices[3].id: riverside/terminal is given twice"),
    "source unknown": ('source = "zkteco"', 'source = "zigbee"', "devices[2].source: 'zigbee' is given; input should be 'bthome'"),
    "source of the stream": ('source = "http"', 'source = "bthome"\naddress = "AA:00:00:00:00:09"', "devices[3].source: 'bthome' is given; records or http is expected of a device of orders"),
    "address": ("a4:c1:38:00:00:01", "a4:c1:38:00:00", "devices[0].address: 'a4:c1:38:00:00' is given; a Bluetooth address"),
    "address missing": ('address = "a4:c1:38:00:00:01"\n', "", 'devices[0]: a table is given; a device of source = "bthome" needs its Bluetooth address'),
    "serial missing": ('serial = "ZK1"\n', "", 'devices[2]: a table is given; a device of source = "zkteco" needs its serial'),
    "key short": (SECRET, SECRET[:-1], "devices[0].key: a secret is given; 32 hexadecimal digits are expected"),
    "key a number": (f'"{SECRET}"', "12345678901234567890123456789012", "devices[0].key: a secret is given"),
    "key elsewhere": ('source = "zkteco"', f'source = "zkteco"\nkey = "{SECRET}"', "devices[2].key: is given; it belongs to a source of bthome or pair only"),
    "statuses elsewhere": ('source = "http"', 'source = "http"\nstatuses = {a = "enter"}', "devices[3].statuses: is given; it belongs"),
    "statuses": ('source = "zkteco"', 'source = "zkteco"\nstatuses = {"0" = "in"}', "devices[2].statuses.0: 'in' is given; input should be 'enter' or 'leave'"),
    "token elsewhere": ('source = "bthome"', 'source = "bthome"\ntoken_file = "x"', "devices[0].token_file: is given; it belongs"),
    "pair without a clock": ("common_clock = true", "common_clock = false", "devices[1]: a table is given; a pair of raw trigger sensors needs common_clock = true"),
    "pair of one": (ADDRESSES["inner_address"], ADDRESSES["outer_address"], "devices[1]: a table is given; a pair of raw trigger sensors needs outer_address and inner_address"),
    "pair and counter of one address": (ADDRESSES["inner_address"], "A4:C1:38:00:00:01", "devices[1]: has the name A4:C1:38:00:00:01 of devices[0]; one device each is expected"),
    "device no table": (EVERYTHING, "\n[[devices]]\n", "devices[0].id: missing; it is required"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(tmp_path: Path, name: str) -> None:
    old, new, expected = MISTAKES[name]
    assert any(said.startswith(expected) for said in mistakes(tmp_path, (old, new)))


def test_a_device_in_one_bracket_shows_none_of_its_secrets(tmp_path: Path) -> None:
    (said,) = mistakes(tmp_path, ("[[devices]]", "[devices]"), ("[http]", "#"), ("listen", "#"), edge=ENTRANCE)
    assert said.startswith("devices: a table is given; input should be a valid list")


def test_at_least_one_device(tmp_path: Path) -> None:
    assert mistakes(tmp_path, edge="") == ("devices: missing; it is required",)


ALLOCATION_MISTAKES = {
    "source in the clear": (("../published/allocations", "http://landing.example"), "allocations.source: 'http://landing.example' is given; beyond this machine"),
    "source a bucket": (("../published/allocations", "s3://bucket/x"), "allocations.source: 's3://bucket/x' is given; a folder, or an address without user and password that begins with https://, file://"),
    "public key": ((public_key_text(KEY), "AAAA"), "allocations.public_key: a secret is given; a public key, base64 of 32 bytes, is expected"),
    "private key": ((public_key_text(KEY), SECRET * 2), "allocations.public_key: a secret is given; a public key"),
}  # fmt: skip


@pytest.mark.parametrize("name", ALLOCATION_MISTAKES)
def test_mistake_of_allocations(tmp_path: Path, name: str) -> None:
    change, expected = ALLOCATION_MISTAKES[name]
    (said,) = mistakes(tmp_path, change, edge=EVERYTHING + ALLOCATIONS)
    assert said.startswith(expected)


def test_all_mistakes_are_told_at_once_also_those_against_the_site(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        ("report_seconds = 60", "report_seconds = 0"),
        ('listen = "127.0.0.1:0"', 'listen = "0.0.0.0:1"'),
        (SECRET, "short"),
        ('id = "till"', 'id = "tyll"'),
        ('source = "zkteco"', 'source = "bthome"\naddress = "AA:00:00:00:00:09"'),
    )
    assert [said.partition(":")[0] for said in found] == [
        "gateway.report_seconds",
        "devices[0].key",
        "devices[2].source",
        "devices[3].id",
        "devices[2].serial",
        "http.listen",
    ]


def test_mistakes_of_both_files_are_told_together(tmp_path: Path) -> None:
    Box(tmp_path).write(EVERYTHING.replace(SECRET, "short"), 'colour = "red"\n')
    with pytest.raises(EdgeFileError) as raised:
        load_gateway(tmp_path / "edge.toml")
    assert [said.partition(":")[0] for said in raised.value.mistakes] == ["devices[0].key", "site.toml"]


def test_a_wrong_site_file_is_told_as_such(tmp_path: Path) -> None:
    Box(tmp_path).write(EVERYTHING)
    (tmp_path / "site.toml").write_text("venues = 5")
    with pytest.raises(SiteError, match="venues: 5 is given"):
        load_gateway(tmp_path / "edge.toml")
    (tmp_path / "site.toml").unlink()
    with pytest.raises(FileNotFoundError):
        load_gateway(tmp_path / "edge.toml")


@pytest.mark.parametrize("content", [b"[gateway", b"\xff\xfe", b"a = " + b"[" * 9999], ids=["cut", "bytes", "deep"])
def test_what_is_no_toml_is_told(tmp_path: Path, content: bytes) -> None:
    Box(tmp_path).write("")
    (tmp_path / "edge.toml").write_bytes(content)
    with pytest.raises(EdgeFileError, match="not valid TOML"):
        load_gateway(tmp_path / "edge.toml")


def test_a_device_of_another_gateway_is_none_of_ours(tmp_path: Path) -> None:
    box = Box(tmp_path).write(device("gateway", "gateway"), devices={"gateway": "gateway_events"})
    (tmp_path / "site.toml").write_text(
        (tmp_path / "site.toml").read_text().replace('gateway_id = "gw"', 'gateway_id = "x"')
    )
    with pytest.raises(EdgeFileError, match=r"none: site\.toml gives this gateway no device"):
        box.gateway()


def test_secrets_are_in_no_text_of_what_was_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gateway = load(tmp_path, EVERYTHING + ALLOCATIONS)
    with caplog.at_level(logging.DEBUG):
        people = load_people(gateway)
        logging.getLogger("test").info("%r %s %r", gateway, gateway.settings, people)
    shown = [repr(gateway), str(gateway.settings), gateway.settings.model_dump_json(), repr(people), caplog.text]
    for text in shown:
        assert SECRET not in text.lower()
        assert "0123456789abcdef" not in text


# Keys and lists -------------------------------------------------------------------------------------------------------


def key_problem(gateway: Gateway) -> str:
    with pytest.raises(KeyProblem) as raised:
        load_people(gateway)
    return str(raised.value)


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    gateway = load(tmp_path)
    (tmp_path / "pseudonym.key").chmod(0o640)
    assert "can be read by others; run: chmod 600" in key_problem(gateway)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "no pseudonym key"), (b"short", "at least 16 are expected"), (b"\xff" * 32, "cannot be read (not UTF-8)")],
)
def test_a_key_that_is_none_is_told(tmp_path: Path, content: bytes | None, expected: str) -> None:
    gateway = load(tmp_path)
    path = tmp_path / "pseudonym.key"
    path.unlink() if content is None else path.write_bytes(content)
    assert expected in key_problem(gateway)


def test_who_opted_out_has_no_name_here(tmp_path: Path) -> None:
    opted: tuple[tuple[str, str], ...] = (("[landing]", '[pseudonyms]\nopted_out_file = "out.txt"\n\n[landing]'),)
    Box(tmp_path).secret("out.txt", "13085\r\n\n  13086 \n")
    people = load_people(load(tmp_path, changes=opted))
    assert [people.user_id(n) for n in ("13085", "13086", None, "")] == [None] * 4
    assert str(people.user_id("13087")).startswith("k1:")
    (tmp_path / "out.txt").chmod(0o644)
    assert "can be read by others" in key_problem(load_gateway(tmp_path / "edge.toml"))


class OptOutList:
    """The list of a gateway, and what a running one makes of it."""

    def __init__(self, root: Path) -> None:
        self.box = Box(root)
        self.path = self.box.secret("out.txt", "13085\n")
        listed = ("[landing]", '[pseudonyms]\nopted_out_file = "out.txt"\n\n[landing]')
        self.people = load_people(load(root, changes=(listed,)))

    def write(self, content: bytes) -> None:
        self.path.write_bytes(content)

    def is_named(self, number: str) -> bool:
        return self.people.user_id(number) is not None

    def look(self) -> bool:
        """Twice: what changes between two looks is still being written."""
        self.people.look_again()
        return self.people.look_again()


def test_who_opts_out_while_the_gateway_runs_is_not_named_any_more(tmp_path: Path) -> None:
    out = OptOutList(tmp_path)
    assert (out.is_named("13085"), out.is_named("13086")) == (False, True)
    assert not out.look()  # nothing has changed
    out.write(b"13085\n13086\n")
    assert not out.people.look_again()  # it may be in the midst of being written
    assert out.is_named("13086")
    assert out.people.look_again()
    assert (out.is_named("13085"), out.is_named("13086")) == (False, False)
    replaced = tmp_path / "new"
    replaced.write_bytes(b"13086\n13087\n")  # as many bytes, under the same name
    replaced.chmod(0o600)
    replaced.rename(out.path)
    assert out.look()
    assert [out.is_named(n) for n in ("13085", "13086", "13087")] == [True, False, False]


BROKEN_LISTS = {
    "gone": (lambda out: out.path.unlink(), "cannot be read (No such file or directory)"),
    "open to others": (lambda out: (out.write(b"13086\n"), out.path.chmod(0o644)), "can be read by others"),
    "not UTF-8": (lambda out: out.write(b"\xff\xfe1\n"), "cannot be read (not UTF-8)"),
    "zeros after a power cut": (lambda out: out.write(bytes(512)), "line 1: one member number on each line"),
    "no lines": (lambda out: out.write(b"13085 " * 99), "line 1: one member number on each line"),
    "cut to nothing": (lambda out: out.write(b""), "is empty; where nobody has opted out, one line is expected"),
    "cut to an empty line": (lambda out: out.write(b"\n"), "is empty"),
    "cut short": (lambda out: out.write(b"13085\n130"), "ends within a line"),
    "cut short by a number": (lambda out: out.write(b"13086\n13085"), "ends within a line"),
    "by commas": (lambda out: out.write(b"13085,13086\n"), "line 1: one member number on each line"),
    "by commas and spaces": (lambda out: out.write(b"13085\n13086, 13087\n"), "line 2: one member number"),
    "a table": (lambda out: out.write(b"13085;yes\n"), "line 1: one member number on each line"),
    "quoted": (lambda out: out.write(b'"13085"\n'), "line 1: one member number on each line"),
    "a remark": (lambda out: out.write(b"13085\n\n13087 (asked on 3 May)\n"), "line 3: one member number"),
    "nobody and somebody": (lambda out: out.write(b"13085\n# nobody\n"), "line 2: one member number"),
}


@pytest.mark.parametrize("name", BROKEN_LISTS)
def test_a_list_that_cannot_be_used_leaves_the_last_good_one_in_force(tmp_path: Path, name: str) -> None:
    out = OptOutList(tmp_path)
    spoil, expected = BROKEN_LISTS[name]
    spoil(out)
    for _ in range(2):  # as long as it is so
        with pytest.raises(KeyProblem) as raised:
            out.look()
        assert expected in str(raised.value)
        assert "1308" not in str(raised.value).replace(str(tmp_path), "")  # a log is no place for a member number
        assert not out.is_named("13085")
    with pytest.raises(KeyProblem, match=re.escape(expected)):  # nor does a start name them all
        load_people(load_gateway(tmp_path / "edge.toml"))
    out.path.touch()
    out.path.chmod(0o600)
    out.write(b"13085\n13086\n")
    assert out.look()
    assert not out.is_named("13086")


def test_a_list_is_emptied_by_saying_so(tmp_path: Path) -> None:
    out = OptOutList(tmp_path)
    out.write(b"# nobody\r\n\n")
    assert out.look()
    assert out.is_named("13085")
    assert load_people(load_gateway(tmp_path / "edge.toml")).opted_out == frozenset()


def test_a_list_that_cannot_be_used_is_an_alarm(tmp_path: Path) -> None:
    from edge_collector.collector import Collector

    out = OptOutList(tmp_path)
    box = Box(tmp_path)
    box.write(
        '\n[pseudonyms]\nopted_out_file = "out.txt"\n' + device("gateway", "gateway"),
        devices={"gateway": "gateway_events"},
    )
    box.secret("edge.toml", (tmp_path / "edge.toml").read_text().replace('[http]\nlisten = "127.0.0.1:0"\n', ""))

    async def main() -> None:
        async with box.running() as running:
            collector: Collector = running
            out.write(bytes(9))
            for _ in range(2):
                await collector._look_who_opted_out()
            assert "the last list that could be read holds" in collector.tally.alarms["opted out"]
            out.write(b"13085\n")
            for _ in range(2):
                await collector._look_who_opted_out()
            assert "opted out" not in collector.tally.alarms

    asyncio.run(main())


def test_every_stream_has_a_way_in() -> None:
    from edge_collector.contract import STREAMS
    from edge_collector.gateway import SOURCES_OF

    assert set(SOURCES_OF) == set(STREAMS) == set(DEVICES.values())
