"""Whatever stands in an export or a receipt, the verifier answers in bounded time, in a line, and on any terminal."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path

import pytest
import tarazy_verify as verifier

KEY = verifier.Key("pool", bytes(32))
TOLD = f"pool+{KEY.id.hex()}+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
NOTE = f"pool\n1\n{'A' * 43}=\nat 2026-11-26T00:00:00.000000Z\n\n\N{EM DASH} pool A\n"
ROW = {"kind": "round_proof", "body": "{}", "at": "2026-11-26", "account": None, "party": None, "sequence": 1}


def verify(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What is told of an export that is not what it should be."""
    assert verifier.main([str(path), "--key", TOLD, "--processes", "1"]) == 1
    told = capsys.readouterr()
    assert (told.out + told.err).replace("\n", "").isprintable()
    return told.err


@pytest.mark.parametrize("name", ["round.json", "audit.jsonl"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe in place of a file would be read for ever."""
    (tmp_path / "begin.json").write_text('{"size":0,"hashes":[],"head":1}')
    os.mkfifo(tmp_path / name)
    os.mkfifo(tmp_path / "heads.jsonl")
    assert "is no file" in verify(tmp_path, capsys)


def test_a_signature_of_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fault is named, whatever stands in place of a signature."""
    (tmp_path / "round.json").write_text("{}")
    (tmp_path / "audit.json").write_text(json.dumps({"row": ROW, "note": NOTE, "path": []}))
    assert "no Base64" in verify(tmp_path, capsys)


def test_what_is_told_does_nothing_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Texts of an export are shown, not carried out."""
    verifier.Report(as_json=False).say("record", False, "\x1b]0;title\x07\x9b2J\ud800 Қазақстан")
    assert capsys.readouterr().out == "record         FAULT \\x1b]0;title\\x07\\x9b2J\\ud800 Қазақстан\n"


def test_the_unforeseen_is_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback and no success, whatever goes wrong."""

    def fail(*_: object) -> None:
        raise MemoryError("\x1b[2J")

    receipt = tmp_path / "receipt.json"
    receipt.write_text("{}")
    monkeypatch.setattr(verifier, "verify_receipt", fail)
    assert "cannot be verified (MemoryError: \\x1b[2J)" in verify(receipt, capsys)


def test_a_part_without_any_work() -> None:
    """Nothing can be divided among parts whose work is nothing."""
    record = {"reward": 100, "fee_ppm": 0}
    with pytest.raises(verifier.Fault, match="though nobody did any work"):
        verifier.due(record, "a", 0, 0, 0)


@pytest.mark.parametrize(("branch", "end"), [(17, 0), (0, 1_000_001)])
def test_a_job_larger_than_a_block_allows(branch: int, end: int) -> None:
    """Each share hashes its job's branch and coinbase, so they are bounded."""
    row = {
        **dict.fromkeys(("job", "height", "version", "nbits", "ntime", "mintime"), 0),
        **dict.fromkeys(("coinbase_head", "coinbase_tail"), ""),
        "coinbase_end": "00" * end,
        "previous_block_hash": "00" * 32,
        "branch": ["00" * 32] * branch,
    }
    with pytest.raises(verifier.Fault, match="larger than a block allows"):
        verifier.read_job(row)


def test_many_gaps_are_looked_up_at_once() -> None:
    """A record may name many gaps; each is found without walking through all."""
    segments = [verifier.Segment(number, number, bytes(32)) for number in range(2, 100_002, 2)]
    head = bytes(32)
    for segment in segments:
        head = verifier.next_head(head, segment)
    missing = [[], ["a"], *([number, number] for number in range(1, 100_001, 2))]
    told = {"after": 0, "until": 100_000, "before": "00" * 32, "head": head.hex(), "missing": missing}
    assert verifier.chain("1", told, segments)[1] == 50_000


@pytest.mark.parametrize("name", ["x", "01", "-1", "²"])
def test_an_earlier_record_of_no_gateway(name: str, tmp_path: Path) -> None:
    """Names in the record before are of gateways, or they are a fault."""
    before = json.dumps({"round": 1, "gateways": {name: {"until": 0, "head": "00" * 32}}})
    (tmp_path / "previous.json").write_text(before)
    seen = verifier.Round(tmp_path, [], None, 1)
    seen.record = {"first_round": 2, "gateways": {}, "previous": {"digest": sha256(before.encode()).hexdigest()}}
    with pytest.raises(verifier.Fault, match="ends elsewhere"):
        verifier.look_cut(seen)
