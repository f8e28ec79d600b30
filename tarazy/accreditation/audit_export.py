"""The audit log in files that prove themselves: rows, signed heads and the key they are checked with.

A directory with `audit.jsonl` (a row a line, canonical JSON), `heads.jsonl` (`{"note": …}` a line) and `keys.txt`
(a verifier key a line). The last head covers every row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from tarazy.accreditation.audit import (
    AuditFault,
    AuditRow,
    canonical,
    instant_text,
    rows_of,
    size_of,
    verify_rows,
)
from tarazy.accreditation.checkpoint import Checkpoint, CheckpointError, VerifierKey, verify
from tarazy.accreditation.heads import signed_heads, verifiers

ROWS, HEADS, KEYS = "audit.jsonl", "heads.jsonl", "keys.txt"
MAXIMUM_LINE = 4 * 2**20
"""Characters of a line; no row of ours comes near."""
MAXIMUM_HEADS = 100_000

Progress = Callable[[int, int], None]
"""Told how many rows are done, of how many."""
_STEP = 1_000


class ExportError(Exception):
    """What is no export of an audit log, and what was expected."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and the first thing wrong with it."""

    rows: int
    heads: tuple[Checkpoint, ...]
    fault: AuditFault | None


def export(connection: Connection, directory: Path, progress: Progress = lambda *_: None) -> int:
    """Write the log as `connection` sees it; the number of rows. A directory that holds an export is overwritten."""
    directory.mkdir(parents=True, exist_ok=True)
    count = size_of(connection)
    keys = "".join(f"{key}\n" for key in verifiers(connection))
    (directory / KEYS).write_text(keys, encoding="utf-8")
    with (directory / HEADS).open("w", encoding="utf-8") as heads:
        heads.writelines(canonical({"note": note}) + "\n" for note in signed_heads(connection))
    with (directory / ROWS).open("w", encoding="utf-8") as rows:
        for row in rows_of(connection):
            rows.write(canonical({**asdict(row), "at": instant_text(row.at)}) + "\n")
            if row.sequence % _STEP == 0:
                progress(row.sequence, count)
    progress(count, count)
    return count


def verify_export(
    directory: Path,
    keys: Sequence[VerifierKey] = (),
    kept: Sequence[str] = (),
    progress: Progress = lambda *_: None,
) -> Verified:
    """Look for the first fault of an export.

    `keys`: whose signatures count; those in the export when there are none. `kept`: signed notes from elsewhere, which
    the log must agree with. Raises `ExportError` for what is no export, `CheckpointError` for a head that none signed.
    """
    keys = keys or _keys(directory)
    heads = [verify(note, keys) for note in kept]
    for line, note in _lines(directory / HEADS, MAXIMUM_HEADS):
        try:
            heads.append(verify(str(note["note"]), keys))
        except (CheckpointError, KeyError) as error:
            raise CheckpointError(f"{HEADS}, line {line}: {error}") from None
    if not heads:
        raise CheckpointError(f"{HEADS} has no signed head, so nothing shows that the log was not made up anew")
    last = max(head.head.size for head in heads)
    seen = _Seen(_rows(directory / ROWS), last, progress)
    fault = verify_rows(seen, {head.head for head in heads})
    if fault is None and seen.count > last:
        fault = AuditFault(last + 1, f"rows {last + 1} to {seen.count} are covered by no signed head")
    return Verified(seen.count, tuple(heads), fault)


class _Seen:
    """Rows on their way, counted."""

    def __init__(self, rows: Iterable[AuditRow], of: int, progress: Progress) -> None:
        self._rows = rows
        self._of = of
        self._progress = progress
        self.count = 0

    def __iter__(self) -> Iterator[AuditRow]:
        for row in self._rows:
            self.count += 1
            if self.count % _STEP == 0:
                self._progress(self.count, max(self._of, self.count))
            yield row


def _keys(directory: Path) -> list[VerifierKey]:
    try:
        with (directory / KEYS).open(encoding="utf-8") as file:
            return [VerifierKey.parse(line) for line in file.read(MAXIMUM_LINE).splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"{directory / KEYS}: {error}; expected a directory made by `tarazy audit export`") from None


def _lines(path: Path, maximum: int | None = None) -> Iterator[tuple[int, dict[str, object]]]:
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            number = 0
            while line := file.readline(MAXIMUM_LINE):
                number += 1
                if maximum is not None and number > maximum:
                    raise ExportError(f"{path}: more than {maximum} lines")
                yield number, _object(line, f"{path.name}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"{path}: {error}; expected a directory made by `tarazy audit export`") from None


def _object(line: str, place: str) -> dict[str, object]:
    try:
        told = json.loads(line)
        if not line.endswith("\n") or not isinstance(told, dict) or canonical(told) + "\n" != line:
            raise ValueError("not as it was written")
    except (ValueError, TypeError, RecursionError) as error:
        raise ExportError(f"{place}: not a line of an export ({error})") from None
    return told


def _rows(path: Path) -> Iterator[AuditRow]:
    for number, told in _lines(path):
        try:
            yield _row(told)
        except (KeyError, TypeError, ValueError):
            raise ExportError(f"{path.name}, line {number}: not a row of the audit log") from None


_TYPES = {"sequence": int, "at": str, "kind": str, "body": str, "hashes": str}


def _row(told: dict[str, object]) -> AuditRow:
    instant = told["at"]
    row = {**told, "at": datetime.fromisoformat(str(instant))}
    if any(type(told[name]) is not kind for name, kind in _TYPES.items()):
        raise TypeError
    if any(not isinstance(told[name], str | None) for name in ("party", "account")):
        raise TypeError
    made = AuditRow(**row)  # type: ignore[arg-type]
    if instant_text(made.at) != instant:
        raise ValueError
    return made
