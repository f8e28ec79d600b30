"""`tarazy site-agent`: reads a site's meters beside them and pushes to the pool."""

from __future__ import annotations

from pathlib import Path

import click

from tarazy.pool.cli.common import Misuse, Wanting


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
def site_agent(file: Path) -> None:
    """Read the meters of a site and push what they show to the pool, until SIGTERM or Ctrl-C.

    What the pool has not acknowledged is kept on disk.
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
        spool = Spool(settings.spool)
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
    from tarazy.pool.agent.run import run_agent

    run_agent(settings, spool, reactor, loop)
