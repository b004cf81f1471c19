"""Reads Universal Binary JSON (ubjson.org, draft 12): the part that XGBoost writes, in files from a stranger.

Nothing is taken on trust: every length is held against what is left of the file, and depth is bounded. Marks that
XGBoost does not write (no-ops, counted objects, arrays without a count) are refused, so that there is one way to
read a file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

#: How deep objects and arrays may stand in each other; XGBoost's models need six.
MAX_DEPTH = 12
_LONGEST_TEXT = 10_000

_COUNT: Final = struct.Struct(">q")
_NUMBERS: Final = {
    ord(mark): struct.Struct(f">{code}")
    for mark, code in {"i": "b", "U": "B", "I": "h", "l": "i", "L": "q", "d": "f", "D": "d"}.items()
}
_ARRAYS: Final = {mark: np.dtype(number.format) for mark, number in _NUMBERS.items()}
_NATIVE: Final = {mark: dtype.newbyteorder("=") for mark, dtype in _ARRAYS.items()}
_CONSTANTS: Final = {ord("T"): True, ord("F"): False, ord("Z"): None}
_LARGE, _OBJECT, _ARRAY, _TEXT = ord("L"), ord("{"), ord("["), ord("S")
_END, _TYPED, _COUNTED = ord("}"), ord("$"), ord("#")


#: Reads the array that begins at a place in the file; gives what it found and where the array ends.
ArrayReader = Callable[[bytes, int], tuple[Any, int]]


def read_ubjson(data: bytes, arrays: Mapping[str, ArrayReader] | None = None) -> Any:
    """Read a file.

    Parameters
    ----------
    data
        The whole file.
    arrays
        Readers for arrays under certain names that are known better than in general. Each is called with the file
        and the place behind the opening bracket.

    Returns
    -------
    dict, list, numpy.ndarray, str, int, float, bool or None
        Arrays whose items have one type are one-dimensional NumPy arrays of it, in the machine's byte order.

    Raises
    ------
    ValueError
        If it is anything else; the message names the byte.
    """
    reader = _Reader(data, arrays or {})
    try:
        found = reader.value(0)
    except (struct.error, IndexError):
        raise ValueError(f"it ends too early, after {len(data)} bytes") from None
    if reader.at != len(data):
        raise ValueError(f"byte {reader.at}: there is more than one value")
    return found


class _Reader:
    """Where the reading of a file stands."""

    def __init__(self, data: bytes, arrays: Mapping[str, ArrayReader]) -> None:
        self.data, self.at, self._arrays = data, 0, arrays

    def value(self, depth: int) -> Any:
        """Read the value that comes next."""
        mark = self.data[self.at]
        self.at += 1
        if mark == _OBJECT:
            return self._object(depth + 1)
        if mark == _ARRAY:
            return self._array(depth + 1)
        if mark == _TEXT:
            return self._text()
        if mark in _NUMBERS:
            return self._number(mark)
        if mark in _CONSTANTS:
            return _CONSTANTS[mark]
        raise self._wrong(f"unknown mark {chr(mark)!r}", self.at - 1)

    def _object(self, depth: int) -> dict[str, Any]:
        self._check_depth(depth)
        found: dict[str, Any] = {}
        while self.data[self.at] != _END:
            name = self._text()
            if name in found:
                raise self._wrong(f"{name[:80]!r} stands twice")
            special = self._arrays.get(name)
            if special is not None and self.data[self.at] == _ARRAY:
                found[name], self.at = special(self.data, self.at + 1)
            else:
                found[name] = self.value(depth)
        self.at += 1
        return found

    def _array(self, depth: int) -> Any:
        self._check_depth(depth)
        start = self.at
        if self.data[start] == _COUNTED:
            self.at += 1
            count = self._count(1)
            return [self.value(depth) for _ in range(count)]
        mark = self.data[start + 1]
        if self.data[start] != _TYPED or mark not in _ARRAYS or self.data[start + 2] != _COUNTED:
            raise self._wrong("an array without type and count, or of unknown type", start)
        self.at += 3
        dtype = _ARRAYS[mark]
        count = self._count(dtype.itemsize)
        found = np.frombuffer(self.data, dtype, count, self.at)
        self.at += count * dtype.itemsize
        return found.astype(_NATIVE[mark])

    def _text(self) -> str:
        size = self._count(1)
        if size > _LONGEST_TEXT:
            raise self._wrong(f"a text of {size} bytes")
        raw = self.data[self.at : self.at + size]
        self.at += size
        return raw.decode("utf-8")

    def _count(self, item_size: int) -> int:
        """Read a count, of items that take at least so many bytes each, and hold it against what is left."""
        if self.data[self.at] != _LARGE:
            raise self._wrong("a count that is not of the type L")
        (count,) = _COUNT.unpack_from(self.data, self.at + 1)
        self.at += 9
        if not 0 <= count * item_size <= len(self.data) - self.at:
            raise self._wrong(f"a count of {count}, which is more than the file holds", self.at - 9)
        return int(count)

    def _number(self, mark: int) -> int | float:
        number = _NUMBERS[mark]
        (found,) = number.unpack_from(self.data, self.at)
        self.at += number.size
        return found

    def _check_depth(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self._wrong("it is nested too deeply")

    def _wrong(self, what: str, at: int | None = None) -> ValueError:
        return ValueError(f"byte {self.at if at is None else at}: {what}")
