"""Telling the service manager (systemd's notification protocol). Without one, nothing is told."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

_SOCKET = "NOTIFY_SOCKET"


def notify_ready() -> None:
    """The server serves."""
    _notify("READY=1")


def notify_status(text: str) -> None:
    """What the service manager shows beside the service."""
    _notify(f"STATUS={text}")


def notify_stopping() -> None:
    """The server ends."""
    _notify("STOPPING=1")


def notify_reloading() -> None:
    """The settings are read again; `notify_ready` ends it."""
    _notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def notify_successor(pid: int) -> None:
    """From now on the service is process `pid`."""
    _notify(f"MAINPID={pid}")


def _notify(*words: str) -> None:
    address = os.environ.get(_SOCKET)
    if not address:
        return
    if address.startswith("@"):  # the abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, suppress(OSError):
        told.sendto("\n".join(words).encode(), address)


def unnotified(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a process that is only a part of the service."""
    return {name: value for name, value in environment.items() if name != _SOCKET}
