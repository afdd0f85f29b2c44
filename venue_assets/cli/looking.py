"""Commands that look: query, ui, doctor."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from venue_assets.cli import show
from venue_assets.cli.arguments import Port, UserError, home_with_site
from venue_assets.cli.show import say
from venue_assets.home import VARIABLE, Home

if TYPE_CHECKING:
    from edge_collector.finding import Finding


def query(
    sql: Annotated[str, typer.Argument(help="A SELECT over the tables; each has event_date.", metavar="SQL")],
    form: Annotated[Literal["table", "csv", "json"], typer.Option("--format", help="How to print.")] = "table",
    limit: Annotated[int, typer.Option(min=0, help="Rows to print as a table; 0 for all.")] = 100,
    published: Annotated[
        bool, typer.Option("--published", help="Ask what analysts open: star and metrics too.")
    ] = False,
) -> None:
    """Ask the lake: every table is a view. With --published, ask published/venue.duckdb instead.

    Example: [bold]venue query "SELECT event_date, venue_id, pv FROM primary_metrics ORDER BY ALL"[/]
    """
    home = Home.of_environment()
    if not home.root.exists():
        raise UserError(f"{home.root} does not exist; run venue demo, or set {VARIABLE} to your data folder")
    from venue_assets.cli import rows as printed
    from venue_assets.cli.query import CannotAsk, ask, ask_published
    from venue_assets.tables.catalogue import catalogue

    try:
        names, rows = ask_published(home, sql) if published else ask(home, catalogue(), sql)
    except CannotAsk as error:
        raise UserError(str(error)) from None
    if form == "csv":
        printed.as_csv(names, rows)
    elif form == "json":
        printed.as_json(names, rows)
    else:
        shown = rows[:limit] if limit else rows
        printed.as_table(names, shown)
        if len(shown) < len(rows):
            say(f"{len(shown)} of {len(rows)} rows; --limit 0 shows all")


def ui(
    port: Port = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback only if you say so.")] = "127.0.0.1",
) -> None:
    """Serve the Dagster UI with its daemon: the sensor then materializes what lands.

    Example: [bold]venue ui --port 3001[/]
    """
    serve(home_with_site(), port=port, host=host)


def serve(home: Home, *, port: int, host: str = "127.0.0.1") -> None:
    """Serve the UI until Ctrl-C; ends with the exit code of the server where that failed."""
    # A shell that starts this in the background has it ignore SIGINT, from the first moment on.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    from venue_assets.cli.serve import CannotServe, dagster_dev

    def ready() -> None:
        say(f"Dagster UI: [bold]http://{host}:{port}[/]")
        say(f"Stop it with Ctrl-C; start it again with: {VARIABLE}={place} uv run venue ui")

    place = show.verbatim(shlex.quote(str(home.root)))
    say("\nStarting the Dagster UI ...")
    try:
        code = dagster_dev(home, host=host, port=port, ready=ready)
    except CannotServe as error:
        raise UserError(str(error)) from None
    if code not in (0, -2, 130):
        raise typer.Exit(code)


def doctor(
    read_data: Annotated[
        bool, typer.Option("--read-data", help="Read every lake file whole, too, and compare it with its hash.")
    ] = False,
) -> None:
    """Look at versions, paths, permissions, disk, landing, site and devices.

    Example: [bold]venue doctor[/], [bold]venue doctor --read-data[/]
    """
    from venue_assets.cli.doctor import examine

    home = Home.of_environment()
    findings = list(examine(home, read_data=read_data))
    _show_findings(str(home.root), findings)
    if any(f.level == "error" for f in findings):
        raise typer.Exit(1)


_COLOUR: Final = {"ok": "green", "warning": "yellow", "error": "bold red"}


def _show_findings(title: str, findings: Sequence[Finding]) -> None:
    """A table where every row is a line of the terminal; else below each other: paths and commands are copied whole."""
    columns = ["", "what", "found", "what to do"]
    rows = [
        [f"[{_COLOUR[f.level]}]{f.level}[/]", *map(show.verbatim, (f.subject, f.found, f.remedy))] for f in findings
    ]
    if show.fits([columns, *rows]):
        show.table(title, columns, rows)
        return
    say(f"[bold]{show.verbatim(title)}[/]")
    for finding, (level, subject, found, remedy) in zip(findings, rows, strict=True):
        show.unfolded(f"{level}{' ' * (9 - len(finding.level))}{subject}: {found}")
        if remedy:
            show.unfolded(f"         -> {remedy}")
