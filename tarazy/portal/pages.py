"""The page's skeleton, its texts and its files: rendered from the package, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
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


HELD: Mapping[str, tuple[tuple[str, ...], tuple[tuple[str, tuple[tuple[str, bool], ...], bool], ...]]] = {
    "me": (
        ("immature", "payable", "held", "in_flight", "paid"),
        (
            ("terms", (("since", False), ("scheme", False), ("fee", True), ("state", False)), True),
            (
                "credits",
                (
                    ("block", True),
                    ("rounds", False),
                    ("scheme", False),
                    ("reward", True),
                    ("fee", True),
                    ("amount", True),
                    ("state", False),
                    ("receipt", False),
                ),
                True,
            ),
            (
                "payouts",
                (
                    ("batch", True),
                    ("amount", True),
                    ("state", False),
                    ("txid", False),
                    ("address", False),
                    ("at", False),
                ),
                False,
            ),
            ("statements", (("period", False), ("state", False), ("files", False)), True),
            (
                "tokens",
                (("name", False), ("scope", False), ("made", False), ("ends", False), ("act", False)),
                True,
            ),
        ),
    ),
    "accounting": (
        ("waiting", "in_flight", "payable", "immature", "wallet"),
        (
            ("warnings", (("severity", False), ("text", False), ("at", False)), False),
            (
                "batches",
                (
                    ("batch", True),
                    ("state", False),
                    ("amount", True),
                    ("proposed", False),
                    ("approved", False),
                    ("txid", False),
                ),
                True,
            ),
            ("holds", (("party", False), ("why", False), ("since", False), ("payable", True)), False),
            (
                "rounds",
                (
                    ("round", True),
                    ("closed", False),
                    ("block", False),
                    ("reward", True),
                    ("fee", True),
                    ("credited", True),
                    ("state", False),
                    ("verify", False),
                ),
                True,
            ),
            (
                "sales",
                (
                    ("party", False),
                    ("base", False),
                    ("amount", True),
                    ("through", True),
                    ("missing", True),
                    ("documents", False),
                ),
                True,
            ),
            (
                "distributed",
                (("period", False), ("version", True), ("as_of", False), ("issued", False), ("digest", False)),
                True,
            ),
        ),
    ),
    "signing": (
        ("documents", "signed", "unsigned", "waiting", "late"),
        (
            (
                "schedule",
                (("report", False), ("due", False), ("standing", False), ("state", False), ("trouble", False)),
                True,
            ),
            (
                "deliveries",
                (
                    ("number", True),
                    ("report", False),
                    ("to", False),
                    ("state", False),
                    ("proposed", False),
                    ("approved", False),
                    ("attempts", True),
                    ("receipt", False),
                    ("act", False),
                ),
                True,
            ),
            (
                "signatures",
                (("report", False), ("digest", False), ("state", False), ("holder", False), ("act", False)),
                True,
            ),
        ),
    ),
}
"""The pages of who is signed in: their tiles, and their lists with columns, which of them hold numbers, and hints."""


HOME: Mapping[str, tuple[tuple[tuple[str, bool], ...], bool]] = {
    "blocks": ((("height", True), ("state", False), ("found", False), ("reward", True), ("hash", False)), False),
}
"""The lists that everybody sees: their columns, which of them hold numbers, and whether there is a hint."""

POOL: Mapping[str, tuple[tuple[tuple[str, bool], ...], bool]] = {
    "attention": ((("severity", False), ("text", False), ("at", False), ("owner", False)), True),
    "miners": (
        (
            ("party", False),
            ("admission", False),
            ("site", False),
            ("hashrate", True),
            ("shares", True),
            ("earned", True),
            ("energy", True),
            ("fee", True),
        ),
        True,
    ),
    "refusals": ((("account", False), ("reason", False), ("count", True), ("last", False)), True),
    "blocks": (
        (("height", True), ("state", False), ("found", False), ("finder", False), ("reward", True), ("hash", False)),
        False,
    ),
    "distributions": (
        (
            ("block", True),
            ("rounds", False),
            ("state", False),
            ("reward", True),
            ("fee", True),
            ("credited", True),
            ("remainder", True),
            ("credits", False),
        ),
        True,
    ),
    "energy": (
        (
            ("site", False),
            ("status", False),
            ("power", True),
            ("metered", True),
            ("estimate", True),
            ("unallocated", True),
            ("meters", False),
        ),
        True,
    ),
    "reports": ((("name", False), ("size", True), ("made", False)), False),
}
"""The lists of the whole pool, as `HOME`."""


_READERS = "operator inspector"
PLACES: Mapping[str, str] = {
    "pool": _READERS,
    "registers": _READERS,
    "admissions": _READERS,
    "findings": _READERS,
    "energy": f"{_READERS} miner",
    "accounting": _READERS,
    "signing": _READERS,
    "users": "operator",
    "me": "miner",
    "quarterly": f"{_READERS} miner",
}
"""The pages of who is signed in, as they stand beside each other, and the roles that they are for."""


@cache
def _template(name: str) -> Any:
    loader = PackageLoader("tarazy.portal")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name)


def page(lang: str, live: Live, name: str) -> bytes:
    """The live page in `lang`: `home` for everybody, `pool` for who may read all. Figures come to it by the API."""
    lists = POOL if name == "pool" else HOME
    values = {"stratum_url": live.stratum_url, "lists": lists}
    scripts = ("tables.js", "charts.js", "sign.js", "dialogs.js", "moment.js", "page.js")
    return _framed("page.html", lang, live, name, scripts, **values)


def held_page(lang: str, live: Live, name: str) -> bytes:
    """A page of `HELD` in `lang`. It lets people sign in; figures come to them by the API."""
    tiles, lists = HELD[name]
    own = {"me": ("charts.js", "paged.js", "mine.js"), "accounting": ("paying.js",)}.get(name, ())
    values = {"tiles": tiles, "lists": lists, "stratum_url": live.stratum_url}
    return _framed(
        "held.html", lang, live, name, ("tables.js", "sign.js", "dialogs.js", "moment.js", *own, "held.js"), **values
    )


def energy_page(lang: str, live: Live) -> bytes:
    """The page on energy in `lang`, as those of `HELD`."""
    scripts = ("tables.js", "charts.js", "sign.js", "moment.js", "energy.js", "held.js")
    return _framed("energy.html", lang, live, "energy", scripts)


WORK = ("registers", "admissions", "findings", "users")
"""The pages whose lists the server searches, sorts and pages, each with a template and a script of its own."""


def work_page(lang: str, live: Live, name: str, server: str) -> bytes:
    """A page of `WORK` in `lang`; figures come to it by the API. `server`: this one's key in its register."""
    scripts = ("tables.js", "sign.js", "dialogs.js", "paged.js", "moment.js", "work.js", f"{name}.js")
    values = {"stratum_url": live.stratum_url, "registers": list(BY_HAND), "server": server}
    return _framed(f"{name}.html", lang, live, name, scripts, **values)


def quarterly_page(lang: str, live: Live) -> bytes:
    """The page on quarterly information in `lang`, as those of `HELD`."""
    scripts = ("tables.js", "sign.js", "moment.js", "quarterly.js", "held.js")
    return _framed("quarterly.html", lang, live, "quarterly", scripts)


def join_page(lang: str, live: Live) -> bytes:
    """Where an invitation is taken up, in `lang`."""
    return _framed("join.html", lang, live, "join", ("sign.js", "join.js"))


def _framed(template: str, lang: str, live: Live, name: str, scripts: tuple[str, ...], **values: Any) -> bytes:
    """The page `name` in the frame of all, with scripts that take their texts from `page_texts`."""
    html: str = _template(template).render(
        lang=lang,
        t=_said(lang),
        word=lambda kind, code: text(lang, f"words.{kind}.{code}"),
        asset=assets().__getitem__,
        version=hashlib.sha256(page_texts(lang)).hexdigest()[:12],
        pool=live.pool_name,
        test_chain=live.test_chain,
        demo=live.demo,
        demo_sign_in=live.demo_sign_in,
        name=name,
        places=PLACES,
        scripts=("format.js", "theme.js", *scripts),
        **values,
    )
    return html.encode()


def refusals_page(lang: str, pool: str, reason: Reason | None = None) -> bytes:
    """What refusals mean and what to do next, in `lang`: of one `reason`, or of all."""
    html: str = _template("refusals.html").render(
        lang=lang,
        t=_said(lang),
        word=lambda code: text(lang, f"words.reason.{code}"),
        asset=assets().__getitem__,
        pool=pool,
        reasons=[reason] if reason else list(Reason),
        chosen=reason or "",
    )
    return html.encode()


def _said(lang: str) -> Callable[..., str]:
    """The portal's messages in `lang` by key."""
    return lambda key, **values: text(lang, f"portal.{key}", **values)


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
