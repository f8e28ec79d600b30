"""A round as files that prove themselves; `docs/verification.md` tells their layout."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from tarazy.accounting.journal_file import CURE, JournalReader, reading, required_job, required_names
from tarazy.accounting.paid_blocks import before as blocks_before
from tarazy.accounting.proof.chain import Link, alias_of, references
from tarazy.accounting.proof.payments import audit_row_of, payments_of, row_text, transactions_of
from tarazy.accounting.proof.record import Proof, parts_of, proof_of, spans_of
from tarazy.accounting.proof.sealing import last_note, salts, sealed
from tarazy.accounting.proof.shares import ProofError, Span
from tarazy.accounting.proof.window import window_of
from tarazy.accounting.schemes import Scheme
from tarazy.stratum.job import Job

Tell = Callable[[int, int], None]
Prove = Callable[[int], dict[str, Any]]
_CONTENTS = ("shares", "names.jsonl", "jobs.jsonl", "segments.jsonl")
"""The files of a gateway."""


def export(
    connection: Connection, proof: Proof, journals: Path, directory: Path, parent: str, prove: Prove, tell: Tell
) -> int:
    """Write what a round is verified from into a new or empty directory; the number of shares.

    `parent`: the displayed hash of the block before the round's; `prove`: the proof of a row of the audit log. The
    block is for others to add. Raises `ProofError`, `JournalError`, OSError, and what `prove` raises.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise ProofError(f"{directory} is not empty; name another directory")
    spans = spans_of(connection, proof.distribution, journals)
    window = window_of(connection, proof.round, spans)
    of_window = window.spans if window else ()
    written, of = 0, sum(span.until - span.after for span in (*spans, *of_window))
    for name, each in (("gateway", spans), ("window", of_window)):
        for span in each:
            base = directory / f"{name}-{span.gateway}"
            for shares in _write_span(connection, span, base):
                written += shares
                tell(written, of)
    for span in spans:
        note = last_note(connection, span.gateway, span.after, span.until)
        if note is not None:
            (directory / f"gateway-{span.gateway}.note").write_text(note, encoding="utf-8")
    if window:
        (directory / "window.json").write_text(window.text)
    _write(directory / "parties.jsonl", _parties(connection, proof))
    transactions = transactions_of(connection, proof.distribution)
    for transaction in transactions:
        row = audit_row_of(connection, transaction["batch"])
        transaction["audit"] = prove(row) if row is not None else None
    _write(directory / "transactions.jsonl", transactions)
    paid = (payment for transaction in transactions for payment in payments_of(connection, transaction["batch"]))
    _write(directory / "payments.jsonl", paid)
    if proof.record["scheme"] == Scheme.FPPS:
        count = min(proof.record["fee_blocks"], proof.record["height"] - 1)
        _write(directory / "fee-blocks.jsonl", (block.proof for block in blocks_before(connection, parent, count)))
    before = proof.record["previous"]
    if before is not None:
        (directory / "previous.json").write_text(proof_of(connection, before["round"]).text)
    (directory / "round.json").write_text(proof.text)
    audit = json.dumps(prove(proof.audit_row), ensure_ascii=False)
    (directory / "audit.json").write_text(audit, encoding="utf-8")
    return written


def _write_span(connection: Connection, span: Span, base: Path) -> Iterator[int]:
    """The shares of a span and all that they name; how many, as they are written."""
    links = sealed(connection, span.gateway, span.after, span.until)
    if not links:
        for content in _CONTENTS:
            base.with_suffix(f".{content}").touch()
        return
    names, jobs = set[int](), set[int]()
    written = 0
    with reading(span.journal, span.gateway) as reader:
        with base.with_suffix(".shares").open("wb") as file:
            for segment in reader.segments(span.after, span.until):
                file.write(segment.shares)
                for name, job in references(segment.shares):
                    names.add(name)
                    jobs.add(job)
                written += segment.count
                yield segment.count
        if written != sum(link.last - link.first + 1 for link in links):
            where = f"shares {span.after + 1} to {span.until}"
            raise ProofError(f"{span.journal}: {where} are no longer all there; {CURE}")
        _write(base.with_suffix(".names.jsonl"), _names(connection, reader, names))
        _write(base.with_suffix(".jobs.jsonl"), _jobs(reader, jobs))
        _write(base.with_suffix(".segments.jsonl"), map(_segment, links))


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(map(row_text, rows))


def _segment(link: Link) -> dict[str, Any]:
    return {"first": link.first, "last": link.last, "root": link.root.hex()}


def _parties(connection: Connection, proof: Proof) -> Iterator[dict[str, Any]]:
    for part in parts_of(connection, proof.distribution):
        leaf = part.leaf
        yield {
            "commit": leaf.commit.hex(),
            "alias": part.alias.hex(),
            "weight": str(leaf.weight),
            "credit": leaf.credit,
            "fee_ppm": leaf.fee_ppm,
        }


def _names(connection: Connection, reader: JournalReader, numbers: set[int]) -> Iterator[dict[str, Any]]:
    names = required_names(reader, numbers)
    hidden = salts(connection, {name.party for name in names.values()})
    for number, name in sorted(names.items()):
        yield {
            "name": number,
            "connection": name.connection,
            "extranonce1": name.extranonce1.hex(),
            "at_us": name.at_us,
            "alias": alias_of(name.party, hidden[name.party]).hex(),
        }


def _jobs(reader: JournalReader, numbers: set[int]) -> Iterator[dict[str, Any]]:
    for number in sorted(numbers):
        yield job_row(required_job(reader, number))


def job_row(job: Job) -> dict[str, Any]:
    """A job as it is published."""
    return {
        "job": job.number,
        "height": job.height,
        "previous_block_hash": job.previous_block_hash.hex(),
        "version": job.version,
        "nbits": job.nbits,
        "ntime": job.ntime,
        "mintime": job.mintime,
        "coinbase_head": job.coinbase_head.hex(),
        "coinbase_tail": job.coinbase_tail.hex(),
        "coinbase_end": job.coinbase_end.hex(),
        "branch": [element.hex() for element in job.branch],
    }
