"""docs/stratum.md, against the code and the tests that cite it."""

from __future__ import annotations

from tarazy.stratum import methods
from tests.stratum import conformance

PAGE = conformance.PAGE.read_text(encoding="utf-8")


def test_every_number_stands_in_the_table_once() -> None:
    """From the first to the last without a gap, whoever cites them."""
    numbers = conformance.numbers()
    assert len(numbers) >= 125
    assert numbers == [f"C-{number:03}" for number in range(1, len(numbers) + 1)]
    assert conformance.cited("tarazy").keys() | conformance.cited("tests").keys() <= set(numbers)


def test_the_table_names_the_tests_that_cite_each_number() -> None:
    """Mend it by `python -m tests.stratum.conformance`."""
    assert conformance.marked() == PAGE


def test_every_method_is_described() -> None:
    """The page names what the server answers."""
    assert [method for method in methods.METHODS if f"`{method}`" not in PAGE] == []
