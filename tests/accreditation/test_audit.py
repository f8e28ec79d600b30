"""The audit log's chain shows every change, gap and reordering (invariant 7)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, delete, select, update

from tarazy.accreditation.audit import AuditEvent, append, canonical, head, verify
from tarazy.accreditation.tables import audit
from tests.accreditation.world import NOW


def fill(engine: Engine, count: int = 5) -> None:
    """Rows in two transactions, a second apart."""
    for start in (0, count // 2):
        events = [
            AuditEvent("test", {"n": n, "текст": "Ә"}, "party", None)
            for n in range(start, count // 2 if start == 0 else count)
        ]
        with engine.begin() as connection:
            append(connection, events, NOW + timedelta(seconds=start))


def test_an_untouched_log_verifies_and_an_empty_one_too(engine: Engine) -> None:
    """Sequence from 1 without gaps, each row linked to the one before."""
    with engine.begin() as connection:
        assert verify(connection) is None
        assert head(connection).sequence == 0
    fill(engine)
    with engine.begin() as connection:
        kept = head(connection)
        assert kept.sequence == 5
        assert verify(connection, kept) is None


@pytest.mark.parametrize(
    "change",
    [
        {"body": '{"n":99,"текст":"Ә"}'},
        {"body": '{"n": 2,"текст":"Ә"}'},
        {"body": "broken"},
        {"kind": "other"},
        {"party": None},
        {"account": "x"},
        {"at": NOW + timedelta(microseconds=1)},
        {"hash": "0" * 64},
    ],
)
def test_any_changed_column_is_found_and_named(engine: Engine, change: dict[str, object]) -> None:
    """The fault names the first bad row."""
    fill(engine)
    with engine.begin() as connection:
        connection.execute(update(audit).where(audit.c.sequence == 3).values(**change))
        fault = verify(connection)
    assert fault is not None
    assert (fault.sequence, fault.problem) == (3, "row 3 was changed")


def test_a_removed_row_is_found(engine: Engine) -> None:
    """A gap in the middle."""
    fill(engine)
    with engine.begin() as connection:
        connection.execute(delete(audit).where(audit.c.sequence == 2))
        fault = verify(connection)
    assert fault is not None
    assert fault.problem == "row 2 is missing"


def test_rows_cut_off_at_the_end_are_found_by_a_kept_head(engine: Engine) -> None:
    """Only who kept a head can tell that the end is missing."""
    fill(engine)
    with engine.begin() as connection:
        kept = head(connection)
        connection.execute(delete(audit).where(audit.c.sequence > 3))
        assert verify(connection) is None
        fault = verify(connection, kept)
    assert fault is not None
    assert fault.problem == "rows 4 to 5 are missing at the end"


def test_reordered_and_renumbered_rows_are_found(engine: Engine) -> None:
    """Two rows that change places, with their numbers, break the chain."""
    fill(engine)
    with engine.begin() as connection:
        for old, new in ((2, 99), (3, 2), (99, 3)):
            connection.execute(update(audit).where(audit.c.sequence == old).values(sequence=new))
        fault = verify(connection)
    assert fault is not None
    assert fault.sequence == 2


def test_a_log_rewritten_from_a_row_on_is_found_by_a_kept_head(engine: Engine) -> None:
    """Whoever recomputes every hash still cannot match the head kept elsewhere."""
    fill(engine)
    with engine.begin() as connection:
        kept = head(connection)
        connection.execute(delete(audit).where(audit.c.sequence >= 3))
        append(connection, [AuditEvent("test", {"n": n}) for n in range(3)], NOW)
        assert verify(connection) is None
        fault = verify(connection, kept)
    assert fault is not None
    assert fault.sequence == 5


def test_time_in_the_log_never_runs_backwards(engine: Engine) -> None:
    """A clock set back does not put rows before those already written."""
    with engine.begin() as connection:
        append(connection, [AuditEvent("a", {})], NOW)
        append(connection, [AuditEvent("b", {})], NOW - timedelta(hours=1))
        assert connection.execute(select(audit.c.at)).scalars().all() == [NOW, NOW]
        assert verify(connection) is None


def test_canonical_json_has_one_spelling() -> None:
    """Keys sorted, no spaces, letters as they are, no floats."""
    assert canonical({"b": [1, None, True], "a": "Қ"}) == '{"a":"Қ","b":[1,null,true]}'
    with pytest.raises(TypeError, match="floats"):
        canonical({"a": [{"b": 0.5}]})
