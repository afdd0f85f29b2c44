"""`edge.toml`: one gateway, its devices and their secrets, where it keeps its spool and where it lands. Read here only.

The file holds keys and tokens, or the names of files that do: it must be readable by its owner alone. Paths in it are
relative to its folder. What each device is to the venue (stream, counting, position) stands in the site file, once.

What does not belong here: `site.toml` (`site`), and whether what the file names can be reached (`doctor`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator

from edge_collector.settings import Entry, Id, Name, SettingsError, Whole, mistake
from edge_collector.signing import public_key_of
from edge_collector.site import Device, Site, SiteError, Venue, load_site

Source = Literal["bthome", "pair", "records", "zkteco", "hikvision", "http", "gateway"]
SOURCES_OF: Final[dict[str, tuple[str, ...]]] = {
    "boundary_counts": ("bthome", "pair", "http"),
    "entrance_counts": ("bthome", "pair", "http"),
    "face_visits": ("records", "zkteco", "hikvision", "http"),
    "orders": ("records", "http"),
    "identity_links": ("records", "http"),
    "assignments": ("gateway",),
    "gateway_events": ("gateway",),
}
"""By which ways the records of a stream can come. Order files come by watched folders, which name their device."""
_OVER_HTTP: Final = ("zkteco", "hikvision", "http")
_BELONGS: Final[dict[str, tuple[str, ...]]] = {
    "address": ("bthome", "records"),
    "serial": ("zkteco", "hikvision"),
    "key": ("bthome", "pair"),
    "token_file": _OVER_HTTP,
    "statuses": ("zkteco", "hikvision"),
    "direction": ("zkteco", "hikvision"),
    "outer_address": ("pair",),
    "inner_address": ("pair",),
    "common_clock": ("pair",),
}
"""Which fields of a device mean something to which sources; anywhere else they are a misunderstanding."""
E = TypeVar("E", bound=Entry)


class EdgeFileError(SettingsError):
    """Everything that is wrong with an edge file."""


def _address(text: str) -> str:
    if not re.fullmatch(r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}", text):
        raise ValueError("a Bluetooth address such as A4:C1:38:00:00:01 is expected")
    return text.upper()


def _hex_key(key: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[0-9A-Fa-f]{32}", key.get_secret_value()):
        raise ValueError("32 hexadecimal digits are expected")
    return key


def _listen(text: str) -> str:
    match = re.fullmatch(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})", text, re.ASCII)
    if match is None or int(match[2]) > 65535:
        raise ValueError('host and port such as "127.0.0.1:8301" are expected')
    return text


def _here(text: str) -> str:
    if not _is_loopback(_listen(text)):
        raise ValueError("an address of this machine alone is expected: 127.0.0.1, [::1] or localhost")
    return text


def _split(address: str) -> tuple[str, int]:
    """Host and port of what `_listen` has let pass."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _is_loopback(address: str) -> bool:
    host, _ = _split(address)
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address_of(*schemes: str) -> Callable[[str], str]:
    """A check of addresses: one of these schemes, or a folder; the token goes by plain HTTP to this machine only."""

    def check(text: str) -> str:
        if "://" not in text and text:
            return text
        try:
            url = urlsplit(text)
            host, _ = url.hostname, url.port
        except ValueError:
            url, host = urlsplit(""), None
        if url.scheme not in (*schemes, "http") or (not host and url.scheme != "file") or url.username is not None:
            listed = ", ".join(f"{scheme}://" for scheme in schemes)
            raise ValueError(
                f"a folder, or an address without user and password that begins with {listed}, is expected"
            )
        if url.scheme == "http" and not _is_loopback(f"{host}:0"):
            raise ValueError("beyond this machine https:// is expected, for the token is a secret")
        return text

    return check


def _ed25519(text: str) -> str:
    try:
        public_key_of(text)
    except ValueError:
        raise ValueError("a public key, base64 of 32 bytes, is expected") from None
    return text


class GatewayPart(Entry):
    """The gateway itself. Times are seconds."""

    id: Name
    site: str = "site.toml"
    spool: str = "spool.db"
    spool_mb: Annotated[Whole, Field(ge=16)] = 2048
    report_seconds: Annotated[Whole, Field(ge=1, le=3600)] = 60
    """How long an interval of counts lasts."""
    heartbeat_seconds: Annotated[Whole, Field(ge=1, le=86400)] = 300
    health: Annotated[str, AfterValidator(_here)] = "127.0.0.1:8302"
    """Where /health, /metrics and /assign answer; loopback."""

    @property
    def health_address(self) -> tuple[str, int]:
        """Host and port."""
        return _split(self.health)


class Pseudonyms(Entry):
    """Where the key of pseudonyms lies, its epoch, and who opted out."""

    key_file: str = "pseudonym.key"
    epoch: Name = "k1"
    opted_out_file: str | None = None
    """Member numbers, one a line, that are counted but never given an id; `# nobody` where there are none."""


class Landing(Entry):
    """Where segments go, and when one is finished: at so many rows, or so many seconds after its first record."""

    target: Annotated[str, AfterValidator(_address_of("https", "s3", "file"))]
    mount_point: str | None = None
    """Of a folder on a share: while nothing is mounted there, nothing is written."""
    token_file: str | None = None
    ca_file: str | None = None
    signing_key_file: str | None = None
    segment_rows: Annotated[Whole, Field(ge=1, le=1_000_000)] = 20_000
    segment_seconds: Annotated[Whole, Field(ge=1, le=86400)] = 60

    @model_validator(mode="after")
    def _is_mounted(self) -> Landing:
        folder = self.target.removeprefix("file://")
        if self.mount_point is not None and not Path(folder).is_relative_to(self.mount_point):
            raise ValueError("mount_point belongs to a target that is a folder in it")
        return self


class Http(Entry):
    """Where devices and tills may send to. Beyond loopback only with TLS and a token for each device."""

    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:8301"
    tls_cert: str | None = None
    tls_key: str | None = None
    max_body_mb: Annotated[Whole, Field(ge=1, le=64)] = 8

    @property
    def host(self) -> str:
        return _split(self.listen)[0]

    @property
    def port(self) -> int:
        return _split(self.listen)[1]

    @property
    def is_loopback(self) -> bool:
        return _is_loopback(self.listen)


class Allocations(Entry):
    """Where the shares of bandits come from: the landing service, or a folder; and whose signature they must bear."""

    source: Annotated[str, AfterValidator(_address_of("https", "file"))]
    public_key: Annotated[str, AfterValidator(_ed25519)]
    """Ed25519, base64 of the 32 bytes."""
    refresh_seconds: Annotated[Whole, Field(ge=1)] = 900


class GatewayDevice(Entry):
    """One device of site.toml as this gateway meets it."""

    id: Id
    venue_id: Id
    source: Source
    address: Annotated[str, AfterValidator(_address)] | None = None
    serial: Id | None = None
    key: Annotated[SecretStr, AfterValidator(_hex_key)] | None = None
    """Of encrypted advertisements."""
    token_file: str | None = None
    """Of a sender over HTTP."""
    statuses: dict[str, Literal["enter", "leave"]] | None = None
    """What a terminal's words for coming and going mean, where it does not use the usual ones."""
    direction: Literal["enter", "leave"] | None = None
    """Of a terminal that sees one direction only."""
    outer_address: Annotated[str, AfterValidator(_address)] | None = None
    inner_address: Annotated[str, AfterValidator(_address)] | None = None
    common_clock: bool | None = None
    """Whether the two sensors of a pair share one clock."""

    @model_validator(mode="after")
    def _has_a_name(self) -> GatewayDevice:
        if self.source in ("bthome", "records") and self.address is None:
            raise ValueError(f'a device of source = "{self.source}" needs its Bluetooth address')
        if self.source in ("zkteco", "hikvision") and self.serial is None:
            raise ValueError(f'a device of source = "{self.source}" needs its serial, which it sends along')
        if self.source == "pair" and self.common_clock is not True:
            raise ValueError(
                "a pair of raw trigger sensors needs common_clock = true: with half a second between their clocks most"
                " directions are wrong while the totals still look fine"
            )
        if self.source == "pair" and (
            self.outer_address is None or self.inner_address is None or self.outer_address == self.inner_address
        ):
            raise ValueError("a pair of raw trigger sensors needs outer_address and inner_address, two of them")
        return self

    @property
    def bindkey(self) -> bytes | None:
        """The key of its encrypted advertisements."""
        return bytes.fromhex(self.key.get_secret_value()) if self.key else None

    @property
    def name(self) -> str:
        """What its readings call it."""
        spoken = {"bthome": self.address, "records": self.address, "zkteco": self.serial, "hikvision": self.serial}
        return spoken.get(self.source) or f"{self.venue_id}/{self.id}"

    @property
    def names(self) -> tuple[str, ...]:
        """All that readings can call it: a pair of raw trigger sensors speaks with two voices."""
        return tuple(n for n in (self.outer_address, self.inner_address) if n) or (self.name,)


class WatchedFolder(Entry):
    """A folder into which files of orders, visits or counts are put, and the column map that reads them."""

    path: str
    map: str
    pattern: str = "*.csv"
    settle_seconds: Annotated[Whole, Field(ge=0)] = 5
    """How long a file must not have changed: copies and network shares write slowly."""

    @field_validator("pattern")
    @classmethod
    def _names_files(cls, pattern: str) -> str:
        if "/" in pattern or not pattern:
            raise ValueError('a pattern of file names such as "*.csv" is expected')
        return pattern


class EdgeFile(Entry):
    """The whole file."""

    gateway: GatewayPart
    landing: Landing
    pseudonyms: Pseudonyms = Pseudonyms()
    http: Http | None = None
    allocations: Allocations | None = None
    devices: Annotated[list[GatewayDevice], Field(min_length=1)]
    folders: list[WatchedFolder] = Field(default_factory=list)


@dataclass(frozen=True)
class Known:
    """A device in both files: how it is met, and what it is to the venue."""

    met: GatewayDevice
    device: Device
    venue: Venue


@dataclass(frozen=True)
class Gateway:
    """An edge file with the site it belongs to, consistent with each other."""

    path: Path
    settings: EdgeFile
    site: Site
    devices: tuple[Known, ...]

    @property
    def id(self) -> str:
        return self.settings.gateway.id

    def file(self, name: str) -> Path:
        """A path of the edge file; relative ones are relative to its folder."""
        return self.path.parent / name

    def own_device(self, stream: str, venue_id: str) -> Known | None:
        """The device by which the gateway itself speaks at a venue: `assignments`, `gateway_events`."""
        return next((k for k in self.devices if k.device.stream == stream and k.venue.id == venue_id), None)


def load_gateway(path: Path) -> Gateway:
    """Read and check an edge file and the site file that it names.

    Raises EdgeFileError with all mistakes at once, SiteError for those of the site file, FileNotFoundError.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EdgeFileError(path, [f"not valid TOML: {error}"]) from None
    except RecursionError:
        raise EdgeFileError(path, ["not valid TOML: nested too deeply"]) from None
    mistakes: list[str] = []
    try:
        settings = EdgeFile.model_validate(raw)
    except ValidationError as error:
        mistakes = [mistake(_without_secret(e)) for e in error.errors()]
    parts = _Parts.of(raw)
    site: Site | None = None
    try:
        site = load_site(path.parent / parts.gateway.site) if parts.gateway else None
    except SiteError as error:
        if not mistakes:
            raise
        mistakes += [f"{error.path.name}: {said}" for said in error.mistakes]
    mistakes += _inconsistencies(parts, site)
    if mistakes:
        raise EdgeFileError(path, mistakes)
    assert site is not None
    of = {(d.venue_id, d.id): d for d in site.devices}
    known = tuple(Known(m, of[m.venue_id, m.id], site.venue(m.venue_id)) for m in settings.devices)
    return Gateway(path, settings, site, known)


def _without_secret(error: Any) -> dict[str, Any]:
    """One of pydantic's errors without what it may show: a key, or a table that may hold one."""
    if error["loc"][-1:] in (("key",), ("public_key",)):  # somebody may have pasted the other half of the pair
        return {**error, "input": _Shown("a secret")}
    if isinstance(error["input"], dict | list) and error["input"]:
        return {**error, "input": _Shown("a table" if isinstance(error["input"], dict) else "a list")}
    if isinstance(error["input"], str) and "@" in error["input"]:
        return {**error, "input": _Shown("an address with a user in it")}
    return dict(error)


class _Shown(str):
    """A text that stands for what is not shown."""

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class _Parts:
    """The entries that are well formed in themselves: what can be held together, whatever is wrong elsewhere."""

    gateway: GatewayPart | None
    http: Http | None
    has_http: bool
    devices: list[tuple[int, GatewayDevice]]

    @classmethod
    def of(cls, raw: dict[str, Any]) -> _Parts:
        listed = raw.get("devices")
        devices = [_valid(GatewayDevice, entry) for entry in (listed if isinstance(listed, list) else ())]
        gateway = raw.get("gateway")
        if isinstance(gateway, dict):  # no more of it matters here
            gateway = {name: gateway[name] for name in ("id", "site") if name in gateway}
        return cls(
            _valid(GatewayPart, gateway),
            _valid(Http, raw.get("http")),
            "http" in raw,
            [(i, device) for i, device in enumerate(devices) if device is not None],
        )


def _valid(kind: type[E], entry: Any) -> E | None:
    try:
        return kind.model_validate(entry)
    except ValidationError:
        return None


def _inconsistencies(parts: _Parts, site: Site | None) -> Iterable[str]:
    if site is not None and parts.gateway is not None:
        yield from _unknown_devices(parts, parts.gateway.id, site)
    for i, met in parts.devices:
        for field, sources in _BELONGS.items():
            if getattr(met, field) is not None and met.source not in sources:
                yield f"devices[{i}].{field}: is given; it belongs to a source of {' or '.join(sources)} only"
    senders = [(i, met) for i, met in parts.devices if met.source in _OVER_HTTP]
    if (http := parts.http) is None:
        if senders and not parts.has_http:
            yield "http: missing; devices that send over HTTP need the listener"
        return
    if (http.tls_cert is None) != (http.tls_key is None):
        yield "http.tls_key: certificate and key are expected together"
    if not http.is_loopback:
        if http.tls_cert is None:
            yield f"http.listen: {http.listen!r} is given; beyond loopback tls_cert and tls_key are expected"
        for i, met in senders:
            if met.token_file is None:
                yield f"devices[{i}].token_file: missing; beyond loopback every sender has a token"


def _unknown_devices(parts: _Parts, gateway_id: str, site: Site) -> Iterable[str]:
    own = {(d.venue_id, d.id): d for d in site.devices if d.gateway_id == gateway_id}
    expected = ", ".join(f"{venue}/{device}" for venue, device in own) or "none: site.toml gives this gateway no device"
    seen: set[tuple[str, str]] = set()
    heard: dict[tuple[str, str, str], int] = {}
    for i, met in parts.devices:
        place = f"devices[{i}]"
        if (device := own.get((met.venue_id, met.id))) is None:
            yield (
                f"{place}.id: {met.venue_id}/{met.id} is given; a device of {gateway_id} in the site file "
                f"is expected ({expected})"
            )
            continue
        if (met.venue_id, met.id) in seen:
            yield f"{place}.id: {met.venue_id}/{met.id} is given twice; once is expected"
            continue
        seen.add((met.venue_id, met.id))
        if met.source not in SOURCES_OF[device.stream]:
            allowed = " or ".join(SOURCES_OF[device.stream])
            yield f"{place}.source: {met.source!r} is given; {allowed} is expected of a device of {device.stream}"
        for name in met.names:
            # What advertises is heard by one scanner, whatever it is. One till may speak for several streams.
            way = "bluetooth" if met.source in ("bthome", "pair") else met.source
            stream = "" if way == "bluetooth" else device.stream
            if (other := heard.setdefault((way, stream, name), i)) != i:
                yield f"{place}: has the name {name} of devices[{other}]; one device each is expected"
