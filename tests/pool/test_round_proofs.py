"""Rounds that others verify: a true one passes, each lie is named, and a party needs no more than its receipt."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import tarazy_verify as verifier
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from embit.script import Script, Witness
from embit.transaction import Transaction, TransactionInput, TransactionOutput
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from tarazy.accounting.journal_file import SHARE
from tarazy.accounting.payouts import batches
from tarazy.accounting.payouts.machine import Destination, LeftOut, Limits
from tarazy.accounting.proof import sums
from tarazy.accounting.proof.chain import next_head
from tarazy.accounting.proof.payments import put_on_record
from tarazy.accounting.proof.receipt import receipt
from tarazy.accounting.proof.record import proof_of
from tarazy.accounting.proof.shares import ProofError
from tarazy.accounting.schemes import Scheme, Terms
from tarazy.accreditation.audit import AuditEvent, AuditHead, AuditRow, append, canonical, instant_text
from tarazy.accreditation.audit_proof import prove_row
from tarazy.accreditation.checkpoint import sign
from tarazy.accreditation.heads import SigningKey, sign_head
from tarazy.database.engine import open_engine
from tarazy.database.types import metadata
from tarazy.pool.payouts.payer import PAYMENTS
from tarazy.stratum.difficulty import weight_of
from tarazy.stratum.share import ShareRecord, Verdict
from tests.pool.mining import POOL_SCRIPT, job_of
from tests.pool.rounds import FEE_PPM, KEY, TEMPLATE, Pool, export_of, mature, new_template

VERIFIER = Path(__file__).parents[2] / "verifier" / "tarazy_verify.py"


def run_verifier(path: Path, *arguments: str, key: str = str(KEY.verifier)) -> subprocess.CompletedProcess[str]:
    """The verifier as a stranger runs it: no packages, not even the environment's own."""
    command = [sys.executable, "-I", "-S", str(VERIFIER), str(path), "--key", key, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=os.sep)


def transaction_of(paid: dict[bytes, int]) -> Transaction:
    """A signed transaction, as a wallet makes it."""
    spent = TransactionInput(bytes(range(32)), 1, witness=Witness([bytes(71), bytes(33)]))
    return Transaction(2, [spent], [TransactionOutput(value, Script(script)) for script, value in paid.items()])


class Run:
    """Two final rounds over two gateways, and a third that an orphan joined."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.engine = open_engine(f"sqlite:///{directory}/ledger.db")
        metadata.create_all(self.engine)
        self.pools = [Pool(directory, self.engine, gateway) for gateway in (1, 2)]
        first, second = self.pools
        for pool in self.pools:
            for party, exponent in (("alpha", -30), ("beta", -24), ("gamma", -32), ("alpha", -31)):
                pool.join(party, exponent)
            pool.mine(40)
        self._fold(second)
        blocks = [first.find()]
        stale = first.miners[1].work(first.jobs[-1])[0]
        first.write(stale._replace(verdict=int(Verdict.STALE)))
        first.mine(12)
        self._fold(first)
        for pool in self.pools:
            pool.jobs.append(job_of(new_template(840_001), number=(pool.gateway << 40) + 1))
        second.mine(8)
        second.sequence += 3  # a commit failed
        second.mine(5)
        blocks.append(first.find(new_template(840_001)))
        self._fold(second)
        self._fold(first)
        mature(self.engine, directory, *blocks)
        self._pay("alpha", "beta")

    def _pay(self, *parties: str) -> None:
        """What is due to some parties of both rounds, by one transaction."""
        now = datetime.now(UTC)
        places: dict[str, Destination | LeftOut] = {
            party: Destination(party, b"\x00\x14" + sha256(party.encode()).digest()[:20]) for party in parties
        }
        with self.engine.begin() as connection:
            limits = Limits(1, 500, 10**12, 10**12, None)
            number, _ = batches.propose(connection, now, "anna", places, limits, (now, now))
            assert number is not None
            batches.approve(connection, number, now, "bolat")
            paid = batches.read(connection, number).by_script
            made = transaction_of({**paid, POOL_SCRIPT: 777})
            batches.prepare(connection, number, now, "psbt")
            batches.sign(connection, number, now, made.txid().hex(), made.serialize().hex(), 1_000)
            put_on_record(connection, number, lambda body: append(connection, [AuditEvent(PAYMENTS, body)], now).size)
            sign_head(connection, KEY, now)

    def _fold(self, pool: Pool) -> None:
        with self.engine.begin() as connection:
            pool.fold(connection, Terms(FEE_PPM), *(other for other in self.pools if other is not pool))

    def export(self, round_: int, output: Path) -> Path:
        """The export of a round."""
        with self.engine.begin() as connection:
            export_of(connection, self.directory, round_, output)
        return output

    def receipt(self, round_: int, party: str) -> dict[str, Any]:
        """The receipt of a party, as the command writes it."""
        with self.engine.begin() as connection:
            proof = proof_of(connection, round_)
            told = receipt(connection, proof, party, self.directory)
            written: dict[str, Any] = json.loads(json.dumps(told | {"audit": prove_row(connection, proof.audit_row)}))
            return written


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One run for all tests, which only read it."""
    made = Run(tmp_path_factory.mktemp("run"))
    yield made
    for pool in made.pools:
        pool.close()
    made.engine.dispose()


@pytest.fixture(scope="module")
def exported(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of round 2."""
    return run.export(2, tmp_path_factory.mktemp("exports") / "two")


@pytest.mark.parametrize("round_", [1, 2])
def test_a_true_round_is_verified(run: Run, tmp_path: Path, round_: int) -> None:
    """R-021, R-022: the stand-alone verifier accepts what is true, by every check."""
    done = run_verifier(run.export(round_, tmp_path / "x"), "--script", POOL_SCRIPT.hex())
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["record", *"123456789"]
    assert all("fine" in line for line in lines)


def test_nobody_is_named_in_an_export(exported: Path) -> None:
    """What everybody may read names no party, account or worker."""
    everything = b"".join(path.read_bytes() for path in exported.iterdir())
    assert not any(word in everything for word in (b"alpha", b"beta", b"gamma", b"rig"))


def test_the_verifier_stands_alone() -> None:
    """R-022: it imports the standard library only."""
    tree = ast.parse(VERIFIER.read_text())
    imported = {
        name.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    imported |= {(node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= sys.stdlib_module_names


class Forger:
    """An export to lie in. With the pool's key: then whatever hangs on the lie is made to fit it again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.record: dict[str, Any] = json.loads((directory / "round.json").read_text())

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The lines of a file."""
        return [json.loads(line) for line in (self.directory / name).read_text().splitlines()]

    def put(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Write the lines of a file."""
        (self.directory / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    def share(self, index: int, **changes: Any) -> None:
        """Change a share of gateway 1."""
        path = self.directory / "gateway-1.shares"
        shares = [ShareRecord._make(fields) for fields in SHARE.iter_unpack(path.read_bytes())]
        shares[index] = shares[index]._replace(**changes)
        path.write_bytes(b"".join(SHARE.pack(*share) for share in shares))

    def chain(self, gateway: int = 1) -> None:
        """Make the chain fit the shares."""
        import tarazy_verify as verifier
        from tarazy_verify import JOB  # noqa: F401 - the module is there

        base = self.directory / f"gateway-{gateway}"
        names = {
            row["name"]: verifier.read_name(gateway, row, bytes.fromhex(row["alias"]))
            for row in self.rows(f"gateway-{gateway}.names.jsonl")
        }
        jobs = {row["job"]: verifier.read_job(row) for row in self.rows(f"gateway-{gateway}.jobs.jsonl")}
        told = self.record["gateways"][str(gateway)]
        packed, rows, head = base.with_suffix(".shares").read_bytes(), [], bytes.fromhex(told["before"])
        for row in self.rows(f"gateway-{gateway}.segments.jsonl"):
            size = (row["last"] - row["first"] + 1) * SHARE.size
            raw, packed = packed[:size], packed[size:]
            leaves = [
                sha256(
                    b"\0" + (row["first"] + i).to_bytes(8, "big") + raw[i * 42 : i * 42 + 42]
                    + names[SHARE.unpack_from(raw, i * 42)[1]].digest + jobs[SHARE.unpack_from(raw, i * 42)[2]].digest
                ).digest()
                for i in range(size // 42)
            ]  # fmt: skip
            root = verifier.root_of(leaves)
            head = next_head(head, root, row["first"], row["last"])
            rows.append(row | {"root": root.hex()})
        self.put(f"gateway-{gateway}.segments.jsonl", rows)
        told["head"] = head.hex()
        base.with_suffix(".note").unlink(missing_ok=True)

    def sums(self) -> None:
        """Make the sum tree fit the parts."""
        rows = self.rows("parties.jsonl")
        leaves = [
            sums.Leaf(bytes.fromhex(row["commit"]), int(row["weight"]), row["credit"], row["fee_ppm"]) for row in rows
        ]
        self.record["sum_root"] = sums.root_of(leaves).hash.hex()

    def sign(self, key: SigningKey = KEY) -> None:
        """Put the record into an audit log of one row, and sign that."""
        body = canonical(self.record)
        row = AuditRow(1, datetime.now(UTC), "round_proof", None, None, body, "")
        note = sign(key.private, key.name, AuditHead(1, row.leaf().hex()), datetime.now(UTC))
        told = {
            "sequence": 1,
            "at": instant_text(row.at),
            "kind": row.kind,
            "party": None,
            "account": None,
            "body": body,
        }
        (self.directory / "round.json").write_text(body)
        (self.directory / "audit.json").write_text(json.dumps({"row": told, "path": [], "note": note}))


def altered(lie: Forger) -> None:
    lie.share(2, nonce=7)


def removed(lie: Forger) -> None:
    path = lie.directory / "gateway-1.shares"
    path.write_bytes(path.read_bytes()[SHARE.size :])


def added(lie: Forger) -> None:
    path = lie.directory / "gateway-1.shares"
    path.write_bytes(path.read_bytes() + path.read_bytes()[: SHARE.size])


def doubled(lie: Forger) -> None:
    shares = [ShareRecord._make(each) for each in SHARE.iter_unpack((lie.directory / "gateway-1.shares").read_bytes())]
    lie.share(6, **shares[1]._asdict())


def moved_to_another(lie: Forger) -> None:
    lie.share(2, name=1)


def inflated(lie: Forger) -> None:
    lie.share(2, exponent=-20)


def booked_to_another(lie: Forger) -> None:
    rows = lie.rows("gateway-1.names.jsonl")
    rows[0]["alias"] = rows[1]["alias"]
    lie.put("gateway-1.names.jsonl", rows)


def shifted(lie: Forger) -> None:
    rows = lie.rows("parties.jsonl")
    rows[0]["weight"], rows[1]["weight"] = str(int(rows[0]["weight"]) + 1), str(int(rows[1]["weight"]) - 1)
    lie.put("parties.jsonl", rows)


def satoshi_moved(lie: Forger) -> None:
    rows = lie.rows("parties.jsonl")
    rows[0]["credit"] += 1
    rows[1]["credit"] -= 1
    lie.put("parties.jsonl", rows)


def root_forged(lie: Forger) -> None:
    lie.record["sum_root"] = "00" * 32


def other_round(lie: Forger) -> None:
    """The last share of the round before is taken into this one."""
    told = lie.record["gateways"]["1"]
    told["after"] -= 1
    told["missing"] = [[told["after"] + 1, told["after"] + 1]]


def address_swapped(lie: Forger) -> None:
    lie.record["script"] = "0014" + "99" * 20


def job_pays_another(lie: Forger) -> None:
    rows = lie.rows("gateway-1.jobs.jsonl")
    rows[0]["coinbase_end"] = rows[0]["coinbase_end"].replace(POOL_SCRIPT.hex(), "0014" + "99" * 20)
    lie.put("gateway-1.jobs.jsonl", rows)


def kept_back(lie: Forger) -> None:
    lie.record["reward"] -= 1


def fee_raised(lie: Forger) -> None:
    lie.record["fee"] += 1
    lie.record["remainder"] -= 1


def gap(lie: Forger) -> None:
    rows = lie.rows("gateway-2.segments.jsonl")
    path = lie.directory / "gateway-2.shares"
    path.write_bytes(path.read_bytes()[(rows[0]["last"] - rows[0]["first"] + 1) * SHARE.size :])
    lie.put("gateway-2.segments.jsonl", rows[1:])


def undeclared(lie: Forger) -> None:
    lie.record["gateways"]["2"]["missing"] = []


def head_forged(lie: Forger) -> None:
    path = lie.directory / "gateway-1.note"
    path.write_text(path.read_text().replace("\nat 20", "\nat 19"))


def other_block(lie: Forger) -> None:
    row = json.loads((lie.directory / "block.json").read_text())
    (lie.directory / "block.json").write_text(json.dumps(row | {"header": "ff" + row["header"][2:]}))


def rate_changed(lie: Forger) -> None:
    rows = lie.rows("parties.jsonl")
    rows[1]["fee_ppm"] += 1
    lie.put("parties.jsonl", rows)


def time_moved(lie: Forger) -> None:
    lie.share(3, ntime=TEMPLATE.curtime + 7_001)


def version_changed(lie: Forger) -> None:
    lie.share(3, version=TEMPLATE.version ^ 1)


def admitted_later(lie: Forger) -> None:
    rows = lie.rows("gateway-1.names.jsonl")
    lie.put("gateway-1.names.jsonl", [row | {"at_us": row["at_us"] + 10**12} for row in rows])


def other_past(lie: Forger) -> None:
    path = lie.directory / "previous.json"
    path.write_text(path.read_text().replace('"round":1', '"round":0'))


def other_shares(lie: Forger) -> None:
    lie.record["share_root"] = "00" * 32


def satoshi_kept(lie: Forger) -> None:
    lie.record["remainder"] -= 1


def paid(lie: Forger, change: Callable[[dict[bytes, int], bytes], None]) -> None:
    """Another transaction than the one that pays; `change` gets its outputs and the first party's script."""
    row, payment = lie.rows("transactions.jsonl")[0], lie.rows("payments.jsonl")[0]
    outputs = {each.script_pubkey.data: each.value for each in Transaction.from_string(row["raw"]).vout}
    change(outputs, bytes.fromhex(payment["script"]))
    made = transaction_of(outputs)
    lie.put("transactions.jsonl", [row | {"txid": made.txid().hex(), "raw": made.serialize().hex()}])


def payout_swapped(lie: Forger) -> None:
    def swap(outputs: dict[bytes, int], script: bytes) -> None:
        outputs[b"\x00\x14" + b"\x99" * 20] = outputs.pop(script)

    paid(lie, swap)


def payout_lowered(lie: Forger) -> None:
    def lower(outputs: dict[bytes, int], script: bytes) -> None:
        outputs[script] -= 1

    paid(lie, lower)


def payout_changed(lie: Forger) -> None:
    row = lie.rows("transactions.jsonl")[0]
    lie.put("transactions.jsonl", [row | {"raw": row["raw"].replace("00" * 71, "00" * 70 + "01").replace("09", "0a")}])


def payout_twice(lie: Forger) -> None:
    rows = lie.rows("payments.jsonl")
    lie.put("payments.jsonl", [*rows, rows[0]])


def payout_exchanged(lie: Forger) -> None:
    """Two parties' addresses are exchanged, in the payments and in a transaction that fits them."""
    first, second, *rest = lie.rows("payments.jsonl")
    scripts = bytes.fromhex(first["script"]), bytes.fromhex(second["script"])

    def exchange(outputs: dict[bytes, int], script: bytes) -> None:
        outputs[scripts[0]], outputs[scripts[1]] = outputs[scripts[1]], outputs[scripts[0]]

    paid(lie, exchange)
    exchanged = [first | {"script": second["script"]}, second | {"script": first["script"]}]
    lie.put("payments.jsonl", [*exchanged, *rest])


def payout_concealed(lie: Forger) -> None:
    lie.put("payments.jsonl", lie.rows("payments.jsonl")[1:])


def payout_unentered(lie: Forger) -> None:
    lie.put("transactions.jsonl", [row | {"audit": None} for row in lie.rows("transactions.jsonl")])


def payout_entered_elsewhere(lie: Forger) -> None:
    proof = json.loads((lie.directory / "audit.json").read_text())
    lie.put("transactions.jsonl", [row | {"audit": proof} for row in lie.rows("transactions.jsonl")])


def payout_entry_forged(lie: Forger) -> None:
    """The addresses are exchanged, and the digest in the row of the audit log is made to fit."""
    payout_exchanged(lie)
    made = sha256(b"".join(map(verifier.payment_line, lie.rows("payments.jsonl")))).hexdigest()
    rows = lie.rows("transactions.jsonl")
    for row in rows:
        entered = row["audit"]["row"]
        entered["body"] = canonical(json.loads(entered["body"]) | {"payments": made})
    lie.put("transactions.jsonl", rows)


def payout_invented(lie: Forger) -> None:
    lie.put("transactions.jsonl", [])


def payout_of_less(lie: Forger) -> None:
    rows = lie.rows("payments.jsonl")
    for row in rows:
        for credit in row["credits"]:
            credit["credit"] -= 1
        row["amount"] -= 2
    lie.put("payments.jsonl", rows)


LIES: list[tuple[Callable[[Forger], None], str, str]] = [
    # what was done, what is told of it, what when it was signed anew; nothing where nothing can be made to fit
    (altered, "are not those in the chain", "share 44: its hash does not meet difficulty 2^-24"),
    (removed, "does not hold the", ""),
    (added, "does not hold the", ""),
    (doubled, "are not those in the chain", "is there twice"),
    (moved_to_another, "are not those in the chain", "share 44: its hash does not meet"),
    (inflated, "are not those in the chain", "share 44: its hash does not meet difficulty 2^-20"),
    (booked_to_another, "are not those in the chain", "its shares weigh"),
    (shifted, "its shares weigh", "its shares weigh"),
    (satoshi_moved, "sat are due after", "sat are due after"),
    (root_forged, "not the one in the audit log", "sums or fees were shifted between parties"),
    (other_round, "not the one in the audit log", "round 1 ends elsewhere than this one begins"),
    (address_swapped, "not the one in the audit log", "the address was swapped"),
    (job_pays_another, "are not those in the chain", "the address was swapped"),
    (kept_back, "not the one in the audit log", "the record divides"),
    (fee_raised, "not the one in the audit log", "the fee is"),
    (gap, "a gap: shares", "a gap: shares"),
    (undeclared, "not the one in the audit log", "a gap: shares"),
    (head_forged, "the head was forged or changed", ""),
    (other_block, "block.json is block", "block.json is block"),
    (rate_changed, "ppm, where all pay 10000", "ppm, where all pay 10000"),
    (time_moved, "are not those in the chain", "its ntime lies outside of its job's bounds"),
    (version_changed, "are not those in the chain", "its version differs outside of the bits"),
    (admitted_later, "are not those in the chain", "its name was admitted after it"),
    (other_past, "previous.json is not the record", ""),
    (other_shares, "not the one in the audit log", "are not those that the record was made of"),
    (satoshi_kept, "not the one in the audit log", "the remainder is"),
    (payout_swapped, "the address was swapped", ""),
    (payout_lowered, "sat to script 0014", ""),
    (payout_changed, "it was changed", ""),
    (payout_twice, "is paid twice", ""),
    (payout_invented, "is said to be paid, but its transaction is not here", ""),
    (payout_of_less, "are paid for it", ""),
    (payout_exchanged, "addresses were swapped", ""),
    (payout_concealed, "addresses were swapped, or one was altered, removed", ""),
    (payout_unentered, "the audit log tells nothing of what this batch pays", ""),
    (payout_entered_elsewhere, "its row of the audit log tells of something else", ""),
    (payout_entry_forged, "does not lie in the head of the audit log", ""),
]


@pytest.mark.parametrize(
    ("lie", "told", "signed"),
    [
        pytest.param(lie, told, signed, id=f"{lie.__name__} by {'the pool itself' if signed else 'anybody'}")
        for lie, told_of_unsigned, told_of_signed in LIES
        for signed, told in ((False, told_of_unsigned), (True, told_of_signed))
        if told
    ],
)
def test_each_lie_is_named(
    exported: Path, tmp_path: Path, lie: Callable[[Forger], None], told: str, signed: bool
) -> None:
    """R-021: what was changed in an export is named; also when who has the pool's key made all the rest fit it."""
    forger = Forger(shutil.copytree(exported, tmp_path / "x"))
    lie(forger)
    if signed:
        if lie is not gap:
            forger.chain()
        if lie in (shifted, satoshi_moved, rate_changed):
            forger.sums()
        forger.sign()
    elif told == "not the one in the audit log":
        (forger.directory / "round.json").write_text(canonical(forger.record))
    done = run_verifier(forger.directory, "--processes", "1", "--script", POOL_SCRIPT.hex())
    assert done.returncode == 1, done.stdout
    assert told in done.stdout, done.stdout + done.stderr
    assert "FAULT" in done.stdout
    assert str(forger.directory) in done.stderr


def test_another_key_signs_nothing(exported: Path) -> None:
    """R-021: an export that another key signed is none of the pool's."""
    other = SigningKey(KEY.name, Ed25519PrivateKey.generate())
    done = run_verifier(exported, "--processes", "1", key=str(other.verifier))
    assert done.returncode == 1
    assert "signed by none of the keys given" in done.stdout


@pytest.mark.parametrize("content", ["", "[]", "{", '{"gateways": 1}', "[" * 100_000, '{"a": 1e999}'])
@pytest.mark.parametrize(
    "name", ["round.json", "audit.json", "gateway-1.names.jsonl", "parties.jsonl", "block.json", "transactions.jsonl"]
)
def test_damaged_files_are_told(exported: Path, tmp_path: Path, name: str, content: str) -> None:
    """Whatever a file holds, the answer is one line and exit code 1."""
    damaged = shutil.copytree(exported, tmp_path / "x")
    (damaged / name).write_text(content)
    assert verifier.main([str(damaged), "--key", str(KEY.verifier), "--processes", "1"]) == 1


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("round.json", None, "round.json cannot be read (No such file or directory)"),
        ("audit.json", b"{}", "audit.json: row is no object"),
        ("block.json", b"\xff", "block.json is no UTF-8 text"),
        ("parties.jsonl", b"{}\n", "parties.jsonl, line 1: weight is no number"),
        ("gateway-1.segments.jsonl", b"{}\n", "gateway-1.segments.jsonl, line 1: first is no number"),
        ("gateway-1.names.jsonl", b"[]\n", "gateway-1.names.jsonl, line 1: it is no JSON object"),
        ("gateway-1.jobs.jsonl", b"", "gateway 1, share 42: the export has no record of its job"),
        ("gateway-1.names.jsonl", b"", "gateway 1, share 42: the export has no record of its connection"),
        ("gateway-1.shares", b"", "gateway-1.shares does not hold the 14 shares that the chain has"),
        ("transactions.jsonl", b"{}\n", "transactions.jsonl, line 1: batch is no number"),
    ],
)
def test_the_damaged_file_is_named(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, told: str
) -> None:
    """With its line, and in one."""
    damaged = shutil.copytree(exported, tmp_path / "x")
    (damaged / name).unlink()
    if content is not None:
        (damaged / name).write_bytes(content)
    assert verifier.main([str(damaged), "--key", str(KEY.verifier), "--processes", "1"]) == 1
    fault = capsys.readouterr().err
    assert told in fault
    assert fault.count("\n") == 1


def test_hashes_that_come_twice_are_named_whoever_sorts_them() -> None:
    """In this process, and in others: what they find is told here."""
    heaps = [bytes(range(32)) + bytes(32), bytes(range(32)) * 2]
    for processes in (1, 2):
        seen = verifier.Round(Path(), [], None, processes)
        with seen.open, pytest.raises(verifier.Fault, match=r"hash 1f1e.*0100 is there twice"):
            list(seen.each(verifier.leaves_of, heaps))


@given(st.lists(st.integers(0, 40), max_size=8))
def test_a_tree_that_grows_in_steps_is_the_tree_over_all(steps: list[int]) -> None:
    """However many leaves come at once."""
    leaves = [sha256(bytes([number])).digest() for number in range(sum(steps) % 256)]
    tree, at = verifier.Tree(), 0
    for step in steps:
        tree.extend(leaves[at : at + step])
        at += step
    tree.extend(leaves[at:])
    assert (tree.size, tree.root()) == (len(leaves), verifier.root_of(leaves))


@pytest.mark.parametrize("party", ["alpha", "beta", "gamma"])
@pytest.mark.parametrize("round_", [1, 2])
def test_a_party_needs_its_receipt_only(run: Run, tmp_path: Path, party: str, round_: int) -> None:
    """R-023, R-024: leaf, path and record give the credit; the shares listed are every one answered true."""
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps(run.receipt(round_, party)))
    done = run_verifier(path, "--processes", "1", "--shares")
    assert done.returncode == 0, done.stdout + done.stderr
    with run.engine.begin() as connection:
        record = proof_of(connection, round_).record["gateways"]
        due = connection.execute(
            text(
                "SELECT amount FROM credit JOIN distribution USING (distribution) WHERE last_round = :r AND party = :p"
            ),
            {"r": round_, "p": party},
        ).scalar_one()
    assert f"{due} sat of 312500123 by prop" in done.stdout
    assert ("the credit is not paid yet" in done.stdout) == (party == "gamma")
    listed = {line.split()[3] + line.split()[5] for line in done.stdout.splitlines() if "2^" in line}
    true = {
        f"{share.extranonce2.hex()}{share.nonce:08x}"
        for pool in run.pools
        for owner, sequence, share in pool.true
        if owner == party and record[str(pool.gateway)]["after"] < sequence <= record[str(pool.gateway)]["until"]
    }
    assert listed == true
    assert true


def dropped(told: dict[str, Any]) -> None:
    for row in told["gateways"]["1"]["segments"]:
        if "shares" in row:
            gone = row["shares"].pop()
            row["weight"] = str(int(row["weight"]) - weight_of(SHARE.unpack(bytes.fromhex(gone["share"]))[7]))
            return


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda told: told.update(credit=told["credit"] + 1), "is no leaf of the sum tree"),
        (lambda told: told.update(weight=str(int(told["weight"]) + 1)), "is no leaf of the sum tree"),
        (lambda told: told.update(fee_ppm=FEE_PPM - 1), "a fee of 9999 ppm is no leaf of the sum tree"),
        (lambda told: told.update(party="beta"), "is no leaf of the sum tree"),
        (lambda told: told.update(salt="00" * 32), "is no leaf of the sum tree"),
        (lambda told: told.update(index=told["index"] ^ 1), "no leaf of the sum tree|has no such leaf"),
        (lambda told: told["path"][0].update(weight="1"), "is no leaf of the sum tree"),
        (lambda told: told["payment"].update(script="0014" + "99" * 20), "the address was swapped"),
        (lambda told: told["payment"].update(amount=told["payment"]["amount"] - 1), "that it settles add up to"),
        (lambda told: told["payment"]["credits"].pop(), "does not settle"),
        (dropped, "do not lead to the root"),
        (lambda told: told["gateways"]["1"]["segments"].pop(), "a gap|do not lead to the head"),
        (lambda told: told.update(record=told["record"].replace('"prop"', '"solo"')), "not the one in the audit log"),
    ],
)
def test_a_receipt_that_lies_is_refused(
    run: Run, tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    """R-023: another credit, weight, party, or fewer shares do not pass for what is in the record."""
    told = run.receipt(2, "alpha")
    change(told)
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps(told))
    done = run_verifier(path, "--processes", "1")
    assert done.returncode == 1
    assert any(each in done.stderr for each in words.split("|")), done.stderr


@pytest.mark.parametrize(
    "terms",
    [
        Terms(FEE_PPM, fees={"beta": 2_500, "gamma": 0}),
        Terms(FEE_PPM, scheme=Scheme.SOLO),
        Terms(FEE_PPM, scheme=Scheme.PPLNS, window=1),
        Terms(FEE_PPM, scheme=Scheme.PPLNS, window=2),
    ],
    ids=["fees of their own", "solo", "pplns", "pplns before places were kept"],
)
def test_other_terms_are_verified(tmp_path: Path, terms: Terms) -> None:
    """R-021, R-023: rounds on other terms than one fee and PROP."""
    engine = open_engine(f"sqlite:///{tmp_path}/ledger.db")
    metadata.create_all(engine)
    pool = Pool(tmp_path, engine)
    for party in ("alpha", "beta", "gamma"):
        pool.join(party, -30)
    pool.mine(30)
    block = pool.find()
    with engine.begin() as connection:
        pool.fold(connection, terms)
        if terms.window == 2:
            connection.execute(text("UPDATE chain_link SET place = NULL"))
    mature(engine, tmp_path, block)
    with engine.begin() as connection:
        export_of(connection, tmp_path, 1, tmp_path / "x")
        proof = proof_of(connection, 1)
        told = receipt(connection, proof, "alpha", tmp_path) | {"audit": prove_row(connection, proof.audit_row)}
    (tmp_path / "receipt.json").write_text(json.dumps(told))
    done = run_verifier(tmp_path / "x")
    assert done.returncode == 0, done.stdout
    assert ("not in the export" in done.stdout) == (terms.window == 2)
    done = run_verifier(tmp_path / "receipt.json")
    assert done.returncode == 0, done.stdout + done.stderr
    forger = Forger(tmp_path / "x")
    parts = forger.rows("parties.jsonl")
    forger.put("parties.jsonl", [parts[0] | {"fee_ppm": 0 if parts[0]["fee_ppm"] else 100_000}, *parts[1:]])
    done = run_verifier(forger.directory)
    assert f"party {parts[0]['commit'][:16]}: " in done.stdout
    assert "a fee of" in done.stdout
    pool.close()
    engine.dispose()


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of a round by PPLNS, whose window reaches half of the round before, over two gateways."""
    directory = tmp_path_factory.mktemp("windowed")
    engine = open_engine(f"sqlite:///{directory}/ledger.db")
    metadata.create_all(engine)
    first, second = pools = [Pool(directory, engine, gateway) for gateway in (1, 2)]
    terms = Terms(FEE_PPM, scheme=Scheme.PPLNS, window=100)
    blocks = []
    for shares in (20, 3):
        for _ in range(2):
            for pool in pools:
                for party, exponent in (("alpha", -30), ("beta", -31), ("gamma", -30))[3 * bool(pool.miners) :]:
                    pool.join(party, exponent)
                pool.mine(shares)
                with engine.begin() as connection:
                    first.fold(connection, terms, second)
        blocks.append(first.find())
        with engine.begin() as connection:
            first.fold(connection, terms, second)
        for pool in pools:
            pool.jobs.append(job_of(new_template(840_000), number=(pool.gateway << 40) + 1))
    mature(engine, directory, *blocks)
    with engine.begin() as connection:
        export_of(connection, directory, 2, directory / "x")
    for pool in pools:
        pool.close()
    engine.dispose()
    return directory / "x"


def window_cut_short(told: dict[str, Any]) -> None:
    told["order"].pop(0)


def window_turned(told: dict[str, Any]) -> None:
    told["order"].reverse()


def window_counts_twice(told: dict[str, Any]) -> None:
    told["order"].append(told["order"][-1])


def window_elsewhere(told: dict[str, Any]) -> None:
    told["gateways"]["1"]["until"] -= 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (None, ""),
        (window_cut_short, "leaves shares out, or has some twice"),
        (window_turned, "stand before those of earlier rounds"),
        (window_counts_twice, "leaves shares out, or has some twice"),
        (window_elsewhere, "does not lead to where the round begins"),
    ],
)
def test_a_window_is_verified_from_shares(
    windowed: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None] | None, told: str
) -> None:
    """R-018, R-021: the work of PPLNS is recomputed over the round's beginning; another window is named."""
    forger = Forger(shutil.copytree(windowed, tmp_path / "x"))
    window = json.loads((forger.directory / "window.json").read_text())
    assert {row[0] for row in window["order"]} == {1, 2}
    assert len(window["order"]) > 4
    if change is None:
        done = run_verifier(forger.directory)
        assert (done.returncode, done.stdout.count("fine")) == (0, 10), done.stdout
        assert "not in the export" not in done.stdout
        return
    change(window)
    (forger.directory / "window.json").write_text(canonical(window))
    done = run_verifier(forger.directory, "--processes", "1")
    assert "window.json is not the window that the record was made with" in done.stdout
    forger.record["window"]["digest"] = sha256(canonical(window).encode()).hexdigest()
    forger.sign()
    done = run_verifier(forger.directory, "--processes", "1")
    assert done.returncode == 1
    assert told in done.stdout, done.stdout


def test_other_work_in_the_window_is_named(windowed: Path, tmp_path: Path) -> None:
    """R-018, R-021: work that was moved between parties, and a share of an earlier round that was altered."""
    forger = Forger(shutil.copytree(windowed, tmp_path / "x"))
    shifted(forger)
    assert "its shares weigh" in run_verifier(forger.directory, "--processes", "1").stdout
    path = forger.directory / "window-2.shares"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    done = run_verifier(forger.directory, "--processes", "1")
    assert "are not those in the chain" in done.stdout


def test_the_pool_does_not_record_what_is_not_true(tmp_path: Path) -> None:
    """T-05, T-21: the same work accepted twice, or weights that the journals do not hold, get no record."""
    engine = open_engine(f"sqlite:///{tmp_path}/ledger.db")
    metadata.create_all(engine)
    pool = Pool(tmp_path, engine)
    pool.join("alpha", -30)
    pool.mine(5)
    pool.write(pool.true[0][2])
    block = pool.find()
    with engine.begin() as connection:
        pool.fold(connection)
    with pytest.raises(ProofError, match="accepted twice"):
        mature(engine, tmp_path, block)
    pool.close()
    engine.dispose()
