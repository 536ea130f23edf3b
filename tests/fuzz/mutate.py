"""Damage: a good file in, one that is a little or much different out."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Sequence

_INTEGERS = (0, 1, -1, 2, 7, 255, 65536, 2**31 - 1, -(2**31), 2**32, 2**62, 2**63 - 1, -(2**63), 2**64, 10**9, 10**30)
_WORDS = (
    "nan",
    "-inf",
    "1e39",
    "true",
    '""',
    "'\\377'",
    "{",
    "}",
    "[",
    "]",
    ":",
    "<",
    ">",
    "#",
    "-",
    "\x00",
    "é",
    "MAX",
)
_TOKEN = re.compile(rb"[A-Za-z_][\w.]*|-?[\d.][\w.+-]*|'[^'\n]*'|\"[^\"\n]*\"|\S")
_NUMBER = re.compile(rb"(?<![\w.])-?\d+(?![\w.])")


def mutate(good: Sequence[bytes], rng: random.Random, text: bool) -> bytes:
    """One of the good files after one to eight changes."""
    data = rng.choice(good)
    for _ in range(min(8, 1 + int(rng.expovariate(0.6)))):
        changes = _OF_TEXT if text and rng.random() < 0.85 else _OF_BYTES
        data = rng.choice(changes)(data, good, rng)
    return data[:4_000_000]


def _place(data: bytes, rng: random.Random) -> int:
    return rng.randrange(len(data) + 1)


def _flip(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _cut(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def _drop(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.randint(1, 40) :]


def _splice(data: bytes, good: Sequence[bytes], rng: random.Random) -> bytes:
    other = rng.choice(good)
    begin = _place(other, rng)
    at = _place(data, rng)
    return data[:at] + other[begin : begin + rng.choice((4, 40, 400))] + data[at + rng.choice((0, 4, 40)) :]


def _integer(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    """Eight, four or two bytes of a number that is at an edge, or its varint, over or between what is there."""
    value = rng.choice(_INTEGERS) & 2**64 - 1
    size, code = rng.choice(((8, "Q"), (4, "I"), (2, "H"), (1, "B")))
    raw = struct.pack("<" + code, value & 2 ** (8 * size) - 1)
    if rng.random() < 0.4:
        raw, left = b"", value
        while left > 127:
            raw, left = raw + bytes([left & 127 | 128]), left >> 7
        raw += bytes([left])
    at = _place(data, rng)
    return data[:at] + raw + data[at + rng.choice((len(raw), 0, 1)) :]


def _nest(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    """The end repeated many times, as a bomb would be."""
    at = _place(data, rng)
    return data[:at] + data[at : at + rng.randint(1, 12)] * rng.choice((3, 30, 300, 3000)) + data[at:]


def _number(data: bytes, _: Sequence[bytes], rng: random.Random) -> bytes:
    found = list(_NUMBER.finditer(data))
    if not found:
        return data
    match = rng.choice(found)
    return data[: match.start()] + str(rng.choice(_INTEGERS)).encode() + data[match.end() :]


def _token(data: bytes, good: Sequence[bytes], rng: random.Random) -> bytes:
    """A word in the place of another: a type, a blob's name, a bracket."""
    found = list(_TOKEN.finditer(data))
    if not found:
        return data
    match = rng.choice(found)
    if rng.random() < 0.3:
        word = rng.choice(_WORDS).encode()
    else:
        other = _TOKEN.findall(rng.choice(good))
        word = rng.choice(other)
    return data[: match.start()] + word + data[match.end() :]


def _lines(data: bytes, good: Sequence[bytes], rng: random.Random) -> bytes:
    """Lines taken out, doubled, exchanged, or taken from another file."""
    lines = data.split(b"\n")
    at, other = rng.randrange(len(lines)), rng.choice(good).split(b"\n")
    match rng.randrange(4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[at])
        case 2:
            to = rng.randrange(len(lines))
            lines[at], lines[to] = lines[to], lines[at]
        case _:
            lines.insert(at, rng.choice(other))
    return b"\n".join(lines)


_OF_BYTES = (_flip, _cut, _drop, _splice, _integer, _nest)
_OF_TEXT = (_number, _number, _token, _token, _lines, _lines, _splice)
