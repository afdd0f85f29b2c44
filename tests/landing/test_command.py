"""`venue landing` and `venue landing token`: what they say, where they refuse, and what they write."""

from __future__ import annotations

import stat
import sys
import tomllib
from base64 import b64encode
from collections.abc import Callable

import pytest

from edge_collector.durable import write_atomically
from tests.landing.harness import Authority
from venue_assets.cli import main
from venue_assets.home import Home
from venue_assets.landing.tokens import FILE, TokenFileError, Tokens, add_token, read_tokens

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`venue ARGUMENTS` over the home: exit code, output, errors."""

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("VENUE_DATA", str(home.root))
        monkeypatch.setattr(sys, "argv", ["venue", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return command


def test_a_token_is_shown_once_and_only_its_hash_is_kept(home: Home, run: Run) -> None:
    code, out, _ = run("landing", "token", "add", "gw_north")
    assert code == 0
    token = max(out.split(), key=lambda word: len(word) if "/" not in word else 0)
    file = home.root / FILE
    assert token not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    known = Tokens(file).known(token)
    assert known is not None
    assert known.gateway_id == "gw_north"
    code, out, _ = run("landing", "token", "list")
    assert (code, "gw_north" in out, "unsigned" in out) == (0, True, True)
    assert run("landing", "token", "remove", "gw_north")[0] == 0
    assert Tokens(file).known(token) is None
    assert run("landing", "token", "remove", "gw_north")[0] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("token", "add", "../x"),
        ("token", "add", "a b"),
        ("token", "add", "gw_1", "--public-key", "AAAA"),
        ("token", "add"),
        ("--host", "0.0.0.0"),
        ("--host", "no.such.host.invalid", "--insecure"),
        ("--tls-cert", "CERT"),
        ("--tls-cert", "KEY", "--tls-key", "CERT"),
        ("--port", "70000"),
        ("--tls-cert", "/absent.pem", "--tls-key", "KEY"),
    ],
)
def test_wrong_input_ends_with_one_sentence(run: Run, authority: Authority, arguments: tuple[str, ...]) -> None:
    files = {"CERT": str(authority.cert), "KEY": str(authority.key)}
    code, _, err = run("landing", *(files.get(argument, argument) for argument in arguments))
    assert code == 2
    assert err.startswith("error: ")
    assert len(err.strip().splitlines()) == 1


def test_a_key_that_others_can_read_is_not_used(run: Run, authority: Authority) -> None:
    authority.key.chmod(0o644)
    try:
        code, _, err = run("landing", "--tls-cert", str(authority.cert), "--tls-key", str(authority.key))
    finally:
        authority.key.chmod(0o600)
    assert code == 2
    assert "chmod" in err


def test_the_file_of_tokens_tells_every_mistake(home: Home, run: Run) -> None:
    file = home.root / FILE
    write_atomically(file, b'[gateways."a-b"]\ntokens = ["x"]\n[gateways.g]\ntokens = []\npassword = 1\n', mode=0o600)
    with pytest.raises(TokenFileError) as wrong:
        read_tokens(file)
    assert len(wrong.value.mistakes) >= 4
    assert run("landing")[0] == run("landing", "token", "add", "gw_1")[0] == 2
    file.chmod(0o640)
    code, _, err = run("landing")
    assert (code, "chmod 600" in err) == (2, True)


def test_the_file_can_be_read_by_any_reader_of_toml(home: Home) -> None:
    file, key = home.root / FILE, b64encode(bytes(range(32))).decode()
    for gateway in ("gw.1", "gw_2", "gw_2", "gw_2"):
        add_token(file, gateway, key if gateway == "gw.1" else None)
    found = tomllib.loads(file.read_text())["gateways"]
    assert {name: len(of["tokens"]) for name, of in found.items()} == {"gw.1": 1, "gw_2": 2}
    assert found["gw.1"]["public_key"] == key
    add_token(file, "gw.1")
    assert read_tokens(file)["gw.1"].public_key == key
