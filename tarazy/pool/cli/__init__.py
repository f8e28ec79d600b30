"""The command line. Exit codes: 0 fine, 1 found wanting, 2 misuse."""

from __future__ import annotations

from importlib import import_module

import click

_COMMANDS = {
    "admission": "admission:admission",
    "audit": "audit:audit",
    "bench": "bench:bench",
    "case": "case:case",
    "check": "server:check",
    "db": "server:db",
    "demo": "demo:demo",
    "energy": "energy:energy",
    "fee": "fee:fee",
    "finding": "finding:finding",
    "gateway": "gateway:gateway",
    "meter": "meter:meter",
    "mine": "mine:mine",
    "payout": "payout:payout",
    "register": "register:register",
    "report": "report:report",
    "reserve": "reserve:reserve",
    "round": "round:round_",
    "sale": "sale:sale",
    "serve": "server:serve",
    "site-agent": "agent:site_agent",
    "status": "server:status",
    "token": "token:token",
    "top": "top:top",
    "user": "user:user",
    "value": "value:value",
    "verify": "verify:verify",
}
"""Command → module of this package and name in it; loaded when asked for, so that none waits for the others."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one."""
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(f"tarazy.pool.cli.{module}"), name)
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="tarazy")
def main() -> None:
    """Tarazy: the server of an accredited Bitcoin mining pool in Kazakhstan."""
