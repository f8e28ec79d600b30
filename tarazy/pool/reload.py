"""What a change of the settings file means for a running server: what takes hold at once, and what needs a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tarazy.config.settings import Settings

_RELOADABLE = {
    "log": frozenset({"level"}),
    "law": frozenset({"assumptions", "directory"}),
    "stratum": frozenset(
        {
            "minimum_difficulty",
            "maximum_difficulty",
            "start_difficulty",
            "share_interval_seconds",
            "job_refresh_seconds",
            "version_mask",
            "drain_seconds",
            "limits",
        }
    ),
}


class ReloadError(Exception):
    """The new settings cannot run. One line: path in the file, what is wrong, the cure."""


@dataclass(frozen=True, slots=True)
class Reload:
    """The outcome of comparing the running settings with the file."""

    settings: Settings
    """Those that run from now on."""
    changed: Mapping[str, Any]
    """Path in the file → value, of what takes hold now."""
    waiting: tuple[str, ...]
    """Paths of what needs a restart."""


def compare(running: Settings, wanted: Settings) -> Reload:
    """Take over from `wanted` what can change while the server runs."""
    taken = {
        name: getattr(running, name).model_copy(update={key: getattr(getattr(wanted, name), key) for key in keys})
        for name, keys in _RELOADABLE.items()
    }
    settings = running.model_copy(update=taken)
    before, now, then = (dict(_paths(each.model_dump())) for each in (running, settings, wanted))
    return Reload(
        settings,
        {path: value for path, value in now.items() if before.get(path, _NONE) != value},
        tuple(sorted(path for path in now.keys() | then.keys() if now.get(path, _NONE) != then.get(path, _NONE))),
    )


_NONE = object()


def _paths(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _paths(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
