"""Commands that look: query, ui, doctor."""

from __future__ import annotations

import csv
import json
import sys
from typing import Annotated, Any, Literal

import typer

from venue_assets.cli import show
from venue_assets.cli.arguments import Port, UserError, home_with_site
from venue_assets.cli.show import relative, say
from venue_assets.home import VARIABLE, Home


def query(
    sql: Annotated[str, typer.Argument(help="A SELECT over the tables; each has event_date.", metavar="SQL")],
    form: Annotated[Literal["table", "csv", "json"], typer.Option("--format", help="How to print.")] = "table",
    limit: Annotated[int, typer.Option(min=0, help="Rows to print as a table; 0 for all.")] = 100,
) -> None:
    """Ask the lake: every table is a view.

    Example: [bold]venue query "SELECT event_date, venue_id, pv FROM primary_metrics ORDER BY ALL"[/]
    """
    home = Home.of_environment()
    if not home.root.exists():
        raise UserError(f"{home.root} does not exist; run venue demo, or set {VARIABLE} to your data folder")
    names, rows = _asked(home, sql)
    if form == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(names)
        writer.writerows(rows)
    elif form == "json":
        sys.stdout.write(json.dumps([dict(zip(names, row, strict=True)) for row in rows], default=str, indent=1) + "\n")
    else:
        shown = rows[:limit] if limit else rows
        numeric = [n for i, n in enumerate(names) if (shown and isinstance(shown[0][i], int | float)) or n in ("gmv",)]
        show.table(
            "",
            [show.verbatim(name) for name in names],
            [[_cell(v) for v in row] for row in shown],
            right=[show.verbatim(name) for name in numeric],
        )
        if len(shown) < len(rows):
            say(f"{len(shown)} of {len(rows)} rows; --limit 0 shows all")


def _asked(home: Home, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Names of the columns, and the rows."""
    import duckdb

    from venue_assets.cli.query import connect
    from venue_assets.tables.catalogue import catalogue

    try:
        with connect(home, catalogue()) as con:
            if con.execute(sql) is None:
                raise UserError("the SQL is empty; a SELECT over the tables is expected")
            return [d[0] for d in con.description or []], con.fetchall()
    except duckdb.Error as error:
        # What follows "LINE" repeats the query with a mark below it.
        sentence = " ".join(str(error).partition("\nLINE ")[0].split())
        raise UserError(f"{sentence} (tables: {', '.join(catalogue().tables)})") from None


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:,.6g}" if isinstance(value, float) else show.verbatim(str(value))


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
    from venue_assets.cli.serve import CannotServe, dagster_dev

    def ready() -> None:
        say(f"Dagster UI: [bold]http://{host}:{port}[/]")
        say(f"Stop it with Ctrl-C; start it again with: {VARIABLE}={relative(home.root)} uv run venue ui")

    say("\nStarting the Dagster UI ...")
    try:
        code = dagster_dev(home, host=host, port=port, ready=ready)
    except CannotServe as error:
        raise UserError(str(error)) from None
    if code not in (0, -2, 130):
        raise typer.Exit(code)


def doctor() -> None:
    """Look at versions, paths, permissions, disk, landing, site and devices.

    Example: [bold]venue doctor[/]
    """
    from venue_assets.cli.doctor import examine

    home = Home.of_environment()
    findings = list(examine(home))
    colour = {"ok": "green", "warning": "yellow", "error": "bold red"}
    show.table(
        str(home.root),
        ["", "what", "found", "what to do"],
        [
            [f"[{colour[f.level]}]{f.level}[/]", f.subject, show.verbatim(f.found), show.verbatim(f.remedy)]
            for f in findings
        ],
        wrap=["found", "what to do"],
    )
    if any(f.level == "error" for f in findings):
        raise typer.Exit(1)
