"""Signed manifests: Ed25519 over the canonical JSON of all other fields, so that nobody lands in a gateway's name.

A signature covers the manifest's `sha256` and with it every record of the segment. The gateway holds the private key;
whoever verifies has got the public one beforehand.

What does not belong here: allocations, which are signed the other way round (`allocation`).
"""

from __future__ import annotations

import json
import secrets
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge_collector.canonical_json import canonical
from edge_collector.key_file import KeyProblem, load_secret
from edge_collector.segment import Manifest

KEY_VARIABLE: Final = "EDGE_SIGNING_KEY"
KEY_BYTES: Final = 32


class BadSignature(ValueError):
    """A manifest that its gateway did not sign as it is. The message says why."""


def load_signing_key(key_file: Path, *, make: bool = False) -> Ed25519PrivateKey:
    """The gateway's key: 64 hexadecimal digits in EDGE_SIGNING_KEY, else in `key_file` (mode 0600).

    `make` writes a new one where there is none. Raises KeyProblem.
    """
    text = load_secret("signing key", KEY_VARIABLE, key_file, (lambda: secrets.token_hex(KEY_BYTES)) if make else None)
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text))
    except ValueError:
        raise KeyProblem(
            f"{KEY_VARIABLE} or {key_file} holds no signing key; {2 * KEY_BYTES} hexadecimal digits are expected"
        ) from None


def public_key_text(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """The public key as people copy it: base64 of its 32 bytes."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return b64encode(public.public_bytes_raw()).decode()


def public_key_of(text: str) -> Ed25519PublicKey:
    """The key that `public_key_text` wrote. Raises ValueError."""
    try:
        return Ed25519PublicKey.from_public_bytes(b64decode(text, validate=True))
    except ValueError:
        # What is given is not shown: it may be the private key.
        raise ValueError("no public key is given; base64 of its 32 bytes is expected") from None


def signed_manifest(manifest: Manifest, key: Ed25519PrivateKey) -> Manifest:
    """The manifest with its signature. Signing again gives the same."""
    document = manifest.model_dump(mode="json", by_alias=True, exclude_none=True)
    return manifest.model_copy(update={"signature": b64encode(key.sign(_signed_part(document))).decode()})


def verify_manifest(content: bytes, key: Ed25519PublicKey) -> None:
    """Whether the key signed the manifest in a file's content, unknown fields included. Raises BadSignature."""
    try:
        document = json.loads(content, object_pairs_hook=_without_repetition)
        signature = document["signature"]
        key.verify(b64decode(signature, validate=True), _signed_part(document))
    except InvalidSignature:
        raise BadSignature("the signature is not of this manifest and key") from None
    except KeyError:
        raise BadSignature("there is no signature; this gateway's manifests are expected to have one") from None
    except (ValueError, TypeError, RecursionError):
        raise BadSignature(
            "this is no signed manifest: one JSON object with a signature in base64 is expected"
        ) from None


def _signed_part(document: dict[str, Any]) -> bytes:
    return canonical({name: value for name, value in document.items() if name != "signature"})


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A field that stands twice would let one reader verify the one and another believe the other."""
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("a field is given twice")
    return document
