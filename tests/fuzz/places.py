"""Where the fuzzer's inputs are."""

from __future__ import annotations

from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
"""A folder for each target: hand-made beginnings, and what searches found that reaches more code."""
DICTIONARY = Path(__file__).parent / "stratum.dict"
FOUND = Path(".fuzz")
"""What a search on this machine finds."""
