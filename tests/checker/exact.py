"""A msgpack unpacker that remembers which floats had 32 bits; see message.py for why it exists.

It is only called on values that msgpack's own unpacker has accepted whole, so it need not guard against
truncation, reserved bytes or deep nesting: those were refused before.
"""

import struct

import msgpack

TIMESTAMP = -1


class Float32:
    """A 32-bit float with its value as a double."""

    def __init__(self, number):
        self.number = number

    def shortest(self):
        """The shortest decimal text that reads back as the same 32-bit float (9 digits always do)."""
        packed = struct.pack(">f", self.number)
        for digits in range(1, 10):
            shown = f"{self.number:.{digits}g}"
            try:
                if struct.pack(">f", float(shown)) == packed:
                    return shown
            except OverflowError:  # rounded up past the largest float32: needs more digits
                continue
        raise AssertionError("nine digits always read back")


NUMBERS = {0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
LENGTHS = {  # first byte: (struct of the length, what it counts)
    0xC4: (">B", "bin"), 0xC5: (">H", "bin"), 0xC6: (">I", "bin"),
    0xC7: (">B", "ext"), 0xC8: (">H", "ext"), 0xC9: (">I", "ext"),
    0xD9: (">B", "str"), 0xDA: (">H", "str"), 0xDB: (">I", "str"),
    0xDC: (">H", "array"), 0xDD: (">I", "array"), 0xDE: (">H", "map"), 0xDF: (">I", "map"),
}


def unpack(value, map_hook, ext_hook):
    """The whole of `value` as Python objects, 32-bit floats as Float32."""
    reader = _Reader(value, map_hook, ext_hook)
    result = reader.item()
    assert reader.at == len(value)
    return result


class _Reader:
    def __init__(self, value, map_hook, ext_hook):
        self.value = value
        self.at = 0
        self.map_hook = map_hook
        self.ext_hook = ext_hook

    def number(self, form):
        (result,) = struct.unpack_from(form, self.value, self.at)
        self.at += struct.calcsize(form)
        return result

    def take(self, length):
        self.at += length
        return self.value[self.at - length:self.at]

    def item(self):
        first = self.number(">B")
        if first <= 0x7F:
            return first
        if first <= 0x8F:
            return self.sized("map", first & 0x0F)
        if first <= 0x9F:
            return self.sized("array", first & 0x0F)
        if first <= 0xBF:
            return self.sized("str", first & 0x1F)
        if first >= 0xE0:
            return first - 256
        if first in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[first]
        if first == 0xCA:
            return Float32(self.number(">f"))
        if first in NUMBERS:
            return self.number(NUMBERS[first])
        if first in LENGTHS:
            form, what = LENGTHS[first]
            return self.sized(what, self.number(form))
        return self.sized("ext", 1 << (first - 0xD4))

    def sized(self, what, length):
        if what == "str":
            return self.take(length).decode()
        if what == "bin":
            return self.take(length)
        if what == "array":
            return [self.item() for _ in range(length)]
        if what == "map":
            return self.map_hook([(self.item(), self.item()) for _ in range(length)])
        code = self.number(">b")
        payload = self.take(length)
        return msgpack.Timestamp.from_bytes(payload) if code == TIMESTAMP else self.ext_hook(code, payload)
