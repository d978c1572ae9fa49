"""Numbers as Debezium spells them in JSON, made exact parameters."""

from __future__ import annotations

import math
import re
import struct
from binascii import a2b_base64
from collections.abc import Callable

import numpy as np

_PLAIN = re.compile(r"-?\d+(\.\d+)?", re.ASCII)


def integer_of_base64(text: str) -> int:
    """A big-endian two's complement number (Kafka Connect's Decimal without its scale)."""
    raw = a2b_base64(text, strict_mode=True)
    if not raw:
        raise ValueError("no digits")
    return int.from_bytes(raw, "big", signed=True)


def decimal_of_base64(scale: int) -> Callable[[str], str]:
    """Reads `decimal.handling.mode=precise`: the scale stands only in the SOURCE's column type.

    Gives plain digits (`-0.05`), which every server reads exactly; Python's own `str(Decimal)`
    can give an exponent, which a server would take for a DOUBLE.
    """

    def convert(text: str) -> str:
        unscaled = integer_of_base64(text)
        if scale == 0:
            return str(unscaled)
        digits = str(abs(unscaled)).rjust(scale + 1, "0")
        return f"{'-' if unscaled < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"

    return convert


def decimal_of_text(text: str) -> str:
    """Reads `decimal.handling.mode=string`, which Debezium writes without an exponent."""
    if _PLAIN.fullmatch(text) is None:
        raise ValueError("not a plain decimal number")
    return text


def unsigned_of_signed(number: int) -> int:
    """Reads `bigint.unsigned.handling.mode=long`: values above 2^63-1 arrive negative."""
    return number + 2**64 if number < 0 else number


def year_of_number(year: int) -> int | str:
    """Year 0000 arrives as 1900, which is no YEAR itself. As text, where `0` would mean 2000."""
    return "0000" if year == 1900 else year


def bits_of_boolean(bit: bool) -> bytes:
    """BIT(1) as the byte that the server takes."""
    return b"\x01" if bit else b"\x00"


def bits_of_base64(text: str) -> bytes:
    """BIT(n) arrives little-endian; the server takes big-endian."""
    return a2b_base64(text, strict_mode=True)[::-1]


def exact_zeros(numbers: list[float]) -> list[float | str]:
    """-0.0 as text, for the literal -0.0e0 is the negation of 0; MariaDB stores 0 all the same."""
    if 0 not in numbers:
        return list(numbers)
    return [exact_zero(number) for number in numbers]


def exact_zero(number: float) -> float | str:
    """`exact_zeros` of one number."""
    return "-0.0" if number == 0 and math.copysign(1, number) < 0 else number


def float32_of_number(number: float) -> float | str:
    """The 32-bit value that Debezium's shortest digits mean, written out in full.

    The digits themselves can lie beyond the range: the largest FLOAT is sent as 3.4028235e+38,
    which a server refuses.
    """
    found: float = struct.unpack("<f", struct.pack("<f", number))[0]
    return exact_zero(found)


def float32s_of_numbers(numbers: list[float]) -> list[float | str]:
    """`float32_of_number` for many values at once."""
    with np.errstate(over="raise"):
        try:
            narrow = np.array(numbers, dtype=np.float64).astype(np.float32)
        except FloatingPointError:
            raise OverflowError("beyond the range of FLOAT") from None
    found: list[float] = narrow.astype(np.float64).tolist()
    return exact_zeros(found)
