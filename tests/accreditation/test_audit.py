"""The audit log's tree shows every change, gap and reordering, and names it (invariant 7)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, delete, select, update

from tarazy.accreditation.audit import (
    AuditEvent,
    AuditFault,
    AuditHead,
    append,
    canonical,
    head,
    read_nodes,
    rows_of,
    verify_rows,
)
from tarazy.accreditation.merkle import EMPTY_ROOT, leaf_hash, node_hash, prove_inclusion, verify_inclusion
from tarazy.accreditation.tables import audit
from tests.accreditation.world import NOW

COUNT = 11


def fill(engine: Engine, count: int = COUNT) -> None:
    """Rows in three transactions, a second apart."""
    for start in range(3):
        numbers = range(count * start // 3, count * (start + 1) // 3)
        events = [AuditEvent("test", {"n": number, "текст": "Ә"}, "party", None) for number in numbers]
        with engine.begin() as connection:
            append(connection, events, NOW + timedelta(seconds=start))


def fault_of(connection: Connection, *kept: AuditHead) -> AuditFault | None:
    """The log's first fault."""
    return verify_rows(rows_of(connection), kept)


def change(engine: Engine, sequence: int, **values: object) -> None:
    """Overwrite columns of a row behind the log's back."""
    with engine.begin() as connection:
        connection.execute(update(audit).where(audit.c.sequence == sequence).values(**values))


def test_an_untouched_log_verifies_and_an_empty_one_too(engine: Engine) -> None:
    """Sequence from 1 without gaps; the head is the root over all rows, in whichever portions they were written."""
    with engine.begin() as connection:
        assert fault_of(connection) is None
        assert head(connection) == AuditHead(0, EMPTY_ROOT.hex())
    fill(engine)
    with engine.begin() as connection:
        kept = head(connection)
        assert kept.size == COUNT
        assert head(connection, NOW + timedelta(seconds=1)).size == COUNT // 3
        assert fault_of(connection, kept, head(connection, NOW + timedelta(seconds=1))) is None
        leaves = [row.leaf() for row in rows_of(connection)]
    assert leaves[0] == leaf_hash(
        canonical(
            {
                "sequence": 1,
                "at": "2026-06-01T12:00:00.000000Z",
                "kind": "test",
                "party": "party",
                "account": None,
                "body": {"n": 0, "текст": "Ә"},
            }
        ).encode()
    )


@pytest.mark.parametrize(
    "values",
    [
        {"body": '{"n":99,"текст":"Ә"}'},
        {"body": '{"n": 2,"текст":"Ә"}'},
        {"body": '{"n":2.0,"текст":"Ә"}'},
        {"body": "broken"},
        {"body": "[" * 100_000},
        {"kind": "other"},
        {"party": None},
        {"account": "x"},
        {"at": NOW + timedelta(microseconds=1)},
        {"hashes": ""},
        {"hashes": "0" * 64},
    ],
)
def test_any_changed_column_is_found_and_named(engine: Engine, values: dict[str, object]) -> None:
    """The fault names the first bad row."""
    fill(engine)
    change(engine, 3, **values)
    with engine.begin() as connection:
        assert fault_of(connection) == AuditFault(3, "row 3 was changed")


def test_every_changed_character_of_a_row_is_found_and_named(sqlite_engine: Engine) -> None:
    """In each column as SQLite stores it, where an instant can be spelled in many ways, and bytes that are no text."""
    fill(sqlite_engine)
    with sqlite_engine.connect() as connection:
        row = connection.exec_driver_sql("SELECT * FROM audit WHERE sequence = 3").mappings().one()
    values: list[tuple[str, object]] = [("sequence", 99), ("sequence", -3), ("account", b"\xff"), ("hashes", b"\xff")]
    for column in ("at", "kind", "party", "body", "hashes"):
        text = row[column]
        changed = [text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :] for place in range(len(text))]
        values += [(column, value) for value in [*changed, text + " ", text[:-1], b"\xff", text.encode()]]
    values += [("at", text) for text in ("", "never", row["at"].replace(" ", "T"), row["at"].replace(".", ","))]
    for column, value in values:
        with sqlite_engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE audit SET {column} = ? WHERE sequence = 3", (value,))
            fault = fault_of(connection)
            assert fault is not None, (column, value)
            if column == "sequence":
                assert fault.problem == ("row 3 is missing" if value == 99 else "row -3 stands where row 1 belongs")
            else:
                assert (fault.sequence, fault.problem[:6]) == (3, "row 3 "), (column, value)
            connection.rollback()
    with sqlite_engine.begin() as connection:
        connection.exec_driver_sql("UPDATE audit SET body = CAST(x'ff' AS TEXT) WHERE sequence = 8")
        assert fault_of(connection) == AuditFault(8, "row 8 was changed: it cannot be read")


def test_each_changed_digit_of_the_kept_hashes_is_found(engine: Engine) -> None:
    """The leaf's own digits name the row; those of a subtree above it the rows of that subtree."""
    fill(engine)
    with engine.connect() as connection:
        kept = connection.execute(select(audit.c.hashes).where(audit.c.sequence == 8)).scalar_one()
    assert len(kept) == 4 * 64
    for place in range(0, len(kept), 7):
        changed = kept[:place] + ("0" if kept[place] != "0" else "1") + kept[place + 1 :]
        change(engine, 8, hashes=changed)
        first = 8 - 2 ** (place // 64) + 1
        with engine.begin() as connection:
            fault = fault_of(connection)
        assert fault is not None
        assert fault.sequence == 8
        assert fault.problem.startswith("row 8 was changed" if place < 64 else f"among rows {first} to 8 one was")
    change(engine, 8, hashes=kept + "00")
    with engine.begin() as connection:
        assert fault_of(connection) == AuditFault(8, "row 8 keeps more hashes than it completes subtrees")


def test_a_row_with_its_own_hash_made_anew_is_found_by_the_hash_above(engine: Engine) -> None:
    """Who changes a row and its leaf's hash leaves the pair's hash as it was."""
    fill(engine)
    with engine.begin() as connection:
        row = list(rows_of(connection))[2]
        forged = leaf_hash(b"forged")
        connection.execute(update(audit).where(audit.c.sequence == 3).values(body='{"n":7}'))
        (changed,) = [row for row in rows_of(connection) if row.sequence == 3]
        connection.execute(update(audit).where(audit.c.sequence == 3).values(hashes=changed.leaf().hex()))
        fault = fault_of(connection)
    assert row.hashes != forged.hex()
    assert fault is not None
    assert fault.problem.startswith("among rows 3 to 4 one was changed")


def test_a_removed_row_is_found(engine: Engine) -> None:
    """A gap in the middle."""
    fill(engine)
    with engine.begin() as connection:
        connection.execute(delete(audit).where(audit.c.sequence == 2))
        assert fault_of(connection) == AuditFault(2, "row 2 is missing")


def test_rows_cut_off_at_the_end_are_found_by_a_kept_head(engine: Engine) -> None:
    """Only who kept a head can tell that the end is missing."""
    fill(engine)
    with engine.begin() as connection:
        kept = head(connection)
        connection.execute(delete(audit).where(audit.c.sequence > 3))
        assert fault_of(connection) is None
        assert fault_of(connection, kept) == AuditFault(4, f"rows 4 to {COUNT} are missing at the end")


def test_reordered_and_renumbered_rows_are_found(engine: Engine) -> None:
    """Two rows that change places, with their numbers, are not what was hashed."""
    fill(engine)
    with engine.begin() as connection:
        for old, new in ((2, 99), (3, 2), (99, 3)):
            connection.execute(update(audit).where(audit.c.sequence == old).values(sequence=new))
        assert fault_of(connection) == AuditFault(2, "row 2 was changed")


def test_a_log_rewritten_with_every_hash_is_found_between_two_kept_heads(engine: Engine) -> None:
    """Whoever recomputes everything still cannot match the heads kept elsewhere."""
    fill(engine)
    with engine.begin() as connection:
        early, kept = head(connection, NOW + timedelta(seconds=1)), head(connection)
        connection.execute(delete(audit).where(audit.c.sequence > 5))
        append(connection, [AuditEvent("test", {"n": n}) for n in range(COUNT - 5)], NOW)
        assert fault_of(connection) is None
        fault = fault_of(connection, early, kept)
    assert fault is not None
    assert (
        fault.problem == f"among rows {early.size + 1} to {COUNT} there is one that is not what the head was taken of"
    )


def test_a_log_without_the_hashes_of_its_tree_takes_no_event(engine: Engine) -> None:
    """It says where to look."""
    fill(engine)
    change(engine, 8, hashes="zz")
    with engine.begin() as connection, pytest.raises(LookupError, match="tarazy audit check"):
        append(connection, [AuditEvent("test", {})], NOW)


def test_a_proof_is_read_from_the_rows(engine: Engine) -> None:
    """A row lies in the log: provable from the hashes kept, whatever the number of rows."""
    fill(engine)
    with engine.begin() as connection:
        kept = head(connection)
        rows = list(rows_of(connection))
        for row in rows:
            path = prove_inclusion(lambda node: read_nodes(connection, [node])[0], row.sequence - 1, kept.size)
            assert verify_inclusion(row.leaf(), row.sequence - 1, kept.size, path, bytes.fromhex(kept.root))
        assert read_nodes(connection, [(1, 0)])[0] == node_hash(rows[0].leaf(), rows[1].leaf())


def test_time_in_the_log_never_runs_backwards(engine: Engine) -> None:
    """A clock set back does not put rows before those already written."""
    with engine.begin() as connection:
        append(connection, [AuditEvent("a", {})], NOW)
        append(connection, [AuditEvent("b", {})], NOW - timedelta(hours=1))
        assert connection.execute(select(audit.c.at)).scalars().all() == [NOW, NOW]
        assert fault_of(connection) is None


def test_canonical_json_has_one_spelling() -> None:
    """Keys sorted, no spaces, letters as they are, no floats."""
    assert canonical({"b": [1, None, True], "a": "Қ"}) == '{"a":"Қ","b":[1,null,true]}'
    with pytest.raises(TypeError, match="floats"):
        canonical({"a": [{"b": 0.5}]})
