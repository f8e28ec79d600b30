"""Miners that submit all the time and connect again after every loss, and what the journals say of their shares."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tarazy.accounting.journal_file import JournalReader
from tarazy.stratum.share import Verdict
from tests.pool.house import Client, wait_until


class Answered(NamedTuple):
    """A share that was answered `true`."""

    at: float
    """`time.monotonic`."""
    share: tuple[str, str, str]
    """extranonce1, job and nonce in hex."""


class Load:
    """A few miners in threads of their own."""

    def __init__(self, port: int, miners: int = 4, user: str = "altyn.rig") -> None:
        self._port = port
        self._user = user
        self.answered: list[Answered] = []
        self.logins = 0
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._mine, daemon=True) for _ in range(miners)]
        for thread in self._threads:
            thread.start()

    def more(self, count: int = 50) -> None:
        """Wait for so many more answers."""
        wanted = len(self.answered) + count
        wait_until(lambda: len(self.answered) >= wanted, 60)

    def stop(self) -> set[tuple[str, str, str]]:
        """End; the shares that were answered `true`."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        return {each.share for each in self.answered}

    def longest_silence(self, since: float) -> float:
        """The longest time after `since` in which nobody got an answer, seconds."""
        times = [since, *sorted(each.at for each in self.answered if each.at > since)]
        return max(later - earlier for earlier, later in pairwise(times))

    def _mine(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(OSError, AssertionError):
                self._mine_until_closed(Client(self._port))

    def _mine_until_closed(self, client: Client) -> None:
        extranonce1 = client.call("mining.subscribe", "test")["result"][1]
        client.login(self._user)
        self.logins += 1
        while not self._stopping.is_set():
            share = client.share(self._user)
            if client.call("mining.submit", *share)["result"] is True:
                self.answered.append(Answered(time.monotonic(), (extranonce1, share[1], share[4])))
        client.close()


def journalled(path: Path, gateway: int) -> Counter[tuple[str, str, str]]:
    """How often each accepted share stands in a journal: extranonce1, job and nonce in hex."""
    reader = JournalReader(path, gateway)
    try:
        shares = [share for _, share in reader.shares() if share.verdict == Verdict.ACCEPTED]
        names = reader.names({share.name for share in shares})
    finally:
        reader.close()
    return Counter((names[share.name].extranonce1.hex(), f"{share.job:016x}", f"{share.nonce:08x}") for share in shares)
