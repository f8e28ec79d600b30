"""The target of the PROXY protocol: any pure reader of a header at the beginning of what arrived."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Protocol

LONGEST_HEADER = 8192
"""Bytes after which a reader must have made up its mind."""
_VERSION_2 = b"\r\n\r\n\x00\r\nQUIT\n"


class Header(Protocol):
    """What a reader returns."""

    @property
    def address(self) -> str:
        """Of the peer; empty where the header names none."""

    @property
    def length(self) -> int:
        """Bytes of the header."""


def proxy_target(read: Callable[[bytes], Header | None], refusal: type[Exception]) -> Callable[[bytes], None]:
    """A target for `read`, which returns a header, None while more is needed, or raises `refusal`."""

    def decided(data: bytes) -> tuple[str, int] | None:
        try:
            header = read(data)
        except refusal as error:
            return str(error), 0
        return None if header is None else (header.address, header.length)

    def target(data: bytes) -> None:
        whole = decided(data)
        # However it arrives, it is decided once, from no more than it needs, and stays so.
        first = next((at for at in range(len(data) + 1) if decided(data[:at]) is not None), len(data) + 1)
        assert (first <= len(data)) == (whole is not None)
        assert first <= LONGEST_HEADER
        for at in {first, (first + len(data)) // 2, len(data) - 1} & set(range(first, len(data))):
            assert decided(data[:at]) == whole
        if whole is None or not whole[1]:
            return
        address, length = whole
        assert length == first, "bytes behind the header were waited for"
        if not address:
            return
        source = ip_address(address)
        assert str(source) == address
        if data.startswith(_VERSION_2):
            assert source.packed in data[16:length]
        else:
            named = ip_address(data[:length].split(b" ")[2].decode("ascii"))
            assert named in (source, ip_address(f"::ffff:{source}") if source.version == 4 else source)

    return target
