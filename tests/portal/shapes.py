"""A check of JSON against the schemas of the API's own description, for the keywords it uses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def faults(value: Any, schema: Any, document: Any, path: str = "$") -> list[str]:
    """What is wrong with `value`, each with its path; nothing when it has the shape."""
    if "$ref" in schema:
        target = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return faults(value, target, document, path)
    if "oneOf" in schema:
        fitting = [one for one in schema["oneOf"] if not faults(value, one, document, path)]
        return [] if len(fitting) == 1 else [f"{path}: fits {len(fitting)} of oneOf: {value!r}"]
    found = _typed(value, schema, path)
    if found:
        return found
    if isinstance(value, list):
        for at, item in enumerate(value):
            found += faults(item, schema["items"], document, f"{path}[{at}]")
    if isinstance(value, dict):
        found += _object(value, schema, document, path)
    return found


def _typed(value: Any, schema: Any, path: str) -> list[str]:
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{path}: {value!r} is not in the enum"]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(isinstance(value, _TYPES[kind]) and (kind == "boolean" or value is not True) for kind in kinds):
        return [f"{path}: {value!r} is not {kinds}"]
    if schema.get("format") == "date-time" and not str(value).endswith("Z"):
        return [f"{path}: {value!r} is not an instant in UTC"]
    if schema.get("format") == "date-time":
        datetime.fromisoformat(str(value))
    return []


def _object(value: dict[str, Any], schema: Any, document: Any, path: str) -> list[str]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    found = [f"{path}: {name} is missing" for name in schema.get("required", ()) if name not in value]
    for name, part in value.items():
        if name in properties:
            found += faults(part, properties[name], document, f"{path}.{name}")
        elif others is False:
            found.append(f"{path}: {name} is not described")
        elif others is not True:
            found += faults(part, others, document, f"{path}.{name}")
    return found
