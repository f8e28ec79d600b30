"""What is entered into the registers has to be usable by the pool: addresses of its chain, profiles that it has."""

from __future__ import annotations

import pytest

from tarazy.accreditation.sheets import Line, RegisterImportError
from tarazy.pool.usable import require_usable

ADDRESSES = {
    "main": ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"),
    "test": ("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",),
    "regtest": ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",),
}


def _line(address: str) -> Line:
    return Line("form", 1, "wallet", {"wallet": "a-1", "party": "a", "address": address, "status": "approved"})


@pytest.mark.parametrize("chain", ADDRESSES)
def test_a_payout_address_is_one_of_the_pools_chain(chain: str) -> None:
    """Each chain takes its own, real coins' too; another's is told apart from what is no address at all."""
    for of, addresses in ADDRESSES.items():
        for address in addresses:
            if of == chain:
                require_usable([_line(address)], chain)
                continue
            with pytest.raises(RegisterImportError, match=f"of another network; give one of the network {chain}"):
                require_usable([_line(address)], chain)
    for wrong in ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "", "x" * 200):
        with pytest.raises(RegisterImportError, match="is not a Bitcoin address"):
            require_usable([_line(wrong)], chain)
