"""The chain that is mined, and the nodes that keep it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from tarazy.config.settings.fields import Difficulty, Port, Section, like

BlockHash = Annotated[str, like("[0-9a-f]{64}", "a block's hash, 64 hex digits in lower case")]
"""A block's hash as displayed."""


def _node_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme == "http" and parts.hostname and parts.port
        bare = "@" not in parts.netloc and parts.path in ("", "/") and not parts.query and not parts.fragment
    except ValueError:
        usable = bare = False
    if not usable or not bare:
        raise ValueError(
            "must be http://host:port, for example http://127.0.0.1:8332; user and password are keys of their own"
        )
    return value.rstrip("/") + "/"


class EmbeddedChainSettings(Section):
    """A regtest chain inside the process, judged by Bitcoin Core's consensus engine. Never for real coins."""

    kind: Literal["embedded"] = "embedded"
    block_difficulty: Difficulty = 2.0**-13
    """The chain's own, stricter target: regtest's takes every second hash."""
    peer_port: Port | None = None
    """Loopback port on which the rest of a demo network delivers its blocks; none when absent."""

    @property
    def address_chain(self) -> str:
        """The chain whose addresses are used: regtest."""
        return "regtest"


class NodeSettings(Section):
    """A bitcoind node and who we are to it: its cookie file, or the user and password of its rpcauth."""

    url: Annotated[str, AfterValidator(_node_url)]
    """http://host:port of its RPC."""
    cookie: Path | None = None
    """Its .cookie file; relative to the settings file."""
    user: str | None = None
    password: SecretStr | None = None
    zmq: Annotated[str, like(r"tcp://[^\s/]+:[0-9]{1,5}", "tcp://host:port, as in zmqpubhashblock")] | None = None
    """tcp://host:port of its zmqpubhashblock; none when absent."""

    @model_validator(mode="after")
    def _one_way_in(self) -> NodeSettings:
        by_password = (self.user is not None, self.password is not None)
        if by_password not in ((False, False), (True, True)) or (self.cookie is None) is not by_password[0]:
            raise ValueError("give either cookie, or user and password")
        return self


class BitcoindChainSettings(Section):
    """A chain that bitcoind nodes keep; the first one that is well leads."""

    kind: Literal["bitcoind"]
    network: Literal["main", "testnet4", "signet", "regtest"]
    pinned_blocks: tuple[BlockHash, ...] = Field(default=(), max_length=16)
    """Blocks that a node's chain must have."""
    nodes: tuple[NodeSettings, ...]
    empty_job_first: bool = False
    """After a new block, work without transactions until the node has made a template: for slow nodes."""

    @model_validator(mode="after")
    def _not_where_difficulty_jumps(self) -> BitcoindChainSettings:
        if self.empty_job_first and self.network == "testnet4":
            raise ValueError(
                "empty_job_first: not on testnet4, where each block may have another difficulty; remove it"
            )
        return self

    @model_validator(mode="after")
    def _some_different_ones(self) -> BitcoindChainSettings:
        if not 1 <= len(self.nodes) <= 16:
            raise ValueError("nodes: give at least one and at most 16")
        if len({node.url for node in self.nodes}) < len(self.nodes):
            raise ValueError("nodes: each needs a url of its own")
        return self

    @property
    def address_chain(self) -> str:
        """The chain whose addresses are used: all public test chains write them alike."""
        return self.network if self.network in ("main", "regtest") else "test"
