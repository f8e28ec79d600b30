"""Signatures of reports over HTTP: who may read sees them, who may write brings one made elsewhere. Import late."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread

from tarazy.accreditation import audit
from tarazy.portal.gate import PAGED, Gate, json_answer, paging, parameters
from tarazy.portal.guard import Fault
from tarazy.portal.moments import MOMENT, past_of
from tarazy.portal.rights import Right
from tarazy.portal.signatures import attach, signatures
from tarazy.portal.turns import Turns
from tarazy.reports.kept import KeptFault
from tarazy.reports.signing.cms import CmsFault


class SignaturePages:
    """`/signatures`."""

    def __init__(self, gate: Gate, directory: Path) -> None:
        self._gate = gate
        self._directory = directory
        self._reports = Turns()
        """Of whoever reads reports: a list those that it tells of, a new signature the one that it is of."""

    async def listing(self, request: Any) -> bytes:
        """The reports that may be signed, the newest first, and who signed them."""
        await self._gate.admit(request, Right.READ)
        asked = parameters(request, (*MOMENT, *PAGED))
        past = past_of(asked, datetime.now(UTC))
        limit, offset = paging(asked)
        until = None if past is None else past.until
        told = await self._reports.run(lambda: deferToThread(signatures, self._directory, limit, offset, until))
        return json_answer(request, told)

    async def add(self, request: Any) -> bytes:
        """Keep a signature that was made elsewhere."""
        holder = await self._gate.admit(request, Right.WRITE)
        name = parameters(request, ("name",)).get("name", "")
        given = request.content.read()
        try:
            told = await self._reports.run(lambda: self._add(name, given, holder.name))
        except CmsFault as fault:
            raise Fault(422, "no_signature", f"the signature: {fault}") from None
        except KeptFault as fault:
            raise Fault(409, "not_kept", str(fault)) from None
        return json_answer(request, told)

    async def _add(self, name: str, given: bytes, by: str) -> dict[str, Any]:
        """Keep a signature, and that in the audit log; neither stays without the other."""
        added = await deferToThread(attach, self._directory, name, given, by)
        try:
            await self._gate.write(audit.append, [added.event], datetime.now(UTC))
        except Exception:
            added.take_back()
            raise
        return added.told
