"""A process that writes a journal until it is killed."""

from __future__ import annotations

import asyncio
import itertools
import os
import struct
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from tarazy.accounting.journal import Journal
from tarazy.accounting.journal_file import JournalFile
from tests.accounting.books import name_record, share

ACKNOWLEDGED = struct.Struct(">QI")
"""What goes into the pipe: 0 and a connection number, then sequence and nonce of each acknowledged share."""

IN_FLIGHT = 200


def load(path: Path, outlet: Connection, run: int) -> None:
    """Keep `IN_FLIGHT` shares waiting for ever: an answer goes into the pipe and makes room for a share."""
    loop = asyncio.new_event_loop()
    journal = Journal(JournalFile(path, 1), loop.call_soon_threadsafe)
    name = journal.name(name_record("alpha"))
    pipe = outlet.fileno()
    nonces = itertools.count(run << 24)

    def give() -> None:
        nonce = next(nonces)
        sequence = journal.share(share(name, nonce=nonce), partial(answered, nonce))
        given[nonce] = sequence

    def answered(nonce: int, durable: bool) -> None:
        if not durable:
            raise SystemExit("the journal refused a share")
        os.write(pipe, ACKNOWLEDGED.pack(given.pop(nonce), nonce))
        give()

    given: dict[int, int] = {}
    os.write(pipe, ACKNOWLEDGED.pack(0, journal.open_connection()))
    for _ in range(IN_FLIGHT):
        give()
    loop.run_forever()
