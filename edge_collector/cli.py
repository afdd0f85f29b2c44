"""The `edge-collector` command: run, simulate, doctor. Thin: what they do is done elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from edge_collector.foreign_files.column_map import MapError
from edge_collector.gateway import load_gateway
from edge_collector.key_file import KeyProblem
from edge_collector.landing_target import target
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

_log = logging.getLogger(__name__)
_BREATH: Final = 1.0
"""Seconds between two collectors, where one after the other found its spool damaged."""
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
    suspect = False
    while True:
        collector = Collector(load_gateway(config), adapter=adapter, suspect=suspect)
        host, port = collector.health_listener.getsockname()[:2]
        host = f"[{host}]" if ":" in host else host
        gc.freeze()  # no collection of garbage looks at all this again while somebody waits for an arm
        told = f"gateway {collector.gateway.id}, boot {collector.boot_id}: collecting; http://{host}:{port}/health"
        if _worked(collector, partial(console.print, told)):
            break
        # What can be read of the spool goes on in a new one; systemd would start it with the damaged one again.
        suspect = True
        time.sleep(_BREATH)
    console.print("stopped; what was captured is landed, or waits in the spool")
    _leave(0)


def _worked(collector: Any, ready: Callable[[], None]) -> bool:
    """Whether it was stopped; otherwise the spool was found damaged.

    Nothing is left then but threads that wait for a name server or a share, and they are not waited for.
    """
    runner = asyncio.Runner()
    try:
        stopped = runner.run(_until_signal(collector, ready))
        runner.get_loop().close()  # the runner's own `close` would wait for them
        return stopped
    except KeyboardInterrupt:  # Windows
        _leave(130)
    except Exception:
        sys.excepthook(*sys.exc_info())
        _leave(1)


def _leave(code: int) -> NoReturn:
    """End the process without waiting for its threads."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


async def _until_signal(collector: Any, ready: Callable[[], None] = lambda: None) -> bool:
    """Whether it was stopped; otherwise the spool was found damaged."""
    stop = asyncio.Event()
    for kind in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C ends it as it ends everything
            asyncio.get_running_loop().add_signal_handler(kind, stop.set)
    ready()
    try:
        await collector.run(stop)
    except Exception:
        if stop.is_set() or not collector.spool.damage:
            raise
        _log.error("the spool was found damaged (%s); it is moved aside", collector.spool.damage)
        return False
    return True


@app.command()
def simulate(
    seconds: Annotated[float, typer.Option(help="How long people walk.", min=2)] = 25,
    seed: Annotated[int, typer.Option(help="Other people, other troubles.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(help="A folder to keep: site.toml, landing/ and gateway/ in it; else a temporary one."),
    ] = None,
) -> None:
    """A virtual hall on a virtual radio drives the real collector; ends with what walkers did against what landed.

    Example: [bold]edge-collector simulate --out data/hall[/] beside [bold]VENUE_DATA=data/hall venue ui[/]
    """
    try:
        from edge_collector.testing.simulation import Truth, prepare
        from edge_collector.testing.simulation import simulate as simulated
    except ModuleNotFoundError as missing:
        problem(str(missing))
        raise typer.Exit(2) from None
    logging.basicConfig(level=logging.ERROR)  # that links break is what is simulated
    with contextlib.ExitStack() as stack:
        root = out or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hall-")))
        gateway = prepare(root)
        bar = stack.enter_context(Progress(console=errors, transient=True, disable=not errors.is_terminal))
        task = bar.add_task("people walk through the hall", total=1.0)

        def progress(share: float, truth: Truth) -> None:
            bar.update(task, completed=share, description=f"{truth.made['people']} people have walked through the hall")

        try:
            outcome = asyncio.run(simulated(gateway, target(gateway), seconds=seconds, seed=seed, progress=progress))
        except (TimeoutError, ExceptionGroup) as error:  # whichever of the walkers and devices waited in vain
            first: Exception = error
            while isinstance(first, ExceptionGroup):
                first = first.exceptions[0]
            if not isinstance(first, TimeoutError):
                raise
            problem(f"the hall stands still: {first}; run it again while this machine has less to do")
            raise typer.Exit(1) from None
    shown = Table("", "walkers made", "captured", "landed", "refused", "", show_edge=False, header_style="bold")
    for line in outcome.lines:
        mark = "[green]balances[/]" if line.balances else "[red]does not balance[/]"
        shown.add_row(line.what, *map(str, (line.made, line.captured, line.landed, line.refused)), mark)
    console.print(shown)
    left_out = ", ".join(f"{n} {reason} ({source})" for (source, reason), n in sorted(outcome.refused.items()))
    console.print(f"left out on purpose: {left_out or 'nothing'}")
    console.print(
        f"{outcome.segments} segments landed; the uplink failed {outcome.failures} times, "
        f"{outcome.repeated} segments were sent again and recognised; {outcome.left} records still wait"
    )
    if out:
        console.print(f"everything lies in {out}; VENUE_DATA={out} venue ui makes tables of it")
    raise typer.Exit(0 if outcome.balances else 1)


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
    except OSError as error:
        problem(f"{error.filename}: {error.strerror}; look at the path, or give another with --config")
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    sys.exit(2)
