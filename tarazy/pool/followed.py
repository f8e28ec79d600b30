"""The found blocks of every gateway of this host, as the office follows them to maturity."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import structlog

from tarazy.accounting.blocks import BlockState
from tarazy.pool.blocks import BlockStore, FoundBlock, OnState

_log = structlog.get_logger()


class FollowedBlocks:
    """One store for each gateway's directory; a gateway that makes its own later is taken up then."""

    def __init__(self, directory: Path, make_store: Callable[[Path, OnState], BlockStore]) -> None:
        """`directory` holds a directory for each gateway."""
        self._directory = directory
        self._make_store = make_store
        self._stores: dict[Path, BlockStore] = {}
        self._stopped = False

    def look(self) -> None:
        """Take up what the gateways have found."""
        if self._stopped:
            return
        for path in sorted(self._directory.glob("gateway-*")):
            if path not in self._stores:
                self._stores[path] = self._make_store(path, _log_state)
                self._stores[path].start()
        for store in self._stores.values():
            store.look()

    def blocks(self) -> list[FoundBlock]:
        """All that are not settled yet."""
        return [block for store in self._stores.values() for block in store.blocks()]

    def archive(self, name: str) -> None:
        """Let go of a block whose last state is booked."""
        for store in self._stores.values():
            if store.get(name) is not None:
                store.archive(name)

    async def stop(self) -> None:
        """Submit and follow nothing any more."""
        self._stopped = True
        for store in self._stores.values():
            store.stop()


def _log_state(block_hash: str, state: BlockState, confirmations: int) -> None:
    level = logging.DEBUG if state is BlockState.CONNECTED and confirmations > 1 else logging.INFO
    _log.log(level, "block_state", block=block_hash, state=str(state), confirmations=confirmations)
