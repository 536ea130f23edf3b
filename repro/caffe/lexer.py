"""The words of protobuf's text format: one token ahead, and errors that say where and what."""

from __future__ import annotations

import re

from repro.caffe.message import Source
from repro.errors import FormatError

_TOKEN = re.compile(
    r"""(?:[ \t\r\n\f\v]+|\#[^\n]*)*
    (?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)
      |(?P<number>0[xX][0-9a-fA-F]+
                 |(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fF]?)
      |(?P<string>"[^"\\\n]*(?:\\[^\n][^"\\\n]*)*"|'[^'\\\n]*(?:\\[^\n][^'\\\n]*)*')
      |(?P<mark>[{}<>:;,\[\]-])
      |(?P<variable>\$\{[A-Za-z_][A-Za-z0-9_]*\})
      |(?P<end>\Z)
      |(?P<bad>.))""",
    re.VERBOSE | re.DOTALL,
)
CLOSING = {"{": "}", "<": ">"}


class Lexer:
    """One token ahead; ``kind``, ``token`` and ``at`` (its offset) describe it.

    Kinds: name, number, string (with its quotes), mark, variable (``${NAME}``, in templates only) and end.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.next = 0
        self.kind = ""
        self.token = ""
        self.at = 0
        self.advance()

    def advance(self) -> None:
        """On to the next token; FormatError where there is none."""
        match = _TOKEN.match(self.text, self.next)
        assert match is not None  # the last alternative takes any character
        self.kind = match.lastgroup or ""
        self.next = match.end()
        self.at = match.start(self.kind)
        self.token = match.group(self.kind)
        if self.kind == "number" and self.next < len(self.text):
            after = self.text[self.next]
            if after.isalnum() or after in "_.":
                raise self.error(f"the number {self.token!r} followed by {after!r}", "a number")
        elif self.kind == "bad":
            if self.token in "\"'":
                raise self.error("a string that does not end on its line", f"a closing {self.token}")
            raise self.error(f"the character {self.token!r}", "a field name, a value, or one of {}<>[]:;,")

    def is_mark(self, marks: str) -> bool:
        """Whether the token is one of these marks."""
        return self.kind == "mark" and self.token in marks

    def error(self, found: str, expected: str, at: int | None = None) -> FormatError:
        """The error for the token, or for the offset ``at``."""
        where = self.source.where(self.at if at is None else at)
        return FormatError(f"{where}: found {found}, expected {expected}")

    def found(self) -> str:
        """The token in words."""
        if self.kind == "end":
            return "the end of the text"
        token = self.token if len(self.token) <= 40 else self.token[:37] + "..."
        return f"{token!r}" if self.kind != "string" else f"the string {token}"
