"""What requests bring in their bodies: JSON of a stated shape, or a fault that says where it is otherwise."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tarazy.portal.gate import parameters
from tarazy.portal.guard import Fault


class Asked(BaseModel):
    """A body; nothing in it is taken for something else, and nothing else may stand in it."""

    model_config = ConfigDict(extra="forbid", strict=True)


_B = TypeVar("_B", bound=Asked)


def body(request: Any, kind: type[_B]) -> _B:
    """The request's body; it has no parameters beside. Raises `Fault`."""
    parameters(request, ())
    try:
        return kind.model_validate_json(request.content.read())
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in found["loc"])
        raise Fault(400, "bad_body", f"{where}: {found['msg']}" if where else found["msg"]) from None
