"""Signatures of reports over the API: seen, brought, and refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_twisted

from tarazy.accreditation import audit
from tarazy.accreditation.audit import events_of
from tarazy.portal.rights import Role
from tarazy.portal.tokens import create_token
from tarazy.reports import kept
from tarazy.reports.signing.key import load_key
from tests.portal.conftest import Running
from tests.portal.shapes import faults
from tests.portal.test_registers import ask
from tests.reports.keys import make

PATH = "/api/v1/signatures"
NAME = "accreditation-20261122T000000Z.json"


def _token(own: Running, role: Role) -> str:
    now = datetime.now(UTC)
    with own.pool.engine.begin() as connection:
        return create_token(connection, role, role, None, now, now + timedelta(days=1), "test")


@pytest_twisted.ensureDeferred
async def test_a_signature_is_uploaded_once_and_told(own: Running, tmp_path: Path) -> None:
    """Only to a report, only one of it, by an operator; the list and the audit log say whose."""
    operator, inspector = _token(own, Role.OPERATOR), _token(own, Role.INSPECTOR)
    await own.portal.read_holders()
    report = own.directory / "reports" / NAME
    report.write_text(json.dumps({"kind": "accreditation", "as_of": "2026-11-22T00:00:00Z"}) + "\n")
    key = load_key(*make("Директор").files(tmp_path, "key"))
    good, other = key.sign(report.read_bytes()), key.sign(b"another")
    target = f"{PATH}?name={NAME}"
    for token, path, body, status, name in (
        (inspector, target, good, 403, "not_allowed"),
        (operator, target, other, 422, "no_signature"),
        (operator, target, b"", 422, "no_signature"),
        (operator, f"{PATH}?name=none.json", good, 404, "no_such_report"),
        (operator, f"{PATH}?name=../pool.db", good, 404, "no_such_report"),
        (operator, f"{PATH}?name=accreditation-2026-11-22-kk.pdf", good, 409, "not_kept"),
    ):
        answer, told = await ask(own, "POST", path, token, data=body)
        assert (answer, told["error"]["code"]) == (status, name), path
    code, told = await ask(own, "GET", PATH, inspector)
    document = await own.json("/api/v1/openapi.json")
    schema = document["paths"][PATH]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert faults(told, schema, document) == []
    assert [(row["name"], row["signature"]) for row in told["items"]] == [(NAME, None)]
    code, told = await ask(own, "POST", target, operator, data=good)
    assert (code, told["signature"]["holder"]) == (200, "Директор, BIN100140000003")
    code, told = await ask(own, "POST", target, operator, data=good)
    assert (code, told["error"]["code"]) == (409, "not_kept")
    code, told = await ask(own, "GET", PATH, inspector)
    assert faults(told, schema, document) == []
    assert told["items"][0]["signature"]["standing"] == "fits"
    with own.pool.engine.begin() as connection:
        (event,) = events_of(connection, kind="report-signed", last=10)
    assert json.loads(event.body)["by"] == "operator"
    report.write_text(report.read_text().replace("22T", "23T"))
    code, told = await ask(own, "GET", PATH, operator)
    assert told["items"][0]["signature"]["standing"] == "broken"


@pytest_twisted.ensureDeferred
async def test_no_signature_stays_without_its_row_in_the_audit_log(
    own: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the log or the directory cannot be written, the signature is taken back and may be brought again."""
    token = _token(own, Role.OPERATOR)
    await own.portal.read_holders()
    report = own.directory / "reports" / NAME
    report.write_text('{"kind": "sale"}')
    signature = load_key(*make("Директор").files(tmp_path, "key")).sign(report.read_bytes())

    def away(*_: object) -> None:
        raise OSError("the disk is full")

    for place, name, code in ((audit, "append", 500), (kept, "sync_directory", 409)):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, away)
            assert (await ask(own, "POST", f"{PATH}?name={NAME}", token, data=signature))[0] == code
        assert list(report.parent.glob("*.p7s")) == []
    assert (await ask(own, "POST", f"{PATH}?name={NAME}", token, data=signature))[0] == 200


@pytest.mark.parametrize("role", [Role.OPERATOR])
@pytest_twisted.ensureDeferred
async def test_a_huge_signature_is_refused(own: Running, role: Role) -> None:
    """More than a signature has is not decoded."""
    token = _token(own, role)
    await own.portal.read_holders()
    (own.directory / "reports" / NAME).write_text('{"kind": "sale"}')
    code, told = await ask(own, "POST", f"{PATH}?name={NAME}", token, data=b"0" * 3_000_000)
    assert (code, "too long" in told["error"]["text"]) == (422, True)
