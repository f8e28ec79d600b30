"""The gate before any work: what a node must say of its chain before it is mined on (C-102). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tarazy.pool.chain.bitcoind.faults import Fault, NodeError
from tarazy.pool.chain.bitcoind.words import hash_of
from tarazy.pool.chain.interface import Tip

_HEADERS_AHEAD = 1
"""So many headers may be ahead of the blocks: the next block is just being fetched."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """How a node sees its chain."""

    chain: str
    """main, test, testnet4, signet or regtest."""
    tip: Tip
    headers: int
    """Height of the best header."""
    work: int
    """Hashes expected behind the tip's whole chain."""
    initial_download: bool
    peers: int


def read_status(chain_words: Any, network_words: Any) -> NodeStatus:
    """From the results of getblockchaininfo and getnetworkinfo. Raises `NodeError`."""
    try:
        return NodeStatus(
            chain=str(chain_words["chain"])[:20],
            tip=Tip(int(chain_words["blocks"]), hash_of(chain_words["bestblockhash"])),
            headers=int(chain_words["headers"]),
            work=int(chain_words["chainwork"], 16),
            initial_download=chain_words["initialblockdownload"] is not False,
            peers=int(network_words["connections"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NodeError(Fault.NOT_JSON, f"getblockchaininfo or getnetworkinfo lacks something: {error!r}") from error


def gate(status: NodeStatus, network: str) -> NodeError | None:
    """Why a node of this status must not be mined on; None when it may. A regtest node needs no peers."""
    if status.chain != network:
        return NodeError(Fault.WRONG_CHAIN, f"it is on {status.chain}, not on {network}")
    if status.initial_download:
        return NodeError(Fault.INITIAL_DOWNLOAD, f"it is still loading the chain, at block {status.tip.height}")
    if status.headers - status.tip.height > _HEADERS_AHEAD:
        text = f"it has blocks up to {status.tip.height} and headers up to {status.headers}"
        return NodeError(Fault.OUT_OF_SYNC, text)
    if not status.peers and network != "regtest":
        return NodeError(Fault.NO_PEERS, "it has no peers")
    return None
