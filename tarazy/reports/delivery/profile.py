"""The profile of an authority's interface: where and how documents are sent, and what counts as a receipt.

The interface is nobody's business but the authority's, so all of it is data: one YAML file for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationError, model_validator

from tarazy.config.settings.fields import Section, like
from tarazy.config.yaml_file import YamlFileError, read_yaml

PLACES = ("key", "kind", "period", "version", "digest")
"""What an address or a header may name in braces."""
_PLACE = re.compile(r"\{(\w*)\}")
_FRAMING = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "authorization"})
_HEADER_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}"


class ProfileError(Exception):
    """A profile cannot be used. One line of text for each fault."""


def _known_places(text: str) -> str:
    unknown = [name for name in _PLACE.findall(text) if name not in PLACES]
    if unknown:
        raise ValueError(f"{{{unknown[0]}}} is none of {', '.join(PLACES)}")
    return text


def _address(text: str) -> str:
    match = re.fullmatch(r"(https?)://([^\s/@?#]+)(/[^\s#]*)?", text)
    if match is None or not text.isascii():
        raise ValueError("must be https://, a host and a path, in ASCII and without a user")
    if match[1] == "http" and match[2].rpartition(":")[0] not in ("127.0.0.1", "localhost", "[::1]"):
        raise ValueError("documents leave this machine over https:// only")
    if "{" in match[2]:
        raise ValueError("the host stands there as it is")
    return _known_places(text)


def _of_an_inquiry(text: str) -> str:
    if not set(_PLACE.findall(text)) <= {"key", "digest"}:
        raise ValueError("an inquiry names {key} or {digest} alone")
    return text


def _header_text(text: str) -> str:
    if not re.fullmatch(r"[\x20-\x7e]*", text):
        raise ValueError("must be one line of ASCII")
    return _known_places(text)


Address = Annotated[str, AfterValidator(_address)]
HeaderName = Annotated[str, like(_HEADER_NAME, "the name of a header")]
Pointer = Annotated[str, like(r"\$(key|digest|kind|period|version)|\w+(\.\w+)*", "a path such as days.name, or $key")]
"""Names of a document's JSON, one inside the other; `$…` is of the delivery."""
PartName = Annotated[str, like(r"[\w.\[\]-]{1,100}", "the name of a part, of letters, digits and _ . - [ ]")]


class Fixed(Section):
    """A value that is always the same."""

    value: str | int | bool | None


class Taken(Section):
    """A value of the document."""

    source: Pointer = Field(alias="from")
    form: Literal["text", "bitcoin", "day"] | None = Field(default=None, alias="as")
    """`text`: numbers as text; `bitcoin`: satoshi as 1.23456789; `day`: 31.12.2026. As it stands when absent."""
    required: bool = True
    """Whether a document in which it is empty is not delivered."""


class Attached(Section):
    """A file of the document's set: as it is for a whole body or a part of one, else in Base64."""

    file: Annotated[str, like(r"\.[a-z0-9.]{1,20}", "an ending such as .json, .p7s or .ru.pdf")]


class Listed(Section):
    """One value for each entry of a list of the document; the paths inside begin at the entry."""

    each: Pointer
    fields: Mapping[str, Node]


class Nested(Section):
    """Several values by name."""

    fields: Mapping[str, Node]


class Parts(Section):
    """A body of several parts, as a form on the web sends it (multipart/form-data)."""

    parts: Mapping[PartName, Node] = Field(min_length=1)
    """In this order: `file` as it is, under its own name; `fields` and `each` as JSON; `value` and `from` as text."""


def _which(node: Any) -> str | None:
    names = node if isinstance(node, Mapping) else getattr(node, "model_fields_set", ())
    for name, tag in (("value", "<value>"), ("from", "<from>"), ("source", "<from>"), ("file", "<file>")):
        if name in names:
            return tag
    return next((f"<{name}>" for name in ("each", "fields", "parts") if name in names), None)


Node = Annotated[
    Annotated[Fixed, Tag("<value>")]
    | Annotated[Taken, Tag("<from>")]
    | Annotated[Attached, Tag("<file>")]
    | Annotated[Listed, Tag("<each>")]
    | Annotated[Nested, Tag("<fields>")],
    Discriminator(_which),
]
Body = Annotated[
    Annotated[Attached, Tag("<file>")] | Annotated[Nested, Tag("<fields>")] | Annotated[Parts, Tag("<parts>")],
    Discriminator(_which),
]


class NoAuthentication(Section):
    """Nobody is asked who sends."""

    way: Literal["none"]


class HeaderAuthentication(Section):
    """A secret in a header: `Authorization: Bearer …` and the like."""

    way: Literal["header"]
    value_file: Path
    """File with the header's value behind `prefix`, relative to the profile."""
    name: HeaderName = "Authorization"
    prefix: Annotated[str, AfterValidator(_header_text)] = "Bearer "


class BasicAuthentication(Section):
    """A user and a password."""

    way: Literal["basic"]
    user: str
    password_file: Path


class CertificateAuthentication(Section):
    """A client certificate of TLS."""

    way: Literal["certificate"]
    certificate_file: Path
    """PEM, with its chain."""
    key_file: Path


Authentication = Annotated[
    NoAuthentication | HeaderAuthentication | BasicAuthentication | CertificateAuthentication,
    Field(discriminator="way"),
]


class Receipt(Section):
    """What counts as a receipt: one of the statuses, a number, and whatever is to match."""

    statuses: tuple[Annotated[int, Field(ge=200, le=499)], ...] = (200, 201)
    number: Pointer
    """Where the answer's JSON holds the receipt's number."""
    matches: Mapping[Pointer, Literal["key", "digest", "body_digest"]] = {}
    """Where it tells what was received; another value is no receipt of this document."""


class Inquiry(Section):
    """Asking what became of a document, by GET. Statuses 404 and 410 say that it is not known there."""

    url: Annotated[Address, AfterValidator(_of_an_inquiry)]


class Profile(Section):
    """One file."""

    name: Annotated[str, like(r"[a-z0-9-]{1,32}", "a short name of letters, digits and hyphens")]
    documents: tuple[
        Literal["accreditation", "statement", "sale", "distributed", "quarterly", "rewards", "energy", "expiring"], ...
    ] = Field(min_length=1)
    """Kinds that are sent there."""
    approval: Literal["second_person", "automatic"] = "second_person"
    signature: Literal["required", "none"] = "required"
    """Whether only a signed document is delivered."""
    method: Literal["POST", "PUT"] = "POST"
    url: Address
    headers: Mapping[HeaderName, Annotated[str, AfterValidator(_header_text)]] = {}
    authentication: Authentication
    authorities: Path | None = None
    """PEM file of the authorities that the server's certificate must lead to; the system's when absent."""
    body: Body
    receipt: Receipt
    fault: Pointer | None = None
    """Where an answer that is no receipt tells why."""
    when_unsure: Literal["send_again", "ask", "stop"]
    """What is done when a document may have arrived and there is no receipt: `send_again` where the authority knows the
    key and takes the document once; `ask`: by `inquiry`; `stop`: a person finds out."""
    inquiry: Inquiry | None = None
    timeout_seconds: float = Field(default=30.0, gt=0, le=300)

    @model_validator(mode="after")
    def _sound(self) -> Profile:
        taken = [name for name in self.headers if name.lower() in _FRAMING]
        if taken:
            raise ValueError(f"headers: {taken[0]} is set by the program")
        if (self.when_unsure == "ask") is (self.inquiry is None):
            raise ValueError("inquiry belongs to when_unsure: ask, and to nothing else")
        if self.when_unsure == "send_again" and "key" not in _named(self) and not _tells_key(self.body):
            raise ValueError("when_unsure: send_again needs {key} in the url or a header, or $key in the body")
        return self


def _named(profile: Profile) -> set[str]:
    return {name for text in (profile.url, *profile.headers.values()) for name in _PLACE.findall(text)}


def _tells_key(node: object) -> bool:
    if isinstance(node, Taken):
        return node.source == "$key"
    if isinstance(node, Parts):
        return any(map(_tells_key, node.parts.values()))
    return isinstance(node, Nested | Listed) and any(map(_tells_key, node.fields.values()))


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with the places in braces filled in."""
    return _PLACE.sub(lambda match: values[match[1]], text)


def load_profile(path: Path) -> Profile:
    """Read a profile; files that it names are relative to it. Raises `ProfileError`."""
    try:
        profile = Profile.model_validate(read_yaml(path))
    except (YamlFileError, OSError) as error:
        raise ProfileError(str(error)) from None
    except ValidationError as error:
        raise ProfileError("\n".join(f"{path}: {_fault(dict(each))}" for each in error.errors())) from None

    def beside(section: Section) -> dict[str, Path]:
        files = {
            name: value for name in type(section).model_fields if isinstance(value := getattr(section, name), Path)
        }
        return {name: (path.parent / value).resolve() for name, value in files.items()}

    authentication = profile.authentication.model_copy(update=beside(profile.authentication))
    return profile.model_copy(update={"authentication": authentication, **beside(profile)})


def load_profiles(paths: Iterable[Path]) -> dict[str, Profile]:
    """Profiles by name. Raises `ProfileError`, also where two have one name."""
    found: dict[str, Profile] = {}
    for path in paths:
        profile = load_profile(path)
        if found.setdefault(profile.name, profile) is not profile:
            raise ProfileError(f"{path}: name: another profile is named {profile.name}; rename one")
    return found


def _fault(error: dict[str, Any]) -> str:
    told = [str(part) for part in error["loc"] if not str(part).startswith("<")]
    if told[:1] == ["authentication"] and len(told) > 2:  # its way is no key of the file
        del told[1]
    place = ".".join(told)
    cures = {
        "extra_forbidden": "unknown key; remove it or check its spelling",
        "missing": "required key is missing; add it",
        "union_tag_invalid": "none of the known ways; see docs/delivery.md",
        "union_tag_not_found": "expected a mapping with `value`, `from`, `file`, `each` or `fields` (a body: `parts`)",
    }
    return f"{place or '(top level)'}: {cures.get(error['type']) or error['msg'].removeprefix('Value error, ')}"
