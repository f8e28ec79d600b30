"""Signatures of reports over HTTP: who may read sees them, who may write brings one made elsewhere. Import late."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore

from tarazy.portal.access import Right
from tarazy.portal.documents import document
from tarazy.portal.gate import Gate, json_answer, paging, parameters
from tarazy.portal.guard import Fault
from tarazy.portal.moments import MOMENT, past_of
from tarazy.portal.signatures import attach, signatures
from tarazy.reports.kept import KeptFault
from tarazy.reports.signing.cms import CmsFault


class SignaturePages:
    """`/signatures`."""

    def __init__(self, gate: Gate, directory: Path) -> None:
        self._gate = gate
        self._directory = directory
        self._looking = DeferredSemaphore(1)
        """Of lists: each reads the reports that it tells of."""

    async def listing(self, request: Any) -> bytes:
        """The reports that may be signed, the newest first, and who signed them."""
        await self._gate.admit(request, Right.READ)
        asked = parameters(request, (*MOMENT, "limit", "offset"))
        past = past_of(asked, datetime.now(UTC))

        def look(_: Any) -> dict[str, Any]:
            return signatures(self._directory, *paging(asked), None if past is None else past.until)

        told = await self._looking.run(lambda: Deferred.fromCoroutine(self._gate.read(look)))
        return json_answer(request, told)

    async def add(self, request: Any) -> bytes:
        """Keep a signature that was made elsewhere."""
        holder = await self._gate.admit(request, Right.WRITE)
        name = parameters(request, ("name",)).get("name", "")
        document(self._directory, name)
        given = request.content.read()
        try:
            told = await self._gate.write(attach, self._directory, name, given, holder.name, datetime.now(UTC))
        except CmsFault as fault:
            raise Fault(422, "no_signature", f"the signature: {fault}") from None
        except KeptFault as fault:
            raise Fault(409, "not_kept", str(fault)) from None
        return json_answer(request, told)
