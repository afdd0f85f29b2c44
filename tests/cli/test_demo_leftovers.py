"""`venue demo` in a home that holds more than it lands: it just works, whatever landed before."""

from __future__ import annotations

from pathlib import Path

from tests.cli.commands import DAY, done


def test_what_was_simulated_shorter_after_a_longer_demo_is_demonstrated(tmp_path: Path) -> None:
    """Both with the same options, so that the demo might take the landing as its own and stumble over the rest."""
    home, short = tmp_path / "home", ("--days", "1", "--visits", "20")
    done(home, "demo", "--days", "2", "--visits", "20", "--no-ui")
    done(home, "simulate", *short)
    said = done(home, "demo", *short, "--no-ui")
    assert "Reconciled with the truth" in said
    for asked in ((), ("--published",)):
        dates = "SELECT DISTINCT event_date FROM landed_segments"
        assert done(home, "query", dates, "--format", "csv", *asked).split() == ["event_date", DAY]
    assert done(home, "status", "--problems") == "Every date is fresh\n"
    assert "nothing to compute" in done(home, "demo", *short, "--no-ui")
