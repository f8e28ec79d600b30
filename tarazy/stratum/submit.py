"""The way of a share: from the parameters of mining.submit to the journal, and back as `true`."""

from __future__ import annotations

from typing import Any

from tarazy.stratum import codec
from tarazy.stratum.codec import RefusalError
from tarazy.stratum.job import double_sha256
from tarazy.stratum.limits import Hit
from tarazy.stratum.login import canonical_login
from tarazy.stratum.share import ShareRecord, Verdict, Work, judge
from tarazy.stratum.state import Commit, Name, State

_REJECTIONS = {
    Verdict.STALE: (codec.JOB_NOT_FOUND, "stale"),
    Verdict.DUPLICATE: (codec.DUPLICATE, "duplicate"),
    Verdict.LOW_DIFFICULTY: (codec.LOW_DIFFICULTY, "low-difficulty"),
    Verdict.TIME_TOO_OLD: (codec.OTHER, "time-too-old"),
    Verdict.TIME_TOO_NEW: (codec.OTHER, "time-too-new"),
    Verdict.BAD_VERSION: (codec.OTHER, "bad-version"),
    Verdict.RATE_LIMITED: (codec.OTHER, "rate-limited"),
}
_ACCEPTED = Verdict.ACCEPTED
_UNAUTHORIZED = Verdict.UNAUTHORIZED


def submit(session: State, ident: Any, params: Any, now: float) -> None:
    """Judge a share. An accepted one is answered after its commit, any other by the RefusalError."""
    login, job_id, fields = _shape(session, params)
    if not session.ready:
        if not session.subscribed:
            raise _rejection(session, codec.NOT_SUBSCRIBED, "not-subscribed")
        raise _rejection(session, codec.UNAUTHORIZED, "unauthorized", session.refusal)
    board = session.board
    assignments = session.assignments
    name = session.names.get(login) or session.names.get(canonical_login(login))
    work = assignments.find(job_id)
    if work is None:
        raise _rejection(session, codec.JOB_NOT_FOUND, "unknown-job", "", 0, name)
    fault = None if name is not None and name.refusal is None else _UNAUTHORIZED
    if session.conduct.floods(now):
        fault = fault or Verdict.RATE_LIMITED
    extranonce1 = assignments.extranonce1_of(work)
    number = session.number(name, extranonce1, now)
    seen = assignments.seen(work)
    record, header, found, keep = judge(
        work,
        extranonce1,
        fields,
        assignments.mask(work, fields),
        seen,
        number,
        board.unix_us(now),
        assignments.is_stale(work, now),
        fault,
    )
    if found:
        _report_block(session, work, extranonce1, record, header)
    if record.verdict == 0:
        commit = Commit(session, codec.answer_head(ident), work.weight, seen, (fields, header))
        session.waiting.append(commit)
        sequence = board.journal.share(record, commit)
        session.count_share(work.exponent, now)
    elif keep:
        sequence = board.journal.share(record, _recorded)
    if found:
        board.blocks.recorded(double_sha256(header), sequence, number)
    if record.verdict:
        raise _verdict_rejection(session, Verdict(record.verdict), work, name)


def _recorded(committed: bool) -> None:
    """Nobody waits for a share that is recorded without credit."""


def _shape(session: State, params: Any) -> tuple[str, str, bytes]:
    """Login, job id, and the proof's 20 bytes: extranonce2, ntime, nonce, version bits."""
    try:
        if len(params) == 6:
            login, job_id, extranonce2, ntime, nonce, bits = params
        else:
            login, job_id, extranonce2, ntime, nonce = params
            bits = "00000000"
        if type(login) is str and type(job_id) is str and len(ntime) == len(nonce) == len(bits) == 8:
            # Half as long as the text: bytes.fromhex takes blanks, and nothing else that is no digit.
            fields = bytes.fromhex(extranonce2 + ntime + nonce + bits)
            if len(extranonce2) != 16:
                raise _rejection(session, codec.OTHER, "bad-extranonce2", "16 hex digits")
            if len(fields) == 20:
                return login, job_id, fields
    except (TypeError, ValueError):
        pass
    cure = "mining.submit takes [login, job, extranonce2, ntime, nonce, version bits]"
    raise _rejection(session, codec.OTHER, "bad-params", cure)


def _report_block(session: State, work: Work, extranonce1: bytes, record: ShareRecord, header: bytes) -> None:
    """Hand over a block before anything else happens (invariant 5)."""
    coinbase = work.coinb1 + extranonce1 + record.extranonce2 + work.job.coinbase_end
    session.board.blocks.found(header, coinbase, work.job)


def _verdict_rejection(session: State, verdict: Verdict, work: Work, name: Name | None) -> RefusalError:
    if verdict is _UNAUTHORIZED:
        reason = name.refusal if name is not None else "authorize this login on this connection first"
        return _rejection(session, codec.UNAUTHORIZED, "unauthorized", reason or "", work.weight, name)
    code, word = _REJECTIONS[verdict]
    if verdict is Verdict.RATE_LIMITED:
        session.board.hit(Hit.RATE_LIMITED)
    return _rejection(session, code, word, "", work.weight, name)


def _rejection(
    session: State, code: int, word: str, text: str = "", weight: int = 0, name: Name | None = None
) -> RefusalError:
    session.count_rejection(word, weight, name)
    return RefusalError(code, f"{word}: {text}" if text else word)
