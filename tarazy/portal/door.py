"""What a request tells of where it comes from: its address, its session's cookie, and the page it was sent from."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from tarazy.portal.guard import Fault, header

_COOKIE = "tarazy_session"


class Door:
    """How requests come to this portal: directly, or through a proxy that speaks TLS."""

    def __init__(self, public_url: str | None, proxies: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self.public_url = public_url
        self._proxies = proxies
        self._origin = public_url.encode("ascii") if public_url else None
        self._secure = (public_url or "").startswith("https:")
        self._cookie = f"__Host-{_COOKIE}" if self._secure else _COOKIE

    def is_proxy(self, address: str) -> bool:
        """Whether it is a proxy of ours."""
        return any(ip_address(address) in network for network in self._proxies)

    def address(self, request: Any) -> str:
        """The address of who asks: as the nearest proxy of ours saw it, or else as we do."""
        peer: str = request.getClientAddress().host
        told = (header(request, "x-forwarded-for") or "").rpartition(",")[2].strip()
        try:
            if told and self.is_proxy(peer):
                return str(ip_address(told))
        except ValueError:
            pass
        return peer

    def session(self, request: Any) -> str | None:
        """The text of the session's cookie."""
        cookie = request.getCookie(self._cookie.encode("ascii"))
        return None if cookie is None else cookie.decode("ascii", "replace")

    def give(self, request: Any, text: str, seconds: int) -> None:
        """Let the browser keep `text` for so long: sent to us alone, from our own pages, unseen by scripts."""
        value = f"{self._cookie}={text}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}"
        request.cookies.append((value + ("; Secure" if self._secure else "")).encode("ascii"))

    def take_back(self, request: Any) -> None:
        """Let the browser forget its session."""
        self.give(request, "", 0)

    def require_own_page(self, request: Any) -> None:
        """Raises `Fault` for a request that a page of somebody else's sent: browsers name the page's origin."""
        origin = request.getHeader(b"origin") or b""
        own = self._origin or b"http://" + (request.getHeader(b"host") or b"")
        if origin != own:
            text = "this was not sent from the portal's own page"
            cure = "" if self._origin else "; behind a proxy, portal.public_url must name the address people use"
            raise Fault(403, "foreign_page", text + cure)
