"""What the database itself refuses: to change the ledger, and an entry that does not balance.

Adding up at the commit would cost every posting the sum of all, so the order does it, alike on both databases:
postings come first and refer to an entry that must exist at the commit; the entry is refused unless they add up
to zero; after it no posting is taken. The migrations hold the same statements.
"""

from __future__ import annotations

SQLITE = (
    """CREATE TRIGGER ledger_entry_no_update BEFORE UPDATE ON ledger_entry
        BEGIN SELECT RAISE(ABORT, 'the ledger is never changed: a correction is a new entry'); END""",
    """CREATE TRIGGER ledger_entry_no_delete BEFORE DELETE ON ledger_entry
        BEGIN SELECT RAISE(ABORT, 'the ledger is never changed: a correction is a new entry'); END""",
    """CREATE TRIGGER ledger_posting_no_update BEFORE UPDATE ON ledger_posting
        BEGIN SELECT RAISE(ABORT, 'the ledger is never changed: a correction is a new entry'); END""",
    """CREATE TRIGGER ledger_posting_no_delete BEFORE DELETE ON ledger_posting
        BEGIN SELECT RAISE(ABORT, 'the ledger is never changed: a correction is a new entry'); END""",
    """CREATE TRIGGER ledger_posting_open BEFORE INSERT ON ledger_posting
        WHEN EXISTS (SELECT 1 FROM ledger_entry WHERE entry = NEW.entry)
        BEGIN SELECT RAISE(ABORT, 'the entry is closed: it takes no more postings'); END""",
    """CREATE TRIGGER ledger_entry_balanced BEFORE INSERT ON ledger_entry
        WHEN EXISTS (SELECT 1 FROM ledger_entry WHERE entry = NEW.entry)
        OR coalesce((SELECT sum(amount) FROM ledger_posting WHERE entry = NEW.entry), 1) <> 0
        BEGIN SELECT RAISE(ABORT, 'an entry follows postings that add up to zero'); END""",
)
POSTGRESQL = (
    """CREATE OR REPLACE FUNCTION ledger_fixed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE integrity_constraint_violation USING MESSAGE = 'the ledger is never changed: a correction is a new entry';
        END $$""",
    """CREATE OR REPLACE FUNCTION ledger_open() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT 1 FROM ledger_entry WHERE entry = NEW.entry) THEN
            RAISE integrity_constraint_violation USING MESSAGE = 'the entry is closed: it takes no more postings';
        END IF;
        RETURN NEW;
        END $$""",
    """CREATE OR REPLACE FUNCTION ledger_balanced() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF coalesce((SELECT sum(amount) FROM ledger_posting WHERE entry = NEW.entry), 1) <> 0 THEN
            RAISE integrity_constraint_violation USING MESSAGE = 'an entry follows postings that add up to zero';
        END IF;
        RETURN NEW;
        END $$""",
    """CREATE TRIGGER ledger_entry_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entry
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_fixed()""",
    """CREATE TRIGGER ledger_posting_fixed BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_posting
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_fixed()""",
    """CREATE TRIGGER ledger_posting_open BEFORE INSERT ON ledger_posting
        FOR EACH ROW EXECUTE FUNCTION ledger_open()""",
    """CREATE TRIGGER ledger_entry_balanced BEFORE INSERT ON ledger_entry
        FOR EACH ROW EXECUTE FUNCTION ledger_balanced()""",
)
