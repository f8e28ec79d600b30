"""What can be wrong with a node, by name: each fault has its words for the log and a cure for the operator."""

from __future__ import annotations

from enum import StrEnum

_TOLD_CHARACTERS = 200


class Fault(StrEnum):
    """Why a node cannot be used, or did not do what it was asked."""

    NOT_ASKED = "not-asked-yet"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed-out"
    CUT_OFF = "cut-off"
    TOO_LARGE = "too-large"
    NOT_JSON = "not-json"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    BUSY = "busy"
    HTTP = "http-error"
    WARMING_UP = "warming-up"
    NO_PEERS = "no-peers"
    INITIAL_DOWNLOAD = "initial-download"
    BAD_CALL = "bad-call"
    UNKNOWN_BLOCK = "unknown-block"
    UNDECODABLE = "undecodable"
    UNDECIDED = "undecided"
    REFUSED = "refused"
    BAD_TEMPLATE = "bad-template"
    WRONG_CHAIN = "wrong-chain"
    OUT_OF_SYNC = "out-of-sync"
    BEHIND = "behind"
    NO_FUNDS = "no-funds"
    WALLET = "wallet-refused"
    WALLET_LOCKED = "wallet-locked"
    NO_WALLET = "no-wallet"


CURES = {
    Fault.NOT_ASKED: "wait a moment",
    Fault.UNREACHABLE: "start bitcoind; check the node's url, and rpcbind and rpcallowip in its bitcoin.conf",
    Fault.TIMED_OUT: "look whether the node's machine or disk is overloaded",
    Fault.CUT_OFF: "look into the node's debug.log; whatever stands between must let long answers pass",
    Fault.TOO_LARGE: "check the node's url: a bitcoind does not answer so much",
    Fault.NOT_JSON: "check the node's url: it must be bitcoind's RPC port itself",
    Fault.UNAUTHORIZED: "give the node's cookie file, or the user and password of its rpcauth",
    Fault.FORBIDDEN: "allow this machine with rpcallowip in the node's bitcoin.conf",
    Fault.NOT_FOUND: "check the node's url and that it is a current bitcoind with its mining calls",
    Fault.BUSY: "raise rpcthreads and rpcworkqueue in the node's bitcoin.conf",
    Fault.HTTP: "check that the node's url is bitcoind's RPC port itself",
    Fault.WARMING_UP: "wait until bitcoind has started",
    Fault.NO_PEERS: "connect the node to the network: see getpeerinfo and its firewall",
    Fault.INITIAL_DOWNLOAD: "wait until the node has the whole chain; on regtest mine a block with generatetoaddress",
    Fault.BAD_CALL: "use a current bitcoind",
    Fault.UNKNOWN_BLOCK: "check that the node is on the right chain",
    Fault.UNDECODABLE: "keep the block's file and report it",
    Fault.UNDECIDED: "none: it is asked again",
    Fault.REFUSED: "look into the node's debug.log",
    Fault.BAD_TEMPLATE: "see docs/operators.md, bitcoind nodes",
    Fault.WRONG_CHAIN: "check chain.network, chain.pinned_blocks and the node's url",
    Fault.OUT_OF_SYNC: "wait until the node has the blocks whose headers it knows; else restart it",
    Fault.NO_FUNDS: "wait until rewards have matured or payments are confirmed; see getbalances and listlockunspent",
    Fault.WALLET: "it says why: coins not mature or locked, or no estimate of fees (then set fallbackfee)",
    Fault.WALLET_LOCKED: "unlock it with walletpassphrase for as long as it is to sign",
    Fault.NO_WALLET: "check payouts.wallet, or load it with loadwallet",
    Fault.BEHIND: "see why it gets no blocks: its peers and its debug.log",
}
_FAULT_OF_CODE = {
    -4: Fault.WALLET,
    -5: Fault.UNKNOWN_BLOCK,
    -6: Fault.NO_FUNDS,
    -8: Fault.BAD_CALL,
    -9: Fault.NO_PEERS,
    -10: Fault.INITIAL_DOWNLOAD,
    -13: Fault.WALLET_LOCKED,
    -18: Fault.NO_WALLET,
    -22: Fault.UNDECODABLE,
    -25: Fault.UNDECIDED,
    -28: Fault.WARMING_UP,
    -32601: Fault.NOT_FOUND,
}


class NodeError(Exception):
    """A node's fault, in one line with its cure."""

    def __init__(self, fault: Fault, text: str, code: int | None = None) -> None:
        """`text` may be the node's own words; `code` is its error number, when it answered with one."""
        words = " ".join("".join(c if c.isprintable() else " " for c in text[:_TOLD_CHARACTERS]).split())
        super().__init__(f"{fault}: {words}; {CURES[fault]}")
        self.fault = fault
        self.words = words
        self.code = code

    def anew(self) -> NodeError:
        """The same, to keep or to raise once more: without the frames it was raised through."""
        return NodeError(self.fault, self.words, self.code)


def fault_of_code(code: int) -> Fault:
    """The fault behind an error number of bitcoind's."""
    return _FAULT_OF_CODE.get(code, Fault.REFUSED)
