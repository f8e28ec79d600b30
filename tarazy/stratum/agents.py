"""What miners say they are, in mining.subscribe: counted by kind, and believed in nothing that matters."""

from __future__ import annotations

LONGEST_AGENT = 128

DEVICES = {
    "antminer": "antminer",
    "bmminer": "antminer",
    "whatsminer": "whatsminer",
    "btminer": "whatsminer",
    "avalon": "avalon",
    "bosminer": "braiins",
    "braiins": "braiins",
    "vnish": "vnish",
    "epic": "epic",
    "luxminer": "luxos",
    "luxos": "luxos",
    "bitaxe": "bitaxe",
    "esp-miner": "bitaxe",
    "nerd": "nerdminer",
    "nmminer": "nerdminer",
    "nicehash": "nicehash",
    "cgminer": "cgminer",
    "cpuminer": "cpuminer",
}
"""Part of a user agent in lower case, and the kind it is counted as. The first that fits."""
OTHER_DEVICE = "other"


def agent_of(value: object) -> str:
    """A user agent as it is kept: printable ASCII, cut; empty if there is none."""
    if not isinstance(value, str):
        return ""
    return "".join(sign for sign in value[:LONGEST_AGENT] if " " <= sign <= "~")


def device_of(agent: str) -> str:
    """The kind of device, one of a closed set."""
    lower = agent.lower()
    return next((device for part, device in DEVICES.items() if part in lower), OTHER_DEVICE)


def shows_messages(agent: str) -> bool:
    """Whether the miner is known to show the text of client.show_message: cgminer and its kin."""
    return "cgminer" in agent.lower()
