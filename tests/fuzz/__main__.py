"""`python -m tests.fuzz TARGET [libFuzzer's arguments]`: search for an input that a target does not survive.

Starts from `corpus/TARGET`. Inputs that reach new code go to `.fuzz/TARGET`, one that fails the target to `.fuzz`,
unless the arguments name other places.
"""

from __future__ import annotations

import sys

import atheris

from tests.fuzz.places import CORPUS, DICTIONARY, FOUND


def main() -> None:
    """Does not return: libFuzzer ends the process, with 0 if it found nothing."""
    with atheris.instrument_imports(include=["tarazy.stratum"]):
        from tests.fuzz.targets import TARGETS
    name, *arguments = [*sys.argv[1:], ""]
    if name not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz {{{','.join(TARGETS)}}} [-max_total_time=SECONDS] [PLACE]")
    arguments = arguments[:-1]
    if all(argument.startswith("-") for argument in arguments):
        (FOUND / name).mkdir(parents=True, exist_ok=True)
        arguments = [f"-artifact_prefix={FOUND}/", *arguments, str(FOUND / name)]
    limits = ["-timeout=20", "-rss_limit_mb=1500", "-max_len=6000", f"-dict={DICTIONARY}"]
    atheris.Setup([sys.argv[0], *limits, *arguments, str(CORPUS / name)], TARGETS[name])
    atheris.Fuzz()


main()
