"""`google.protobuf.text_format` for the messages of `caffe_pb2`: Merge, Parse, MessageToString."""

from __future__ import annotations

from typing import Any

from repro.caffe.text import parse_text
from repro.pycaffe.proto.message import ProtoMessage, inner, merge


def Merge(text: str | bytes, message: ProtoMessage, **_options: Any) -> ProtoMessage:
    """Reads text into the message; FormatError or SchemaError, with line and column, where it does not fit."""
    plain = text.decode("utf-8") if isinstance(text, bytes) else text
    merge(inner(message), parse_text(plain, message.TYPE, inner(message).schema))
    message.SetInParent()
    return message


def Parse(text: str | bytes, message: ProtoMessage, **options: Any) -> ProtoMessage:
    """As Merge, into a message that is empty."""
    return Merge(text, message, **options)


def MessageToString(message: ProtoMessage, **_options: Any) -> str:
    """The message as text."""
    return str(message)


def PrintMessage(message: ProtoMessage, out: Any, **_options: Any) -> None:
    """Writes the message as text into a file."""
    out.write(str(message))
