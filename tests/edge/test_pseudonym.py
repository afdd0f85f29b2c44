"""The key of pseudonyms: made once, kept from others, and never left behind by a mistake."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edge_collector.pseudonym import KEY_VARIABLE, KeyProblem, load_pseudonymizer


@pytest.fixture(autouse=True)
def _no_key_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


def test_a_key_is_made_once(tmp_path: Path) -> None:
    key = tmp_path / "home" / "pseudonym.key"
    made = load_pseudonymizer(key, create=True)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert load_pseudonymizer(key, create=True) == load_pseudonymizer(key) == made


def test_a_wrong_epoch_leaves_no_key_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyProblem, match="key epoch 'a b' is given; letters"):
        load_pseudonymizer(tmp_path / "pseudonym.key", epoch="a b", create=True)
    assert not list(tmp_path.iterdir())


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "pseudonym.key"
    load_pseudonymizer(key, create=True)
    key.chmod(0o644)
    with pytest.raises(KeyProblem, match="chmod 600"):
        load_pseudonymizer(key)
