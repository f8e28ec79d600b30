"""What a login is: one rule for the wire, for admission and for the accounts.

A login is `account` or `account.worker`, divided at the first dot. It is printable ASCII without `/`, at most 127
bytes long, and begins with neither `.` nor `_`. Accounts fold to lower case, workers are kept as they are.
"""

from __future__ import annotations

LONGEST_LOGIN = 127
"""Whatsminer firmware overruns a buffer above it."""


def split_login(text: str) -> tuple[str, str]:
    """Account and worker of any text. Only ASCII letters fold, so that no other sign becomes one."""
    account, _, worker = text.partition(".")
    return account.lower() if account.isascii() else account, worker


def join_login(account: str, worker: str) -> str:
    """The login of an account and a worker, which may be empty."""
    return f"{account}.{worker}" if worker else account


def is_login(account: str, worker: str) -> bool:
    """Whether the two make a login (C-031, C-032, C-035)."""
    text = join_login(account, worker)
    return (
        account != ""
        and account[0] != "_"
        and len(text) <= LONGEST_LOGIN
        and text.isascii()
        and text.isprintable()
        and "/" not in text
    )


def canonical_login(text: str) -> str:
    """The one form of a login under which a connection knows it."""
    return join_login(*split_login(text))
