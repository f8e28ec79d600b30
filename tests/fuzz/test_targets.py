"""C-123 in small: everything in the corpus, and a short search from there. Long ones: `make fuzz FUZZ_ARGS=…`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.places import CORPUS
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_is_survived(name: str) -> None:
    """C-123: what was made by hand, and what earlier searches found."""
    paths = sorted((CORPUS / name).iterdir())
    assert paths
    for path in paths:
        TARGETS[name](path.read_bytes())


@pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="atheris has no wheel for this machine")
@pytest.mark.parametrize("name", TARGETS)
def test_a_short_search_finds_nothing(name: str, tmp_path: Path) -> None:
    """C-123: coverage-guided, some thousand inputs from a fixed seed, within 8 s."""
    (tmp_path / "new").mkdir()
    done = subprocess.run(
        [
            sys.executable,
            *("-m", "tests.fuzz", name),
            *("-seed=1", "-runs=4000", "-max_total_time=8", f"-artifact_prefix={tmp_path}/"),
            str(tmp_path / "new"),
        ],
        cwd=CORPUS.parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[-4000:]
    assert "\nDone " in said
    assert " cov: " in said
