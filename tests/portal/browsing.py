"""A real browser and a portal that is a process of its own: what the tests of pages share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import IO, ParamSpec

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
ROOT = Path(__file__).parents[2]
SCREENS = ROOT / "build" / "screenshots"
"""Where what was seen is kept, for people to look at after the tests."""

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: chromium)")


@dataclass
class Server:
    """The portal's process."""

    url: str
    orders: IO[str]
    answers: IO[str]

    def cut_streams(self) -> None:
        """Let the server end every event stream."""
        self.orders.write("cut\n")
        self.orders.flush()
        assert self.answers.readline() == "cut\n"

    def refuse(self, account: str, party: str = "") -> None:
        """Let the pool turn a login away: of nobody it knows, or of a party elsewhere than at its sites."""
        self.orders.write(f"refuse {account} {party}\n")
        self.orders.flush()
        assert self.answers.readline() == "refused\n"

    def invite(self, name: str) -> str:
        """Invite an inspector; the invitation's text."""
        self.orders.write(f"invite {name}\n")
        self.orders.flush()
        return self.answers.readline().strip()

    def find_block(self) -> int:
        """Let the pool find a block; its height."""
        self.orders.write("\n")
        self.orders.flush()
        return int(self.answers.readline())


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A portal in a process of its own."""
    command = [sys.executable, "-m", "tests.portal.server", str(tmp_path_factory.mktemp("pool"))]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    port = process.stdout.readline().strip()
    yield Server(f"http://127.0.0.1:{port}", process.stdin, process.stdout)
    process.stdin.close()
    assert process.wait(20) == 0
    process.stdout.close()


THREAD = ThreadPoolExecutor(1, thread_name_prefix="browser")
"""Playwright's own loop cannot run where the tests' reactor does."""

P = ParamSpec("P")


def in_browser_thread(test: Callable[P, None]) -> Callable[P, None]:
    """Run a test where the browser was started."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        THREAD.submit(test, *args, **kwargs).result()

    return run


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    os.environ["PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD"] = "1"
    expect.set_options(timeout=30_000)  # milliseconds: other tests share the processors
    arguments = ["--no-sandbox", "--disable-background-networking"]
    playwright = THREAD.submit(sync_playwright().start).result()
    launch = THREAD.submit(playwright.chromium.launch, executable_path=CHROMIUM, args=arguments)
    yield launch.result()
    THREAD.submit(launch.result().close).result()
    THREAD.submit(playwright.stop).result()


def enter(page: Page, url: str, role: str) -> None:
    """Be signed in at the portal as the demo's user of `role`."""
    assert page.request.post(f"{url}/api/v1/users/demo", data={"role": role}, headers={"origin": url}).ok


def keep_screen(page: Page, name: str) -> None:
    """Keep what the whole page looks like."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / f"{name}.png", full_page=True)


def expect_to_fit(page: Page, but: str = "") -> None:
    """Nothing scrolls sideways, and where `but` is given nothing in `main` reaches beyond the window but what is in it.

    Charts take the window's width in the frame after it changed, which a busy machine draws late.
    """
    told = "[document.documentElement.scrollWidth - innerWidth, !but ? 0 : [...document.querySelectorAll('main *')]"
    told += ".filter(each => !each.closest(but) && each.getBoundingClientRect().right > innerWidth).length]"
    deadline = time.monotonic() + 5
    while (beyond := page.evaluate(f"but => {told}", but)) != [0, 0]:
        assert time.monotonic() < deadline, f"{page.url}: {beyond[0]} pixels and {beyond[1]} elements too wide"
        page.wait_for_timeout(20)
