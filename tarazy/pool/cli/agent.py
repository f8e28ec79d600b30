"""`tarazy site-agent`: reads a site's meters beside them and pushes to the pool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tarazy.pool.cli.common import FOUND_WANTING, Misuse, Wanting, folding_table, json_option, print_json

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from tarazy.config.settings import AgentSettings


@click.command("site-agent")
@click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(path_type=Path, resolve_path=True),
    default="site-agent.yaml",
    show_default=True,
    help="The agent's settings file.",
)
@click.option("--check", is_flag=True, help="Ask every meter and the pool once, say what is wanting, and end.")
@click.option(
    "--listen",
    "seconds",
    type=click.FloatRange(1, 3600),
    default=60,
    show_default=True,
    help="With --check: how many seconds to wait for messages over MQTT.",
)
@json_option
def site_agent(file: Path, check: bool, seconds: float, as_json: bool) -> None:
    """Read the meters of a site and push what they show to the pool, until SIGTERM or Ctrl-C.

    What the pool has not acknowledged is kept on disk. --check sends and keeps nothing, and may be used while the agent
    runs; exit code 1 when something is wanting.
    """
    from tarazy.accounting.energy.profiles import ProfileError, load_modbus_profile
    from tarazy.config.settings import SettingsError, load_agent_settings
    from tarazy.pool.agent.spool import Spool, SpoolError
    from tarazy.pool.log import configure_logging
    from tarazy.pool.reactor import install_reactor

    try:
        settings = load_agent_settings(file)
        for meter in settings.meters.values():
            load_modbus_profile(meter.profile)
        settings.token.read_text(encoding="ascii")
        spool = None if check else Spool(settings.spool)
    except OSError as error:
        raise Misuse(f"{settings.token}: {error.strerror}; put the token of `tarazy token create` there") from None
    except UnicodeDecodeError:
        raise Misuse(f"{settings.token}: holds no token; put the one of `tarazy token create` there") from None
    except (SettingsError, ProfileError) as error:
        raise Misuse(str(error)) from None
    except SpoolError as error:
        raise Wanting(str(error)) from None
    configure_logging(settings.log)
    reactor, loop = install_reactor()
    if spool is None:
        _check(settings, seconds, as_json, reactor)
        return
    from tarazy.pool.agent.run import run_agent

    run_agent(settings, spool, reactor, loop)


def _check(settings: AgentSettings, seconds: float, as_json: bool, reactor: Any) -> None:
    from datetime import UTC, datetime

    from rich.console import Console

    from tarazy.accounting.energy.asyncio_bridge import run
    from tarazy.pool.agent.check import Checked, check_agent

    found: list[Checked] = []
    faults: list[Failure] = []

    def begin() -> None:
        checking = run(check_agent(settings, lambda: datetime.now(UTC), seconds, reactor))
        checking.addCallback(found.extend).addErrback(faults.append).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    for fault in faults:
        fault.raiseException()
    if as_json:
        print_json([vars(each) for each in found])
    else:
        table = folding_table("", "what", "found")
        for each in found:
            table.add_row("ok" if each.fine else "!", each.subject, each.text + (f"; {each.cure}" if each.cure else ""))
        Console().print(table)
    if not all(each.fine for each in found):
        raise SystemExit(FOUND_WANTING)
