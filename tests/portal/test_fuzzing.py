"""Requests made from the API's own description by schemathesis, with tokens that reach what is behind the gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest_twisted
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import checks
from schemathesis.generation import GenerationMode
from twisted.internet.threads import deferToThread

from tarazy.portal.rights import RIGHTS, Right, Role
from tests.portal.conftest import Running
from tests.portal.pool import EKIBASTUZ
from tests.portal.test_registers import tokens  # noqa: F401 - a fixture

EXAMPLES = 3
"""Requests of each operation, right ones and as many wrong ones."""
TOO_LONG = 414
"""A right refusal, which the checks take for none."""
ROW_BY_ROW = "/api/v1/readings"
"""It answers 200 and says of each row what is wrong."""
SESSION_ALONE: list[dict[str, list[str]]] = [{"session": []}]
"""What no token may ask for."""
LIVE = "/api/v1/events"
"""It never ends."""
OUTSIDE = tuple(f"POST /api/v1/users/{name}" for name in ("sign-in", "sign-out", "demo", "invitation", "join"))
"""What is before the gate: it refuses by itself."""
THERE = {"site": EKIBASTUZ, "quarter": "2026-Q1", "period": "2026-Q1", "kind": "party", "year": "2026"}
"""What is told in place of what was made up, so that handlers find something."""
ABSENT = {
    "GET /api/v1/reports/{name}",
    "GET /api/v1/me/receipts/{number}",
    "GET /api/v1/registers/{kind}/history",
    "GET /api/v1/documents/file",
    "GET /api/v1/energy/fees/{quarter}",
}
"""What asks for names of its own, which a description cannot tell."""
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]


def _holder(operation: Any) -> Role:
    """Whose token an operation asks for."""
    right = str(operation.definition.raw.get("x-right", "any"))
    return next((role for role in Role if right != "any" and Right(right) in RIGHTS[role]), Role.OPERATOR)


def _ask(operation: Any, mode: GenerationMode, headers: Mapping[str, str]) -> Counter[int]:
    """The statuses of an operation's answers, each of which is checked."""
    found: Counter[int] = Counter()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        for told in (case.path_parameters, case.query, case.body) if mode is GenerationMode.POSITIVE else ():
            if isinstance(told, dict):
                told.update({name: THERE[name] for name in told.keys() & THERE.keys()})
        answer = case.call(headers=headers, timeout=60)
        found[answer.status_code] += 1
        if answer.status_code != TOO_LONG:
            unfit = [checks.negative_data_rejection] if operation.path == ROW_BY_ROW else []
            case.validate_response(answer, checks=CHECKS, excluded_checks=unfit)

    with suppress(Unsatisfiable):  # some addresses cannot be asked wrongly
        ask()
    return found


def _fuzz(url: str, known: Mapping[str, str]) -> dict[str, Counter[int]]:
    """Statuses by operation."""
    found = {}
    described: Any = schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json").get_all_operations()
    for operation in (each.ok() for each in described):
        if operation.path != LIVE and operation.definition.raw.get("security") != SESSION_ALONE:
            headers = {"Authorization": f"Bearer {known[_holder(operation).value]}", "Origin": url}
            right, wrong = (_ask(operation, mode, headers) for mode in GenerationMode)
            found[operation.label] = right + wrong
    return found


@pytest_twisted.ensureDeferred
async def test_the_description_is_kept_whatever_is_asked(own: Running, tokens: dict[str, str]) -> None:  # noqa: F811
    """No request breaks the server, answers are as described, and the tokens are let in everywhere."""
    found = await deferToThread(_fuzz, own.url, tokens)
    inside = {name: each for name, each in found.items() if not name.startswith(OUTSIDE)}
    refused = {name: each for name, each in inside.items() if {401, 403, 429} & each.keys()}
    assert refused == {}, "the tokens are let in everywhere, and nobody has to wait"
    unseen = {name for name, each in inside.items() if name.startswith("GET") and not each[200]}
    assert unseen == ABSENT, "the handlers are reached"
