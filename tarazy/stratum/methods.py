"""What a miner may ask besides submitting: one function a method, with the result or a `RefusalError`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tarazy.stratum import codec, wishes
from tarazy.stratum.agents import agent_of
from tarazy.stratum.codec import RefusalError
from tarazy.stratum.difficulty import exponent_at_least, exponent_of
from tarazy.stratum.limits import Hit
from tarazy.stratum.login import canonical_login
from tarazy.stratum.ports import NotReadyError
from tarazy.stratum.state import EXTRANONCE2_SIZE, State

NAMES = 1024
"""Names on one connection; farm proxies have hundreds."""
EXTENSIONS = 64
LONGEST_PASSWORD = 128
LOGIN_KEPT = 256
"""Characters of a login that are looked at: more than a login may have, so that a longer one stays too long."""


def _bad_params(cure: str) -> RefusalError:
    return RefusalError(codec.OTHER, f"bad-params: {cure}")


def configure(session: State, params: list[Any], now: float) -> dict[str, Any]:
    """BIP310: one entry for every extension asked for, false for those unknown."""
    if not params or type(params[0]) is not list or len(params[0]) > EXTENSIONS:
        raise _bad_params("mining.configure takes [[extension, ...], {...}]")
    options = params[1] if len(params) > 1 and type(params[1]) is dict else {}
    result: dict[str, Any] = {}
    for extension in params[0]:
        if type(extension) is not str:
            raise _bad_params("extensions are strings")
        result[extension] = False
        if extension == "version-rolling":
            mask = session.offer_mask(wishes.version_mask(options))
            if mask:
                result.update({"version-rolling": True, "version-rolling.mask": f"{mask:08x}"})
        elif extension == "minimum-difficulty":
            value = wishes.difficulty_wish(options.get("minimum-difficulty.value"))
            result[extension] = value is not None and session.assignments.vardiff.raise_floor(exponent_at_least(value))
        elif extension == "subscribe-extranonce":
            result[extension] = session.extranonce_changes = True
        elif extension == "info":
            result[extension] = True
    return result


def subscribe(session: State, params: list[Any], now: float) -> list[Any]:
    """The extranonce, and the id that brings it back after a break; asked again, the same answer."""
    if not session.subscribed:
        agent, session_id, *_ = [*params, None, None]
        try:
            session.subscribe(agent_of(agent), session_id, now)
        except NotReadyError:
            raise RefusalError(codec.OTHER, "not-ready: the pool cannot store shares now") from None
    subscription = session.board.extranonces.session_id(session.extranonce1)
    return [
        [["mining.set_difficulty", subscription], ["mining.notify", subscription]],
        session.extranonce1.hex(),
        EXTRANONCE2_SIZE,
    ]


def authorize(session: State, params: list[Any], now: float) -> bool:
    """Ask the gate about a name."""
    if not params or type(params[0]) is not str:
        raise _bad_params("mining.authorize takes [login, password]")
    login = canonical_login(params[0][:LOGIN_KEPT])
    known = session.names.get(login)
    if known is not None and known.refusal is None:
        return True
    if known is None and len(session.names) >= NAMES:
        session.board.hit(Hit.NAMES)
        raise RefusalError(codec.OTHER, f"too-many-names: {NAMES} names are the most for one connection")
    password = params[1][:LONGEST_PASSWORD] if len(params) > 1 and type(params[1]) is str else ""
    admission = session.board.gate.admit(login, password, session.peer)
    if not admission.admitted:
        raise session.refused(admission, now)
    session.admit(login, password, admission, now)
    options = wishes.password_options(password)
    if options.minimum is not None:
        session.assignments.vardiff.raise_floor(min(exponent_at_least(options.minimum), session.board.rules.maximum))
    if options.wish is not None:
        session.assignments.vardiff.suggest(exponent_of(options.wish))
    return True


def suggest_difficulty(session: State, params: list[Any], now: float) -> bool:
    """A wish for the next job."""
    return _suggest(session, wishes.difficulty_wish(params[0]) if params else None, now)


def suggest_target(session: State, params: list[Any], now: float) -> bool:
    """The same as a target of 64 hex digits."""
    return _suggest(session, wishes.target_wish(params[0]) if params else None, now)


def _suggest(session: State, wish: float | None, now: float) -> bool:
    if wish is None:
        raise _bad_params("a difficulty is a positive decimal number")
    session.assignments.vardiff.suggest(exponent_of(wish))
    session.hurry(now)
    return True


def ping(session: State, params: list[Any], now: float) -> str:
    """Alive."""
    return "pong"


def multi_version(session: State, params: list[Any], now: float) -> bool:
    """Old bmminer: no effect."""
    return True


def extranonce_subscribe(session: State, params: list[Any], now: float) -> bool:
    """From now on the miner takes mining.set_extranonce."""
    session.extranonce_changes = True
    return True


def get_transactions(session: State, params: list[Any], now: float) -> None:
    """Known, and not done here: a full answer is megabytes."""
    raise RefusalError(codec.OTHER, "not-supported")


METHODS: dict[str, Callable[[State, list[Any], float], object]] = {
    "mining.configure": configure,
    "mining.subscribe": subscribe,
    "mining.authorize": authorize,
    "mining.suggest_difficulty": suggest_difficulty,
    "mining.suggest_target": suggest_target,
    "mining.extranonce.subscribe": extranonce_subscribe,
    "mining.get_transactions": get_transactions,
    "mining.ping": ping,
    "mining.multi_version": multi_version,
}
