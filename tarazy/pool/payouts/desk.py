"""The server's part in payouts: at each turn it sends, follows and goes on, and proposes batches when it is time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Engine
from twisted.internet.threads import deferToThread

from tarazy.accounting.ledger import LedgerError
from tarazy.accounting.payouts import batches, fence
from tarazy.accounting.payouts.fence import FencedError
from tarazy.accounting.payouts.machine import LeftOut, PayoutError
from tarazy.accreditation.fields import LEGAL_ZONE
from tarazy.accreditation.problems import Problem
from tarazy.accreditation.snapshot import Registers
from tarazy.config.settings import PayoutSettings, Settings
from tarazy.pool.admissions import Admissions
from tarazy.pool.chain.bitcoind.faults import NodeError
from tarazy.pool.payouts.facts import destinations, licence_holds, require_party
from tarazy.pool.payouts.payer import Payer
from tarazy.pool.payouts.wallet import NodeWallet, wallet_of
from tarazy.pool.repeat import Repeat
from tarazy.portal.payments import PayoutRefused, Proposal, WalletCheck
from tarazy.reports.language import LANGUAGES, instant, number, text
from tarazy.reports.licence_holds import hold_texts

TURN_SECONDS = 10.0

_log = structlog.get_logger()


class PayoutDesk:
    """Pays while the server runs; a thread of its own waits for the node."""

    def __init__(self, clock: Any, settings: Settings, payouts: PayoutSettings, engine: Engine, known: Admissions):
        self._payouts = payouts
        self.signing: str = payouts.signing
        self._chain = settings.chain.address_chain
        self._wallet: NodeWallet = wallet_of(settings)
        self._engine = engine
        self._known = known
        self._proposed_at: datetime | None = None
        self.depths: Mapping[str, int] = {}
        """Confirmations of the sent transactions by txid, as of the latest turn."""
        self.repeat = Repeat(clock, "pay", TURN_SECONDS, self._turn)

    def propose(self, by: str) -> Proposal:
        """Move what is due into a batch, as `by`. Raises `PayoutRefused`."""
        with _refusing():
            number, selection = self._payer(by).propose(destinations(self._registers(), self._chain))
        amount = sum(each.amount for each in selection.payments)
        left_out = {party: _texts(why) for party, why in selection.left_out.items()}
        first = {each.party: each.rest for each in selection.payments if each.rest}
        return Proposal(number, amount, first, left_out)

    def approve(self, number: int, by: str) -> None:
        """Let a batch that somebody else proposed be paid. Raises `PayoutRefused`."""
        with _refusing():
            self._payer(by).approve(number)

    def hold(self, party: str, why: str, language: str, by: str) -> None:
        """Keep a party's payments back, as `by`. Raises `PayoutRefused`."""
        with _refusing():
            require_party(self._registers(), party)
            self._payer(by).hold(party, why, language)

    def release(self, party: str, why: str, by: str) -> None:
        """Let a party's payments go again. Raises `PayoutRefused`."""
        with _refusing():
            self._payer(by).release(party, why)

    def stop(self, why: str, language: str, by: str) -> None:
        """Let nothing be proposed, signed or sent. Raises `PayoutRefused`."""
        with _refusing():
            self._payer(by).stop(why, language)

    def resume(self, why: str, by: str) -> None:
        """Let payments go out again, if nothing is missing. Raises `PayoutRefused`."""
        with _refusing():
            self._payer(by).resume(why)

    def check(self, by: str) -> WalletCheck:
        """Compare the wallet with the books. Raises `PayoutRefused`."""
        with _refusing():
            found = self._payer(by).check()
        return WalletCheck(found.wallet, found.books, found.difference, found.unknown)

    def abandon(self, number: int, why: str, by: str) -> bool:
        """Give a batch up; False while a second person has to say so too. Raises `PayoutRefused`."""
        with _refusing():
            return self._payer(by).abandon(number, why)

    def export(self, number: int, by: str) -> str:
        """The PSBT of a batch for signing elsewhere. Raises `PayoutRefused`."""
        with _refusing():
            return self._payer(by).export(number)

    def accept(self, number: int, signed: str, by: str) -> str:
        """Take a signed PSBT of a batch, and send it; the txid. Raises `PayoutRefused`."""
        with _refusing():
            return self._payer(by).accept(number, signed)

    def broadcast(self, number: int, by: str) -> None:
        """Sign a batch where the node's wallet signs, and send it. Raises `PayoutRefused`."""
        with _refusing():
            self._payer(by).broadcast(number)

    def bump(self, number: int, rate: int, by: str) -> str | None:
        """Replace a sent transaction by one of a higher fee; the txid once it is signed. Raises `PayoutRefused`."""
        with _refusing():
            return self._payer(by).bump(number, rate)

    def _payer(self, by: str) -> Payer:
        holds = licence_holds(self._registers())
        return Payer(self._engine, self._wallet, self._payouts, self._chain, by, holds)

    def _registers(self) -> Registers:
        return self._known.registers.at(datetime.now(UTC))

    async def _turn(self) -> None:
        try:
            await deferToThread(self._pay)
        except FencedError as error:
            _log.info("payouts_left_to_another", reason=str(error))

    def _pay(self) -> None:
        now = datetime.now(UTC)
        payer = self._payer("tarazy")
        payer.turn()
        self.depths = payer.depths
        with self._engine.begin() as connection:
            standing = fence.standing(connection)
        if standing.stopped_why is not None:
            return
        if standing.checked_at is None or _day(standing.checked_at) != _day(now):
            payer.check()
        if self._is_time(now):
            self._proposed_at = now
            number, _ = payer.propose(destinations(self._registers(), self._chain))
            if number is not None:
                _log.info("payout_proposed", batch=number)

    def _is_time(self, now: datetime) -> bool:
        """Whether the schedule wants another batch: nothing due is a turn of it too."""
        if self._payouts.every_hours is None:
            return False
        every = timedelta(hours=self._payouts.every_hours)
        if self._proposed_at is None:
            with self._engine.begin() as connection:
                self._proposed_at = batches.last_proposed_at(connection)
        return self._proposed_at is None or now - self._proposed_at >= every


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except NodeError as error:
        raise PayoutRefused(Problem("node", why=str(error))) from None
    except (PayoutError, LedgerError) as error:
        raise PayoutRefused(error.args[0]) from None


def _day(instant: datetime) -> object:
    return instant.astimezone(LEGAL_ZONE).date()


def _texts(why: LeftOut) -> dict[str, str]:
    """Language → why a party is not paid."""
    held = hold_texts(str(why.values["why"])) if why.code == "held" else None
    return {
        lang: text(lang, f"portal.leftout.{why.code}", **_figures(lang, why) | ({"why": held[lang]} if held else {}))
        for lang in LANGUAGES
    }


def _figures(lang: str, why: LeftOut) -> dict[str, str]:
    return {name: _figure(lang, name, value) for name, value in why.values.items()}


def _figure(lang: str, name: str, value: str | int) -> str:
    if isinstance(value, int):
        return number(lang, value)
    return instant(lang, datetime.fromisoformat(value)) if name == "instant" else value
