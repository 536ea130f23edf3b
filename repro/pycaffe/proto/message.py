"""Messages with the attributes and methods of Google's Python protobuf, over `repro.caffe.Message`.

Enum fields are integers here, as there; a sub-message that is read is empty and counts as set once a field of it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any

from repro.caffe import Message, to_text
from repro.caffe.schema import Field, schema, to_float32
from repro.caffe.wire import Reader, encode
from repro.errors import FormatError

_INTEGERS = {
    "int32": (-(1 << 31), 1 << 31),
    "int64": (-(1 << 63), 1 << 63),
    "uint32": (0, 1 << 32),
    "uint64": (0, 1 << 64),
}


def _nothing() -> None:
    return None


class ProtoMessage:
    """Base of the classes of `caffe_pb2`; `TYPE` is the message's name in the schema."""

    TYPE = ""
    _inner: Message
    _touch: Callable[[], None]

    def __init__(self, **fields: Any) -> None:
        known = schema("bvlc")
        _bind(self, Message(known, known.message(self.TYPE)), _nothing)
        for name, value in fields.items():
            _give(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        field = self._inner.field(name)
        if field.repeated:
            kind = RepeatedMessages if field.kind == "message" else RepeatedValues
            return kind(self, field)
        if field.kind != "message":
            return _outward(field, getattr(self._inner, name))
        if self._inner.has(name):
            return wrap(self._inner.fields[name][-1], _nothing)
        fresh = self._inner.new(name)

        def attach() -> None:
            if not self._inner.has(name):
                self._inner.set(name, fresh)
                self._touch()

        return wrap(fresh, attach)

    def __setattr__(self, name: str, value: Any) -> None:
        field = self._inner.field(name)
        if field.repeated or field.kind == "message":
            raise AttributeError(f"{self.TYPE}.{name} cannot be assigned; use its methods, or CopyFrom")
        self._inner.set(name, _inward(self.TYPE, field, value))
        self._touch()

    # --- protobuf's methods

    def HasField(self, name: str) -> bool:
        return self._inner.has(self._inner.field(name).name)

    def ClearField(self, name: str) -> None:
        self._inner.clear(self._inner.field(name).name)

    def Clear(self) -> None:
        self._inner.fields.clear()

    def ListFields(self) -> list[tuple[Field, Any]]:
        """(field, value) of what is set, in the order of the fields' numbers; a field has `name` and `number`."""
        found = [self._inner.field(name) for name in self._inner.fields if self._inner.has(name)]
        return [(f, getattr(self, f.name)) for f in sorted(found, key=lambda f: f.number or 0)]

    def CopyFrom(self, other: ProtoMessage) -> None:
        if other is not self:
            self.Clear()
            self.MergeFrom(other)

    def MergeFrom(self, other: ProtoMessage) -> None:
        if not isinstance(other, ProtoMessage) or other.TYPE != self.TYPE:
            raise TypeError(f"expected a {self.TYPE}, found {type(other).__name__}")
        merge(self._inner, deepcopy(other._inner))
        self._touch()

    def SetInParent(self) -> None:
        self._touch()

    def ParseFromString(self, data: bytes) -> int:
        """Take the message from its bytes; FormatError where they are none."""
        self.Clear()
        return self.MergeFromString(data)

    def MergeFromString(self, data: bytes) -> int:
        data = bytes(data)
        merge(self._inner, Reader(data, self._inner.schema, "<bytes>").read(self.TYPE))
        self._touch()
        return len(data)

    def SerializeToString(self) -> bytes:
        return encode(self._inner)

    def ByteSize(self) -> int:
        return len(encode(self._inner))

    def IsInitialized(self) -> bool:
        return True

    @classmethod
    def FromString(cls, data: bytes) -> ProtoMessage:
        made = cls()
        made.ParseFromString(data)
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProtoMessage) and self._inner == other._inner

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return to_text(in_order(self._inner), escape_apostrophes=True)

    __repr__ = __str__

    def __deepcopy__(self, memo: Any) -> ProtoMessage:
        return wrap(deepcopy(self._inner), _nothing)


class RepeatedValues:
    """A repeated field of numbers or strings, with a list's methods."""

    def __init__(self, owner: ProtoMessage, field: Field) -> None:
        self._owner, self._field = owner, field

    def _stored(self) -> Any:
        return self._owner._inner.fields.get(self._field.name, [])

    def _list(self) -> list[Any]:
        return [_outward(self._field, value) for value in self._stored()]

    def _store(self, values: Iterable[Any]) -> None:
        kept = [_inward(self._owner.TYPE, self._field, value) for value in values]
        self._owner._inner.set(self._field.name, kept)
        self._owner._touch()

    def append(self, value: Any) -> None:
        self.extend([value])

    def extend(self, values: Iterable[Any]) -> None:
        self._store([*self._list(), *values])

    MergeFrom = extend

    def insert(self, at: int, value: Any) -> None:
        values = self._list()
        values.insert(at, value)
        self._store(values)

    def remove(self, value: Any) -> None:
        values = self._list()
        values.remove(value)
        self._store(values)

    def pop(self, at: int = -1) -> Any:
        values = self._list()
        value = values.pop(at)
        self._store(values)
        return value

    def __len__(self) -> int:
        return len(self._stored())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._list())

    def __getitem__(self, at: Any) -> Any:
        return self._list()[at]

    def __setitem__(self, at: Any, value: Any) -> None:
        values = self._list()
        values[at] = value
        self._store(values)

    def __delitem__(self, at: Any) -> None:
        values = self._list()
        del values[at]
        self._store(values)

    def __eq__(self, other: object) -> bool:
        return self._list() == (list(other) if isinstance(other, Iterable) else other)

    __hash__ = None  # type: ignore[assignment]

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        import numpy as np

        return np.array(self._stored() if self._field.enum is None else self._list(), dtype)

    def __repr__(self) -> str:
        return repr(self._list())


class RepeatedMessages:
    """A repeated field of messages."""

    def __init__(self, owner: ProtoMessage, field: Field) -> None:
        self._owner, self._field = owner, field

    def _stored(self) -> list[Message]:
        return self._owner._inner.fields.setdefault(self._field.name, [])

    def add(self, **fields: Any) -> ProtoMessage:
        """A new message at the end, with these fields."""
        made = wrap(self._owner._inner.new(self._field.name), _nothing)
        self._stored().append(made._inner)
        self._owner._touch()
        for name, value in fields.items():
            _give(made, name, value)
        return made

    def append(self, value: ProtoMessage) -> None:
        self.add().CopyFrom(value)

    def extend(self, values: Iterable[ProtoMessage]) -> None:
        for value in list(values):
            self.append(value)

    MergeFrom = extend

    def pop(self, at: int = -1) -> ProtoMessage:
        return wrap(self._stored().pop(at), _nothing)

    def remove(self, value: ProtoMessage) -> None:
        self._stored().remove(value._inner)

    def __len__(self) -> int:
        return len(self._stored())

    def __iter__(self) -> Iterator[ProtoMessage]:
        return (wrap(value, _nothing) for value in self._stored())

    def __getitem__(self, at: Any) -> Any:
        found = self._stored()[at]
        return [wrap(f, _nothing) for f in found] if isinstance(found, list) else wrap(found, _nothing)

    def __delitem__(self, at: Any) -> None:
        del self._stored()[at]

    def __repr__(self) -> str:
        return repr(list(self))


CLASSES: dict[str, type[ProtoMessage]] = {}


def wrap(message: Message, touch: Callable[[], None]) -> ProtoMessage:
    """The message as an object of its `caffe_pb2` class; `touch` is called when something in it is set."""
    cls = CLASSES[message.type_name]
    made = cls.__new__(cls)
    _bind(made, message, touch)
    return made


def inner(message: ProtoMessage) -> Message:
    """The Message behind it."""
    return message._inner


def merge(into: Message, new: Message) -> None:
    """protobuf's MergeFrom: repeated fields are appended, messages merged, values replaced."""
    for name, values in new.fields.items():
        field = into.field(name)
        if not len(values):
            continue
        if field.repeated:
            old = into.fields.get(name)
            into.set(name, values if old is None or not len(old) else [*old, *values])
        elif field.kind == "message" and into.has(name):
            merge(into.fields[name][-1], values[-1])
        else:
            into.set(name, values[-1])


def in_order(message: Message) -> Message:
    """A copy with the fields in the order of their numbers, as protobuf prints them."""
    copied = Message(message.schema, message.message_type)
    for name in sorted(message.fields, key=lambda n: message.field(n).number or 0):
        values = message.fields[name]
        copied.fields[name] = [in_order(v) for v in values] if message.field(name).kind == "message" else values
    return copied


def _bind(made: ProtoMessage, message: Message, touch: Callable[[], None]) -> None:
    object.__setattr__(made, "_inner", message)
    object.__setattr__(made, "_touch", touch)


def _give(made: ProtoMessage, name: str, value: Any) -> None:
    field = made._inner.field(name)
    if field.repeated:
        getattr(made, name).extend(value)
    elif field.kind == "message":
        getattr(made, name).CopyFrom(value)
    else:
        setattr(made, name, value)


def _outward(field: Field, value: Any) -> Any:
    if field.enum is not None and isinstance(value, str):
        return field.enum.values.get(value)
    return value.item() if hasattr(value, "item") else value


def _inward(owner: str, field: Field, value: Any) -> Any:
    """The value as Message keeps it; TypeError or ValueError, as protobuf raises them, where it does not fit."""
    value = value.item() if hasattr(value, "item") else value
    expected = field.kind
    if field.enum is not None:
        if isinstance(value, str) and value in field.enum.values:
            return value
        if isinstance(value, int) and value in field.enum.by_number:
            return field.enum.by_number[value]
        raise ValueError(f"{owner}.{field.name}: {value!r} is no value of {field.type_name}")
    if expected == "bool" and isinstance(value, (bool, int)):
        return bool(value)
    if expected in ("float", "double") and isinstance(value, (int, float)):
        return to_float32(float(value)) if expected == "float" else float(value)
    if expected in _INTEGERS and isinstance(value, int):
        low, high = _INTEGERS[expected]
        if not low <= value < high:
            raise ValueError(f"{owner}.{field.name}: {value} is out of the range of {expected}")
        return int(value)
    if expected == "string" and isinstance(value, (str, bytes)):
        return value.decode("utf-8") if isinstance(value, bytes) else value
    if expected == "bytes" and isinstance(value, (bytes, bytearray)):
        return bytes(value)
    raise TypeError(f"{owner}.{field.name}: {value!r} has type {type(value).__name__}; expected {expected}")


__all__ = ["CLASSES", "FormatError", "ProtoMessage", "in_order", "inner", "merge", "wrap"]
