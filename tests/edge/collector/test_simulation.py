"""`edge-collector simulate`: the real collector on the virtual radio, in a real process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from edge_collector.cli import main
from edge_collector.landing_target import target
from edge_collector.testing import simulation
from edge_collector.testing.simulation import Line, Outcome

COMMAND = [sys.executable, "-m", "edge_collector", "simulate"]


def test_what_walkers_did_has_landed(tmp_path: Path) -> None:
    hall = tmp_path / "hall"
    done = subprocess.run(
        [*COMMAND, "--seconds", "4", "--out", str(hall)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "does not balance" not in done.stdout
    assert done.stdout.count("balances") == 7
    assert sorted(p.name for p in hall.iterdir()) == ["gateway", "landing", "site.toml"]
    assert not [p for p in hall.rglob("*") if b"M00" in (p.read_bytes() if p.is_file() else b"")]  # member numbers


def test_a_second_run_goes_on_in_the_same_folder(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        arguments = ["--seconds", "3", "--seed", seed, "--out", str(tmp_path / "hall")]
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_run_balances_however_seldom_sensors_are_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a busy machine. A gateway that was started again does not believe an encrypting sensor's first frames at
    once, and what a sensor had counted and nobody believed is gone with its restart."""
    for seed, every in ((40, 0.2), (41, 0.5)):
        monkeypatch.setattr(simulation, "_ADVERTISED_EVERY", every)
        gateway = simulation.prepare(tmp_path / "hall")
        outcome = asyncio.run(
            simulation.simulate(gateway, target(gateway), seconds=3, seed=seed, progress=lambda *_: None)
        )
        assert outcome.balances, outcome.lines


@pytest.mark.parametrize("patience", [0.0, 3.0], ids=["nobody is heard", "a restart"])
def test_a_hall_that_stands_still_is_told_in_a_sentence(
    patience: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(simulation, "_PATIENCE", patience)
    monkeypatch.setattr(simulation._Hall, "_is_believed", lambda *_: False)
    monkeypatch.setattr(sys, "argv", ["edge-collector", "simulate", "--seconds", "4"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert f"error: the hall stands still: after {patience:g} s" in said
    assert "run it again while this machine has less to do" in said
    assert "Traceback" not in said


def test_a_table_that_does_not_balance_is_told() -> None:
    balanced = Line("visits", made=5, captured=4, landed=4, refused=1)
    lost, invented = Line("visits", 5, 4, 4, 0), Line("visits", 5, 6, 6, 0)
    not_landed = Line("visits", 5, 5, 4, 1)
    assert balanced.balances
    assert not any(line.balances for line in (lost, invented, not_landed))
    assert Outcome([balanced], {}, 1, 0, 0, left=0).balances
    assert not Outcome([balanced], {}, 1, 0, 0, left=1).balances
    assert not Outcome([balanced, lost], {}, 1, 0, 0, left=0).balances
