"""`edge.toml`: one gateway, its devices and their secrets, where it keeps its spool and where it lands. Read here only.

The file holds keys and tokens, or the names of files that do: it must be readable by its owner alone. Paths in it are
relative to its folder. What each device is to the venue (stream, counting, position) stands in the site file, once.

What does not belong here: `site.toml` (`site`), and whether what the file names can be reached (`doctor`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator

from edge_collector.settings import Entry, Id, Name, SettingsError, Whole, mistake
from edge_collector.site import Device, Site, Venue, load_site

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
_BLUETOOTH: Final = ("bthome", "pair", "records")


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
    if not re.fullmatch(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}", text):
        raise ValueError('host and port such as "127.0.0.1:8301" are expected')
    return text


def _target(text: str) -> str:
    if re.match(r"[a-z][a-z0-9+.-]*://", text) and not text.startswith(("https://", "http://", "s3://", "file://")):
        raise ValueError("a folder, or an address that begins with https://, s3:// or file://, is expected")
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
    health: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:8302"
    """Where /health, /metrics and /assign answer; loopback."""


class Pseudonyms(Entry):
    """Where the key of pseudonyms lies, its epoch, and who opted out."""

    key_file: str = "pseudonym.key"
    epoch: Name = "k1"
    opted_out_file: str | None = None
    """Member numbers, one a line, that are counted but never given an id."""


class Landing(Entry):
    """Where segments go, and when one is finished: at so many rows, or so many seconds after its first record."""

    target: Annotated[str, AfterValidator(_target)]
    token_file: str | None = None
    ca_file: str | None = None
    signing_key_file: str | None = None
    segment_rows: Annotated[Whole, Field(ge=1, le=1_000_000)] = 20_000
    segment_seconds: Annotated[Whole, Field(ge=1, le=86400)] = 60


class Http(Entry):
    """Where devices and tills may send to. Beyond loopback only with TLS and a token for each device."""

    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:8301"
    tls_cert: str | None = None
    tls_key: str | None = None
    max_body_mb: Annotated[Whole, Field(ge=1, le=64)] = 8

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    @property
    def is_loopback(self) -> bool:
        return self.host in ("127.0.0.1", "::1", "localhost")


class Allocations(Entry):
    """Where the shares of bandits come from: the landing service, or a folder; and whose signature they must bear."""

    source: Annotated[str, AfterValidator(_target)]
    public_key: Annotated[str, Field(min_length=40)]
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
        return self

    @property
    def bindkey(self) -> bytes | None:
        """The key of its encrypted advertisements."""
        return bytes.fromhex(self.key.get_secret_value()) if self.key else None

    @property
    def name(self) -> str:
        """What its readings call it."""
        return self.address or self.serial or f"{self.venue_id}/{self.id}"

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
    try:
        settings = EdgeFile.model_validate(raw)
    except ValidationError as error:
        raise EdgeFileError(path, [mistake(_without_secret(e)) for e in error.errors()]) from None
    site = load_site(path.parent / settings.gateway.site)
    mistakes = list(_inconsistencies(settings, site))
    if mistakes:
        raise EdgeFileError(path, mistakes)
    of = {(d.venue_id, d.id): d for d in site.devices}
    known = tuple(Known(m, of[m.venue_id, m.id], site.venue(m.venue_id)) for m in settings.devices)
    return Gateway(path, settings, site, known)


def _without_secret(error: Any) -> dict[str, Any]:
    return {**error, "input": "a secret"} if error["loc"][-1] == "key" else error


def _inconsistencies(settings: EdgeFile, site: Site) -> Iterable[str]:
    own = {(d.venue_id, d.id): d for d in site.devices if d.gateway_id == settings.gateway.id}
    expected = ", ".join(f"{venue}/{device}" for venue, device in own) or "none: site.toml gives this gateway no device"
    seen: set[tuple[str, str]] = set()
    names: dict[tuple[str, str], int] = {}
    for i, met in enumerate(settings.devices):
        place = f"devices[{i}]"
        if (device := own.get((met.venue_id, met.id))) is None:
            yield (
                f"{place}.id: {met.venue_id}/{met.id} is given; a device of {settings.gateway.id} in the site file "
                f"is expected ({expected})"
            )
            continue
        if (met.venue_id, met.id) in seen:
            yield f"{place}.id: {met.venue_id}/{met.id} is given twice; once is expected"
        seen.add((met.venue_id, met.id))
        if met.source not in SOURCES_OF[device.stream]:
            allowed = " or ".join(SOURCES_OF[device.stream])
            yield f"{place}.source: {met.source!r} is given; {allowed} is expected of a device of {device.stream}"
        if met.source != "gateway":
            other = names.setdefault((met.source, met.name), i)
            # One till or desk may speak for several streams; a counter counts once.
            if other != i and own[settings.devices[other].venue_id, settings.devices[other].id].stream == device.stream:
                yield f"{place}: has the name {met.name} of devices[{other}]; one device each is expected"
        if met.key is not None and met.source not in _BLUETOOTH:
            yield f"{place}.key: is given; only advertisements are decrypted by it"
    if (http := settings.http) is not None:
        if (http.tls_cert is None) != (http.tls_key is None):
            yield "http.tls_key: certificate and key are expected together"
        if not http.is_loopback:
            if http.tls_cert is None:
                yield f"http.listen: {http.listen!r} is given; beyond loopback tls_cert and tls_key are expected"
            for i, met in enumerate(settings.devices):
                if met.source in ("zkteco", "hikvision", "http") and met.token_file is None:
                    yield f"devices[{i}].token_file: missing; beyond loopback every sender has a token"
    elif any(met.source in ("zkteco", "hikvision", "http") for met in settings.devices):
        yield "http: missing; devices that send over HTTP need the listener"
    if settings.landing.target.startswith("http://") and not re.match(
        r"http://(127\.0\.0\.1|localhost|\[::1\])[:/]?", settings.landing.target
    ):
        yield f"landing.target: {settings.landing.target!r} is given; beyond loopback https:// is expected"
