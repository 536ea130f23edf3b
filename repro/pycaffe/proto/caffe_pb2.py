"""`caffe.proto.caffe_pb2`: a class for every message of BVLC Caffe's caffe.proto, and its enums' values."""

from __future__ import annotations

from typing import Any

from repro.caffe.schema import schema
from repro.pycaffe.proto.message import CLASSES, ProtoMessage

TRAIN, TEST = 0, 1


class EnumType:
    """An enum as protobuf shows it: `Name(number)`, `Value(name)`, `items()`, `keys()`, `values()`."""

    def __init__(self, name: str, values: dict[str, int]) -> None:
        self.name = name
        self._values = values

    def Name(self, number: int) -> str:
        for name, value in self._values.items():
            if value == number:
                return name
        raise ValueError(f"{self.name} has no value {number}")

    def Value(self, name: str) -> int:
        if name not in self._values:
            raise ValueError(f"{self.name} has no value {name!r}")
        return self._values[name]

    def items(self) -> list[tuple[str, int]]:
        return list(self._values.items())

    def keys(self) -> list[str]:
        return list(self._values)

    def values(self) -> list[int]:
        return list(self._values.values())


def _make() -> dict[str, Any]:
    known = schema("bvlc")
    made: dict[str, Any] = {}
    for name in known.messages:
        made[name] = CLASSES[name] = type(name, (ProtoMessage,), {"TYPE": name, "__module__": __name__})
    for full, enum in known.enums.items():
        values = {name: number for name, number in enum.values.items() if number is not None}
        owner, _, name = full.rpartition(".")
        kind = EnumType(full, values)
        if owner in made:
            setattr(made[owner], name, kind)
            for value, number in values.items():
                setattr(made[owner], value, number)
        elif not owner:
            made[name] = kind
    return made


_MADE = _make()
globals().update(_MADE)


def __getattr__(name: str) -> Any:
    raise AttributeError(f"caffe_pb2 has no {name!r}; it has the messages of BVLC Caffe 1.0")
