"""The settings file, read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from tarazy.config.settings.agent import AgentSettings
from tarazy.config.settings.chain import BitcoindChainSettings
from tarazy.config.settings.fields import Section
from tarazy.config.settings.mqtt import MqttSettings
from tarazy.config.settings.server import Settings
from tarazy.config.settings.stratum import ListenerSettings, TlsSettings
from tarazy.config.yaml_file import YamlFileError, read_yaml

S = TypeVar("S", bound=Section)


class SettingsError(Exception):
    """The settings file cannot be used. One line of text for each fault."""


_CURES = {
    "extra_forbidden": "unknown key; remove it or check its spelling",
    "missing": "required key is missing; add it",
    "model_type": "must be a mapping of settings",
    "string_type": "must be text; put it in quotes",
    "tuple_type": "must be a list",
    "union_tag_not_found": "name its kind: `kind: bitcoind`, or `kind: embedded` for a demo",
    "union_tag_invalid": "its kind is bitcoind, or embedded for a demo",
}
_SIGNING_CURES = {
    **_CURES,
    "union_tag_not_found": "name its way: `way: pkcs12` or `way: service`",
    "union_tag_invalid": "its way is pkcs12 or service",
}
_KINDS = ("embedded", "bitcoind", "pkcs12", "service")
_SECRET_FILES = ("key_file", "password_file", "authorization_file")
_SECRET = "password"  # noqa: S105 - the name of the key


def _fault(error: dict[str, Any]) -> str:
    place = tuple(part for part in error["loc"] if not str(part).startswith("<"))  # the tag of a choice is no key
    if place[:1] in (("chain",), ("signing",)) and place[1:2] and place[1] in _KINDS:  # the kind is no key of the file
        place = place[:1] + place[2:]
    path = ".".join(str(part) for part in place) or "(top level)"
    cures = _SIGNING_CURES if place[:1] == ("signing",) else _CURES
    text = cures.get(error["type"]) or error["msg"].removeprefix("Value error, ")
    given = error.get("input")
    shown = f" (got {given!r})" if isinstance(given, str | int | float | bool) and _SECRET not in place else ""
    return f"{path}: {text}{shown}"


def load_settings(path: Path) -> Settings:
    """Read and check the settings file at `path`.

    Raises `SettingsError`, one line a fault: file, path inside it, what is wrong and the cure.
    """
    return _with_absolute_paths(_checked(path, Settings), path.parent)


def load_agent_settings(path: Path) -> AgentSettings:
    """Read and check the settings file of a site's agent. Raises `SettingsError`, as `load_settings`."""
    settings = _checked(path, AgentSettings)
    files = {name: (path.parent / getattr(settings, name)).resolve() for name in ("token", "spool")}
    return settings.model_copy(update={**files, "mqtt": _beside(settings.mqtt, path.parent)})


def _beside(mqtt: MqttSettings | None, directory: Path) -> MqttSettings | None:
    """The same with its files relative to `directory`."""
    if mqtt is None:
        return None
    named = {"password": mqtt.password, "ca": mqtt.ca}
    return mqtt.model_copy(update={name: file and (directory / file).resolve() for name, file in named.items()})


def _checked(path: Path, kind: type[S]) -> S:
    try:
        raw = read_yaml(path)
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file; name one with -c, or run `tarazy demo`") from None
    except YamlFileError as error:
        raise SettingsError(str(error)) from None
    if not isinstance(raw, dict):
        raise SettingsError(f"{path}: (top level): must be a mapping of settings")
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        faults = [_fault(dict(fault)) for fault in error.errors()]
        raise SettingsError("\n".join(f"{path}: {fault}" for fault in faults)) from None


def _with_absolute_paths(settings: Settings, directory: Path) -> Settings:
    """Whatever file or directory is named is relative to `directory`, that of the settings file."""

    def absolute(path: Path | None) -> Path | None:
        return None if path is None else (directory / path).resolve()

    def of_listener(listener: ListenerSettings) -> ListenerSettings:
        if listener.tls is None:
            return listener
        files = {name: absolute(getattr(listener.tls, name)) for name in TlsSettings.model_fields}
        return listener.model_copy(update={"tls": listener.tls.model_copy(update=files)})

    law = settings.law.model_copy(update={"directory": absolute(settings.law.directory)})
    audit = settings.audit.model_copy(update={"key": absolute(settings.audit.key)})
    portal = settings.portal.model_copy(update={"key": absolute(settings.portal.key)})
    listeners = tuple(of_listener(listener) for listener in settings.stratum.listeners)
    stratum = settings.stratum.model_copy(update={"listeners": listeners})
    chain = settings.chain
    if isinstance(chain, BitcoindChainSettings):
        nodes = tuple(node.model_copy(update={"cookie": absolute(node.cookie)}) for node in chain.nodes)
        chain = chain.model_copy(update={"nodes": nodes})
    payouts = settings.payouts
    if payouts is not None and payouts.node is not None:
        node = payouts.node.model_copy(update={"cookie": absolute(payouts.node.cookie)})
        payouts = payouts.model_copy(update={"node": node})
    signing = settings.signing
    if signing is not None:
        secrets = {name: absolute(getattr(signing, name)) for name in _SECRET_FILES if hasattr(signing, name)}
        signing = signing.model_copy(update=secrets)
    reports = settings.reports.model_copy(
        update={"profiles": tuple((directory / each).resolve() for each in settings.reports.profiles)}
    )
    rooms = {"law": law, "audit": audit, "portal": portal, "signing": signing, "reports": reports}
    energy = settings.energy.model_copy(update={"mqtt": _beside(settings.energy.mqtt, directory)})
    parts = {"stratum": stratum, "chain": chain, "payouts": payouts, "energy": energy}
    return settings.model_copy(update={"data": absolute(settings.data), **rooms, **parts})
