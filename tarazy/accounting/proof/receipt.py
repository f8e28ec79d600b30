"""What one party verifies its credit from: its leaf and path, and its own shares inside the chain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from tarazy.accounting.journal_file import CURE, SHARE, JournalReader, reading, required_names
from tarazy.accounting.proof import sums
from tarazy.accounting.proof.chain import Digests, Link, leaf_hashes, others_of
from tarazy.accounting.proof.payments import payment_to
from tarazy.accounting.proof.record import Part, Proof, UnrecordedError, parts_of, spans_of, work_rows
from tarazy.accounting.proof.sealing import digests_of, salts, sealed
from tarazy.accounting.proof.shares import ProofError, Span
from tarazy.accounting.schemes import Scheme
from tarazy.stratum.difficulty import weight_of
from tarazy.stratum.ports import NameRecord
from tarazy.stratum.share import ShareRecord, Verdict


def receipt(connection: Connection, proof: Proof, party: str, journals: Path) -> dict[str, Any]:
    """The receipt of a party for a round; for the party alone, because it tells its salt.

    Raises `UnrecordedError` for a party without a part, `ProofError` or `JournalError`. Costs what the round's
    shares cost.
    """
    parts = parts_of(connection, proof.distribution)
    index = next((index for index, part in enumerate(parts) if part.party == party), None)
    if index is None:
        raise UnrecordedError(f"round {proof.round} credits no work to {party}")
    own = parts[index]
    spans = spans_of(connection, proof.distribution, journals)
    return {
        "record": proof.text,
        "party": party,
        "salt": own.salt.hex(),
        "index": index,
        "weight": str(own.leaf.weight),
        "credit": own.leaf.credit,
        "fee_ppm": own.leaf.fee_ppm,
        "path": [
            {"hash": node.hash.hex(), "weight": str(node.weight), "credit": node.credit}
            for node in sums.path_of([part.leaf for part in parts], index)
        ],
        "work": work_rows(connection, proof.distribution, party) if proof.record["scheme"] == Scheme.FPPS else None,
        "payment": payment_to(connection, proof.distribution, party),
        "gateways": {str(span.gateway): _of_gateway(connection, span, own) for span in spans},
    }


def _of_gateway(connection: Connection, span: Span, own: Part) -> dict[str, Any]:
    names: dict[int, NameRecord] = {}
    with reading(span.journal, span.gateway) as reader:
        segments = list(_segments(connection, reader, span, own, names))
    told = [
        {
            "name": number,
            "account": name.account,
            "worker": name.worker,
            "connection": name.connection,
            "extranonce1": name.extranonce1.hex(),
            "at_us": name.at_us,
        }
        for number, name in sorted(names.items())
        if name.party == own.party
    ]
    return {"names": told, "segments": segments}


def _segments(
    connection: Connection, reader: JournalReader, span: Span, own: Part, names: dict[int, NameRecord]
) -> Iterator[dict[str, Any]]:
    """Every segment of the span; those with accepted work of the party with all that proves it."""
    for link in sealed(connection, span.gateway, span.after, span.until):
        packed = b"".join(segment.shares for segment in reader.segments(link.first - 1, link.last))
        shares = [ShareRecord._make(fields) for fields in SHARE.iter_unpack(packed)]
        if len(shares) != link.last - link.first + 1:
            raise ProofError(f"{span.journal}: shares {link.first} to {link.last} are no longer all there; {CURE}")
        names |= required_names(reader, {share.name for share in shares} - names.keys())
        mine = [
            index
            for index, share in enumerate(shares)
            if share.verdict == Verdict.ACCEPTED and names[share.name].party == own.party
        ]
        told: dict[str, Any] = {"first": link.first, "last": link.last, "root": link.root.hex()}
        if mine:
            digests = digests_of(span.gateway, reader, names, salts(connection, {n.party for n in names.values()}))
            told |= _proven(link, packed, shares, mine, digests)
        yield told


def _proven(link: Link, packed: bytes, shares: list[ShareRecord], mine: list[int], digests: Digests) -> dict[str, Any]:
    size = SHARE.size
    return {
        "weight": str(sum(weight_of(shares[index].exponent) for index in mine)),
        "shares": [
            {
                "sequence": link.first + index,
                "share": packed[index * size : (index + 1) * size].hex(),
                "job_digest": digests(shares[index].name, shares[index].job)[32:].hex(),
            }
            for index in mine
        ],
        "others": [each.hex() for each in others_of(leaf_hashes(link.first, packed, digests), mine)],
    }
