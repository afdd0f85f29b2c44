"""The `edge-collector` command: run, simulate, doctor. Thin: what they do is done elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from edge_collector.column_map import MapError
from edge_collector.gateway import load_gateway
from edge_collector.key_file import KeyProblem
from edge_collector.serving import CannotListen
from edge_collector.settings import SettingsError
from edge_collector.ship import TargetError
from edge_collector.spool import SpoolProblem

app = typer.Typer(
    name="edge-collector", no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False,
    add_completion=False,
)  # fmt: skip
console = Console(highlight=False, width=None if sys.stdout.isatty() else 100_000)
errors = Console(stderr=True, highlight=False)

Config = Annotated[Path, typer.Option("--config", "-c", help="The gateway's edge.toml.")]
_USAGE_ERROR: Final[type[Any]] = typer.BadParameter.__mro__[1]


@app.callback()
def edge_collector() -> None:
    """A gateway at a venue: Bluetooth, HTTP and files in, landed segments out, nothing lost.

    Example: [bold]edge-collector simulate[/]; with devices: [bold]edge-collector doctor -c edge.toml[/], then
    [bold]edge-collector run -c edge.toml[/]
    """


@app.command()
def run(
    config: Config = Path("edge.toml"),
    adapter: Annotated[str | None, typer.Option(help="The Bluetooth adapter, such as hci1.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what goes well, too.")] = False,
) -> None:
    """Collect and ship until SIGTERM or Ctrl-C.

    Example: [bold]edge-collector run -c /etc/edge-collector/edge.toml[/]
    """
    from edge_collector.collector import Collector

    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    collector = Collector(load_gateway(config), adapter=adapter)
    host, port = collector.health_listener.getsockname()[:2]
    console.print(f"gateway {collector.gateway.id}, boot {collector.boot_id}: collecting; http://{host}:{port}/health")
    asyncio.run(_until_signal(collector))
    console.print("stopped; what was captured is landed, or waits in the spool")


async def _until_signal(collector: Any) -> None:
    stop = asyncio.Event()
    for kind in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C ends it as it ends everything
            asyncio.get_running_loop().add_signal_handler(kind, stop.set)
    await collector.run(stop)


@app.command()
def doctor(config: Config = Path("edge.toml")) -> None:
    """Look at everything that a gateway needs, and say what to do where something is wrong.

    Example: [bold]edge-collector doctor -c edge.toml[/]
    """
    from edge_collector.doctor import examine

    shown = Table("", "subject", "found", "what to do", show_edge=False, header_style="bold")
    colours = {"ok": "green", "warning": "yellow", "error": "red"}
    findings = list(examine(load_gateway(config)))
    for finding in findings:
        shown.add_row(
            f"[{colours[finding.level]}]{finding.level}[/]", finding.subject, verbatim(finding.found),
            verbatim(finding.remedy),
        )  # fmt: skip
    console.print(shown)
    wrong = sum(finding.level == "error" for finding in findings)
    console.print(f"{wrong} errors; correct them and run doctor again" if wrong else "no errors")
    raise typer.Exit(1 if wrong else 0)


def verbatim(text: str) -> str:
    """Text whose brackets are shown as they are instead of being taken for colours."""
    return text.replace("[", r"\[")


def problem(text: str) -> None:
    """One sentence about what is wrong, on standard error."""
    errors.print(f"[bold red]error:[/] {verbatim(text)}", soft_wrap=True)


def main() -> None:
    """Run the command. Wrong input ends with exit code 2 and one clear sentence."""
    try:
        sys.exit(app(standalone_mode=False))
    except _USAGE_ERROR as error:
        if message := error.format_message().strip():
            problem(f"{message.rstrip('.')}; see: edge-collector --help")
    except (SettingsError, MapError, KeyProblem, TargetError, SpoolProblem, CannotListen) as error:
        problem(str(error))
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        problem(f"{error.filename}: {error.strerror}; look at the path, or give another with --config")
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    sys.exit(2)
