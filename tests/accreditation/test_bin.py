"""The check digit of BIN and IIN."""

import pytest

from tarazy.accreditation.bin import bin_layout_warning, check_bin, check_digit


@pytest.mark.parametrize(
    "number",
    [
        *("240140000001", "900101300007", "100140000003", "180540000002", "900101100004"),
        *("240140000203", "900101300811", "180540000308", "190651000906", "900101100500"),
    ],
)
def test_valid_numbers_pass_in_both_passes(number: str) -> None:
    """First and second weights give the twelfth digit (law 2.16)."""
    assert check_bin(number) == number


@pytest.mark.parametrize("eleven", ["24014000029", "18054000031"])
def test_numbers_without_check_digit_are_never_issued(eleven: str) -> None:
    """Ten in both passes: no twelfth digit makes the number valid."""
    assert check_digit(eleven) is None
    for digit in "0123456789":
        with pytest.raises(ValueError, match="never issued"):
            check_bin(eleven + digit)


def test_one_wrong_digit_is_found() -> None:
    """060640000748 fails: the digit would be 5."""
    assert check_digit("06064000074") == 5
    with pytest.raises(ValueError, match="check digit does not fit"):
        check_bin("060640000748")


@pytest.mark.parametrize(
    ("number", "says"),
    [
        ("60640000745", "12 digits, not 11; a spreadsheet drops leading zeros"),
        ("1234567890123", "12 digits, not 13$"),
        ("24014000000A", "digits only"),
        ("٢٤٠١٤٠٠٠٠٠٠١", "digits only"),
        ("", "digits only"),
    ],
)
def test_shape_errors_name_the_cure(number: str, says: str) -> None:
    """Length and alphabet are errors with a cure; only ASCII digits count."""
    with pytest.raises(ValueError, match=says):
        check_bin(number)


def test_layout_is_only_a_warning() -> None:
    """An unusual layout is told, never refused."""
    assert bin_layout_warning("240140000001") is None
    for number, word in (("241340000000", "month"), ("240110000000", "digit 5"), ("240149000000", "digit 6")):
        warning = bin_layout_warning(number)
        assert warning is not None
        assert word in warning
