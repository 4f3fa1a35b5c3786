"""A number as the worker writes it has as few digits as read back, and of these the nearest: equal to Python's, for both widths of floats.

100,000 random bit patterns a day; ten million take some minutes: TALLYMILL_NUMBERS=10000000 tests/run integration -- -k numbers
"""

import ctypes
import decimal
import math
import os
import random
import struct

from .harness.program import binary, run

COUNT = int(os.environ.get("TALLYMILL_NUMBERS", "100000"))
AT_ONCE = 200_000
EXACT = decimal.Context(prec=2000, Emax=9999, Emin=-9999)

_strtof = ctypes.CDLL(None).strtof
_strtof.restype = ctypes.c_float
_strtof.argtypes = (ctypes.c_char_p, ctypes.c_void_p)


def shortest_float32(value):
    """The oracle for what Python cannot print: of each number of digits, the decimals next to the value on both sides; of two as near the even one, as in ECMAScript."""
    exact = decimal.Decimal(value)
    if not exact:
        return exact
    for digits in range(1 if abs(value) < 1.2e-38 else 6, 10):  # FLT_DIG: six digits hold whatever fewer do
        near = [decimal.Context(prec=digits, rounding=rounding).plus(exact) for rounding in (decimal.ROUND_FLOOR, decimal.ROUND_CEILING)]
        good = [one for one in near if _strtof(str(one).encode(), None) == value]
        if good:
            return min(good, key=lambda one: (abs(EXACT.subtract(one, exact)), one.as_tuple().digits[-1] % 2))
    raise AssertionError(f"nine digits do not say {value!r}")


def shortest_float64(value):
    return decimal.Decimal(repr(value))


def patterns(source, width, count):
    """Bit patterns: any, and as many subnormals, powers of two and their neighbours as a day can take."""
    made = [source.getrandbits(8 * width) for _ in range(count)]
    fraction = 23 if width == 4 else 52
    made += [source.getrandbits(fraction) | source.getrandbits(1) << (8 * width - 1) for _ in range(min(count, 20_000))]
    powers = [exponent << fraction for exponent in range(1 << (8 * width - 1 - fraction))] + [1 << bit for bit in range(fraction)]
    made += [max(0, power + off) for power in powers for off in (-1, 0, 1)]
    form = "f" if width == 4 else "d"
    for exponent in range(-330, 310):
        try:
            made.append(int.from_bytes(struct.pack("<" + form, float(f"1e{exponent}")), "little"))
        except OverflowError:
            pass
    return made


def assert_equal(width, oracle):
    seed = random.SystemRandom().getrandbits(32)
    source = random.Random(seed)
    left = COUNT
    while left > 0:
        count = min(left, AT_ONCE)
        left -= count
        packed = b"".join(one.to_bytes(width, "little") for one in (patterns(source, width, count) if left <= 0 else
                                                                    (source.getrandbits(8 * width) for _ in range(count))))
        done = run([binary("number-driver"), str(width)], 600, packed)
        assert done.code == 0, done.err
        written = done.out.split("\n")
        values = struct.unpack(f"<{len(packed) // width}{'f' if width == 4 else 'd'}", packed)
        assert len(written) == len(values) + 1
        wrong = [(value, text) for value, text in zip(values, written)
                 if (text == "") != (not math.isfinite(value)) or (text and decimal.Decimal(text) != oracle(value))]
        assert not wrong, f"seed {seed}: {len(wrong)} numbers, such as " + ", ".join(f"{value!r}: {text}, not {oracle(value)}" for value, text in wrong[:5])


def test_doubles_have_the_shortest_form():
    assert_equal(8, shortest_float64)


def test_floats_of_32_bits_have_the_shortest_form():
    assert_equal(4, shortest_float32)
