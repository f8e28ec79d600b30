"""The audit log in files that prove themselves: rows, signed heads and the keys they are checked with.

A directory with `audit.jsonl` (a row a line), `heads.jsonl` (`{"head": n, "note": …}` a line), `begin.json` (`size`:
how many rows come before the first; `hashes`: of the full subtrees that they make; `head`: number of the first head)
and `keys.txt` (a verifier key a line). All JSON is canonical, a line each. The last head covers the last row; where
rows come before, the first is of just those.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from tarazy.accreditation.audit import (
    AuditFault,
    AuditRow,
    canonical,
    frontier_of,
    instant_text,
    rows_of,
    size_of,
    verify_rows,
)
from tarazy.accreditation.checkpoint import Checkpoint, CheckpointError, VerifierKey, verify_named
from tarazy.accreditation.heads import newest_head, signed_heads, verifiers
from tarazy.accreditation.merkle import HASH_BYTES, Frontier

ROWS, HEADS, BEGIN, KEYS = "audit.jsonl", "heads.jsonl", "begin.json", "keys.txt"
MAXIMUM_LINE = 4 * 2**20
"""Bytes of a line; no row of ours comes near."""
MAXIMUM_HEADS = 100_000
MAXIMUM_KEYS = 1_000

Progress = Callable[[int, int], None]
"""Told how many rows are done, of how many."""
_STEP = 1_000


class ExportError(Exception):
    """What is no export of an audit log, and what was expected."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and the first thing wrong with it."""

    rows: int
    before: int
    """Rows before the first of these, which are in an earlier export."""
    heads: tuple[Checkpoint, ...]
    fault: AuditFault | None


def export(
    connection: Connection, directory: Path, since: datetime | None = None, progress: Progress = lambda *_: None
) -> tuple[int, int]:
    """Write the log up to its newest signed head, as `connection` sees it; how many rows come before, and how many.

    With `since`, it begins after the newest head that covers no row from then on. A directory that holds an export is
    overwritten. Raises `LookupError` when no head is signed, `UnreadableRowError`, and `OSError`.
    """
    newest = newest_head(connection)
    if newest is None:
        raise LookupError("no head of the audit log is signed yet")
    until = newest[0]
    earlier = newest_head(connection, size_of(connection, since)) if since is not None else None
    before, first = (earlier[0], earlier[1].number) if earlier is not None else (0, 1)
    directory.mkdir(parents=True, exist_ok=True)
    begin = {"head": first, "size": before, "hashes": [made.hex() for made in frontier_of(connection, before).hashes]}
    (directory / BEGIN).write_text(canonical(begin) + "\n", encoding="utf-8")
    keys = "".join(f"{key}\n" for key in verifiers(connection))
    (directory / KEYS).write_text(keys, encoding="utf-8")
    with (directory / HEADS).open("w", encoding="utf-8") as heads:
        for head in signed_heads(connection, first):
            heads.write(canonical({"head": head.number, "note": head.note}) + "\n")
    with (directory / ROWS).open("w", encoding="utf-8") as rows:
        for row in counted(rows_of(connection, before, until), until - before, progress):
            rows.write(canonical({**asdict(row), "at": instant_text(row.at)}) + "\n")
    progress(until - before, until - before)
    return before, until - before


def verify_export(
    directory: Path,
    keys: Sequence[VerifierKey] = (),
    kept: Mapping[str, str] | None = None,
    progress: Progress = lambda *_: None,
) -> Verified:
    """Look for the first fault of an export.

    `keys`: whose signatures count; those in the export when there are none. `kept`: signed notes from elsewhere by
    their names, which the log must agree with. Raises `ExportError` for what is no export, `CheckpointError` for a head
    that none signed.
    """
    keys = _keys(directory, keys)
    first, frontier = _begin(directory)
    before = frontier.size
    heads = [verify_named(name, note, keys) for name, note in (kept or {}).items()]
    for name, early in zip(kept or {}, heads, strict=True):
        if early.head.size < before:
            raise ExportError(
                f"{name}: of {early.head.size} rows, but this export begins with row {before + 1}; verify it against "
                "an export that begins earlier"
            )
    told = list(_heads(directory, first, keys))
    if not told:
        raise CheckpointError(f"{HEADS} has no signed head, so nothing shows that the log was not made up anew")
    heads += told
    if before and told[0].head.size != before:
        raise CheckpointError(f"{HEADS}, line 1: not the head of the {before} rows that {BEGIN} tells of")
    last = max(head.head.size for head in heads)
    fault = verify_rows(
        counted(_rows(directory / ROWS), last - before, progress), {head.head for head in heads}, frontier
    )
    end = frontier.size
    if fault is None and end > last:
        fault = AuditFault(last + 1, f"rows {last + 1} to {end} are covered by no signed head")
    return Verified(end - before, before, tuple(heads), fault)


def counted(rows: Iterable[AuditRow], of: int, progress: Progress) -> Iterator[AuditRow]:
    """The rows, told as they pass."""
    for done, row in enumerate(rows, start=1):
        if done % _STEP == 0:
            progress(done, max(of, done))
        yield row


def _keys(directory: Path, given: Sequence[VerifierKey]) -> Sequence[VerifierKey]:
    """The keys given, among which those of the export must be; or those of the export."""
    found = []
    for number, line in _text_lines(directory / KEYS, MAXIMUM_KEYS):
        try:
            key = VerifierKey.parse(line)
        except CheckpointError as error:
            raise CheckpointError(f"{KEYS}, line {number}: {error}") from None
        if line != f"{key}\n" or (given and key not in given):
            raise CheckpointError(f"{KEYS}, line {number}: {str(key)[:300]} is none of the keys given")
        found.append(key)
    return given or found


def _begin(directory: Path) -> tuple[int, Frontier]:
    """Number of the first head, and the tree of the rows that come before."""
    try:
        ((_, told),) = _lines(directory / BEGIN, 1)
        first, size, hashes = told["head"], told["size"], told["hashes"]
        if len(told) != 3 or type(first) is not int or type(size) is not int or not isinstance(hashes, list):
            raise ValueError
        frontier = Frontier(size, [bytes.fromhex(text) for text in hashes])
        if [made.hex() for made in frontier.hashes] != hashes or any(
            len(made) != HASH_BYTES for made in frontier.hashes
        ):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise ExportError(f"{BEGIN}: not the beginning of an export") from None
    return first, frontier


def _heads(directory: Path, first: int, keys: Sequence[VerifierKey]) -> Iterator[Checkpoint]:
    for line, told in _lines(directory / HEADS, MAXIMUM_HEADS):
        number, note = told.get("head"), told.get("note")
        if told.keys() != {"head", "note"} or type(number) is not int or not isinstance(note, str):
            raise ExportError(f"{HEADS}, line {line}: not a signed head")
        if number != first + line - 1:
            raise ExportError(
                f"{HEADS}, line {line}: not signed head {first + line - 1} (the first is {first}, says {BEGIN})"
            )
        yield verify_named(f"{HEADS}, line {line}", note, keys)


def _text_lines(path: Path, maximum: int | None = None) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with path.open("rb") as file:
            while line := file.readline(MAXIMUM_LINE):
                number += 1
                if maximum is not None and number > maximum:
                    raise ExportError(f"{path.name}: more than {maximum} lines")
                if not line.endswith(b"\n"):
                    raise ExportError(f"{path.name}, line {number}: cut off, or longer than any line of an export")
                yield number, line.decode()
    except OSError as error:
        raise ExportError(f"{error}; expected a directory made by `tarazy audit export`") from None
    except UnicodeDecodeError:
        raise ExportError(f"{path.name}, line {number}: not UTF-8") from None


def _lines(path: Path, maximum: int | None = None) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in _text_lines(path, maximum):
        try:
            told = json.loads(line)
            if not isinstance(told, dict) or canonical(told) + "\n" != line:
                raise ValueError("not as it was written")
        except (ValueError, TypeError, RecursionError) as error:
            raise ExportError(f"{path.name}, line {number}: not a line of an export ({error})") from None
        yield number, told


def _rows(path: Path) -> Iterator[AuditRow]:
    for number, told in _lines(path):
        try:
            yield read_row(told)
        except (KeyError, TypeError, ValueError):
            raise ExportError(f"{path.name}, line {number}: not a row of the audit log") from None


_TYPES = {"sequence": int, "at": str, "kind": str, "body": str, "hashes": str}


def read_row(told: Mapping[str, object]) -> AuditRow:
    """A row from JSON; raises KeyError, TypeError or ValueError for anything else."""
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
