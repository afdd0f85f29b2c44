"""`venue landing`: the service that gateways ship to, and their tokens."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from venue_assets.cli import show
from venue_assets.cli.arguments import UserError
from venue_assets.cli.show import relative, say, verbatim
from venue_assets.home import VARIABLE, Home
from venue_assets.nearest import did_you_mean

if TYPE_CHECKING:
    from venue_assets.landing.tokens import Gateway

app = typer.Typer(rich_markup_mode="rich", add_completion=False)
token = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", add_completion=False)

GatewayId = Annotated[str, typer.Argument(metavar="GATEWAY", help="Id of a gateway, as site.toml has it.")]


@app.callback(invoke_without_command=True)
def landing(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback only with TLS.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any free one.")] = 8300,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.", dir_okay=False, exists=True)] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.", dir_okay=False, exists=True)] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen beyond loopback without TLS: a proxy in front does it.")
    ] = False,
    rate: Annotated[float, typer.Option(min=1, help="Requests a second that one gateway may send.")] = 300,
) -> None:
    """Receive segments from gateways over HTTP, and give them tomorrow's shares.

    Example: [bold]venue landing token add gw_north[/], then
    [bold]venue landing --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem[/]
    """
    if context.invoked_subcommand:
        return
    from venue_assets.landing.limits import Limits
    from venue_assets.landing.server import CannotListen, Listening, serve
    from venue_assets.landing.tokens import FILE, TokenFileError, read_tokens

    home = _home()
    try:
        if not read_tokens(home.root / FILE):
            say("No gateway has a token yet. Next: [bold]venue landing token add GATEWAY[/]; it counts at once")
    except TokenFileError as error:
        raise UserError(str(error)) from None
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)

    def ready(address: str) -> None:
        say(f"Landing service: [bold]{address}[/] into {relative(home.landing)}; stop it with Ctrl-C")

    try:
        serve(home, Listening(host, port, tls_cert, tls_key, insecure), ready, Limits(requests_per_second=rate))
    except CannotListen as error:
        raise UserError(str(error)) from None


@token.callback()
def token_() -> None:
    """Tokens of gateways: make one, list them, end them.

    Example: [bold]venue landing token add gw_north[/]
    """


@token.command()
def add(
    gateway: GatewayId,
    public_key: Annotated[
        str | None, typer.Option(help="The gateway's public key, base64: from now on it must sign its manifests.")
    ] = None,
) -> None:
    """Make a token and show it, this once. The gateway's last one stays good until it is changed over.

    Example: [bold]venue landing token add gw_north[/]
    """
    from venue_assets.landing.tokens import FILE, TokenFileError, add_token

    home = _home()
    try:
        made = add_token(home.root / FILE, gateway, public_key)
    except (TokenFileError, ValueError) as error:
        raise UserError(str(error)) from None
    say(f"Token of {gateway}, shown this once; {relative(home.root / FILE)} has only its hash:")
    show.console.print(made, soft_wrap=True)
    say("Next: write it into the file that \\[landing] token_file of the gateway's edge.toml names, with mode 0600")
    if home.site_file.exists() and gateway not in (known := sorted({d.gateway_id for d in home.site.devices})):
        near, there = did_you_mean(gateway, known), ", ".join(known) or "none"
        say(f"[yellow]Note:[/] site.toml gives {gateway} no device{near}; its gateways are: {there}")


@token.command("list")
def list_() -> None:
    """Which gateways have tokens.

    Example: [bold]venue landing token list[/]
    """
    from venue_assets.landing.tokens import FILE, read_tokens

    gateways = read_tokens(_home().root / FILE)
    show.table(
        FILE,
        ["gateway", "tokens", "manifests"],
        [[name, len(gateway.tokens), _manifests(gateway)] for name, gateway in sorted(gateways.items())],
        right=["tokens"],
    )


@token.command()
def remove(gateway: GatewayId) -> None:
    """End all tokens of a gateway, at once. Nothing that has landed is touched.

    Example: [bold]venue landing token remove gw_north[/]
    """
    from venue_assets.landing.tokens import FILE, read_tokens, remove_gateway

    home = _home()
    if not remove_gateway(home.root / FILE, gateway):
        near = did_you_mean(gateway, read_tokens(home.root / FILE))
        raise UserError(f"{gateway} is given, which has no token{near}; see: venue landing token list")
    say(f"{verbatim(gateway)} has no token any more. Next, if it is to land again: venue landing token add {gateway}")


app.add_typer(token, name="token")


def _home() -> Home:
    home = Home.of_environment()
    if not home.root.is_dir():
        raise UserError(f"{home.root} does not exist; make it, or set {VARIABLE} to your data folder")
    return home


def _manifests(gateway: Gateway) -> str:
    return "signed" if gateway.public_key else "unsigned ones are taken"
