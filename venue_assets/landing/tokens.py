"""Tokens: which gateway somebody is who sends one. Only their hashes are kept, in `landing_tokens.toml` (mode 0600).

[gateways."gw_north"]
tokens = ["<sha256 of a token, hex>", ...]     # the newest last; two at most, so that one can replace the other
public_key = "<base64 of 32 bytes>"            # optional: then only manifests signed by this key are taken
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import AfterValidator, Field, ValidationError

from edge_collector.durable import write_atomically
from edge_collector.segment import NAME_PART
from edge_collector.settings import Entry, Name, SettingsError, mistake
from edge_collector.signing import public_key_of

FILE: Final = "landing_tokens.toml"
MOST_TOKENS: Final = 2
_TOKEN_BYTES: Final = 32


class TokenFileError(SettingsError):
    """Everything that is wrong with the file of tokens."""


def _sha256(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError("the sha256 of a token is expected: 64 hexadecimal digits")
    return text


def _public_key(text: str) -> str:
    public_key_of(text)
    return text


class Gateway(Entry):
    """What the service knows of one gateway."""

    tokens: Annotated[list[Annotated[str, AfterValidator(_sha256)]], Field(min_length=1, max_length=MOST_TOKENS)]
    public_key: Annotated[str, AfterValidator(_public_key)] | None = None


class _TokenFile(Entry):
    gateways: dict[Name, Gateway] = Field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """Who has sent a request."""

    gateway_id: str
    public_key: Ed25519PublicKey | None


def read_tokens(path: Path) -> dict[str, Gateway]:
    """The gateways of the file; none where there is no file. Raises TokenFileError."""
    try:
        found = path.stat()
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    if os.name == "posix" and stat.S_IMODE(found.st_mode) & 0o077:
        raise TokenFileError(path, [f"it can be read by others; run: chmod 600 {path}"])
    try:
        return _TokenFile.model_validate(tomllib.loads(content)).gateways
    except ValidationError as error:
        raise TokenFileError(path, [mistake(e) for e in error.errors()]) from None
    except (ValueError, RecursionError) as error:
        raise TokenFileError(path, [f"not valid TOML: {error}"]) from None


def write_tokens(path: Path, gateways: dict[str, Gateway]) -> None:
    """Put these gateways into the file, readable by its owner alone."""
    lines = ["# Hashes of the gateways' tokens; `venue landing token` writes this file."]
    for gateway_id, gateway in sorted(gateways.items()):
        # JSON's strings and lists are TOML's, too, as long as they are ASCII.
        lines += ["", f"[gateways.{json.dumps(gateway_id)}]", f"tokens = {json.dumps(gateway.tokens)}"]
        if gateway.public_key:
            lines.append(f"public_key = {json.dumps(gateway.public_key)}")
    write_atomically(path, "\n".join([*lines, ""]).encode(), mode=0o600)


def add_token(path: Path, gateway_id: str, public_key: str | None = None) -> str:
    """A new token for a gateway. Its last one stays good, so that the gateway can be changed over; an older one ends.

    Raises ValueError for what is no gateway's id or no public key, TokenFileError.
    """
    if not NAME_PART.fullmatch(gateway_id):
        raise ValueError(f"{gateway_id!r} is given; a gateway's id is letters, digits, '_' and '.'")
    if public_key is not None:
        public_key_of(public_key)
    gateways = read_tokens(path)
    before = gateways.get(gateway_id)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    kept = before.tokens[1 - MOST_TOKENS :] if before else []
    key = public_key or (before.public_key if before else None)
    write_tokens(path, gateways | {gateway_id: Gateway(tokens=[*kept, _hash(token)], public_key=key)})
    return token


def remove_gateway(path: Path, gateway_id: str) -> bool:
    """End all tokens of a gateway, at once; returns whether there were any. Raises TokenFileError."""
    gateways = read_tokens(path)
    if gateways.pop(gateway_id, None) is None:
        return False
    write_tokens(path, gateways)
    return True


class Tokens:
    """The file of tokens as it is now: what is added or ended in it counts from the next request on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, ...] | None = None
        self._known: list[tuple[str, Known]] = []

    def known(self, token: str) -> Known | None:
        """Whose token this is; None if it is nobody's. Raises TokenFileError, and then knows nobody."""
        self._refresh()
        given, found = _hash(token), None
        for expected, gateway in self._known:  # all of them, each in constant time
            if hmac.compare_digest(given, expected):
                found = gateway
        return found

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
            stamp: tuple[int, ...] = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode)
        except FileNotFoundError:
            stamp = ()
        if stamp == self._stamp:
            return
        self._known, self._stamp = [], None
        gateways = read_tokens(self._path)
        self._known = [
            (token, Known(gateway_id, public_key_of(gateway.public_key) if gateway.public_key else None))
            for gateway_id, gateway in gateways.items()
            for token in gateway.tokens
        ]
        self._stamp = stamp


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
