"""The pages, their texts and their files: rendered from the package, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined

from tarazy.accreditation.admission import Reason
from tarazy.accreditation.entries import BY_HAND
from tarazy.portal.facts import Live
from tarazy.portal.rights import Right
from tarazy.reports.language import LANGUAGES, messages, text

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_PREFERENCE = re.compile(r"\s*([A-Za-z]{1,8})[A-Za-z0-9-]{0,30}\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*")


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page."""

    body: bytes
    content_type: str
    integrity: str
    """For the page's integrity attributes."""
    url: str


@cache
def assets() -> dict[str, Asset]:
    """Every file of the page by name; addresses carry a digest of all, so that browsers may keep them."""
    found = dict(_files(files("tarazy.portal") / "static", ""))
    version = hashlib.sha256(b"".join(found[name] for name in sorted(found))).hexdigest()[:12]
    return {
        name: Asset(
            body,
            _TYPES[name.rpartition(".")[2]],
            "sha384-" + base64.b64encode(hashlib.sha384(body).digest()).decode(),
            f"/static/{version}/{name}",
        )
        for name, body in found.items()
    }


def _files(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _files(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            found.append((prefix + entry.name, entry.read_bytes()))
    return found


@cache
def page_texts(lang: str) -> bytes:
    """What the page's script says in `lang`, as JSON: key → text, or its plural forms.

    The page's own texts stand without their catalogue's name; the words of codes, shared with reports, with it.
    """
    found: dict[str, Any] = {}
    for key, message in messages().items():
        if key.startswith(("portal.", "words.", "columns.")):
            forms = message[lang]
            found[key.removeprefix("portal.")] = dict(forms) if len(forms) > 1 else forms["other"]
    return orjson.dumps(found)


PLACES: Mapping[str, tuple[Right, ...]] = {
    "pool": (Right.READ,),
    "registers": (Right.READ,),
    "admissions": (Right.READ,),
    "findings": (Right.READ,),
    "energy": (Right.ENERGY,),
    "accounting": (Right.READ,),
    "signing": (Right.READ,),
    "users": (Right.USERS,),
    "me": (Right.OWN,),
    "quarterly": (Right.READ, Right.TELL),
}
"""The pages of who is signed in, as they stand beside each other, and the rights of which one is enough for them."""


@cache
def _template(name: str) -> Any:
    loader = PackageLoader("tarazy.portal")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name)


def page(lang: str, live: Live, name: str) -> bytes:
    """A page in `lang`: one of `PLACES`, `home` for everybody, or `join`, where an invitation is taken up.

    Figures come to it by the API, texts of its scripts from `page_texts`.
    """
    values = {
        "name": name,
        "version": hashlib.sha256(page_texts(lang)).hexdigest()[:12],
        "places": PLACES,
        "registers": tuple(BY_HAND),
        "stratum_url": live.stratum_url,
        "test_chain": live.test_chain,
        "demo": live.demo,
        "demo_sign_in": live.demo_sign_in,
    }
    return _rendered(f"{name}.html", lang, live.pool_name, "" if name == "home" else f"{name}/", **values)


def refusals_page(lang: str, pool: str, reason: Reason | None = None) -> bytes:
    """What refusals mean and what to do next, in `lang`: of one `reason`, or of all."""
    reasons = list(Reason) if reason is None else [reason]
    return _rendered("refusals.html", lang, pool, f"refusals/{reason or ''}", reasons=reasons)


def _rendered(template: str, lang: str, pool: str, address: str, **values: Any) -> bytes:
    """A page of the pool so called; in every language it is at `address`."""
    html: str = _template(template).render(
        lang=lang,
        languages={other: text(other, "portal.own_name") for other in LANGUAGES},
        t=lambda key, **told: text(lang, f"portal.{key}", **told),
        word=lambda kind, code: text(lang, f"words.{kind}.{code}"),
        asset=assets().__getitem__,
        pool=pool,
        address=address,
        **values,
    )
    return html.encode()


def preferred_language(header: str, fallback: str) -> str:
    """The language of `LANGUAGES` that an Accept-Language header likes best, or `fallback`."""
    best, weight = fallback, 0.0
    for part in header[:500].split(","):
        match = _PREFERENCE.fullmatch(part)
        if match and match[1].lower() in LANGUAGES:
            quality = float(match[2] or 1)
            if quality > weight:
                best, weight = match[1].lower(), quality
    return best
