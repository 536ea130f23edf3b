"""The schema of Caffe's files as data: messages, fields, numbers, defaults, of BVLC Caffe 1.0 and of its forks.

``schema("bvlc")`` and ``schema("deconvnet")`` are complete schemas; ``DIALECT_NAMES`` lists them, BVLC first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from repro.caffe.schema import bvlc_layers, bvlc_net, bvlc_old, weights
from repro.caffe.schema.dialects import DIALECTS
from repro.caffe.schema.table import Draft, Enum, Field, MessageType, read_table, resolve, to_float32
from repro.errors import SchemaError

__all__ = [
    "DIALECT_NAMES",
    "Enum",
    "Field",
    "MessageType",
    "Schema",
    "dialects_where",
    "schema",
    "to_float32",
    "weights_schema",
]

BVLC = "bvlc"
DIALECT_NAMES: tuple[str, ...] = (BVLC, *(d.name for d in DIALECTS))
_BY_NAME = {d.name: d for d in DIALECTS}


@dataclass(frozen=True)
class Schema:
    """One dialect, complete: its messages, its enums, the V2 name of each V1 type, and every V2 layer type."""

    dialect: str
    about: str
    messages: dict[str, MessageType]
    enums: dict[str, Enum]
    v1_types: dict[str, str]
    types: frozenset[str]

    def message(self, name: str) -> MessageType:
        """The message called ``name``; SchemaError where this dialect has none."""
        try:
            return self.messages[name]
        except KeyError:
            raise SchemaError(f"the dialect {self.dialect!r} has no message {name!r}") from None


@cache
def schema(dialect: str = BVLC) -> Schema:
    """The schema of one dialect; SchemaError, with the known names, where there is no such dialect."""
    if dialect not in DIALECT_NAMES:
        raise SchemaError(f"unknown dialect {dialect!r}; known: {', '.join(DIALECT_NAMES)}")
    draft = Draft()
    for table in (bvlc_net.TABLE, bvlc_layers.TABLE, bvlc_old.TABLE):
        read_table(table, draft)
    fork = _BY_NAME.get(dialect)
    about, v1_types, types = "BVLC Caffe 1.0", dict(bvlc_old.V1_TYPES), bvlc_layers.TYPES.split()
    if fork is not None:
        read_table(fork.table, draft)
        about = fork.about
        v1_types.update(fork.v1_types)
        types += fork.types.split()
    messages, enums = resolve(draft)
    return Schema(dialect, about, messages, enums, v1_types, frozenset(types))


@cache
def weights_schema() -> Schema:
    """The small schema of weights and solver states that holds for every dialect; see ``weights.py``."""
    draft = Draft()
    read_table(weights.TABLE, draft)
    messages, enums = resolve(draft)
    return Schema("weights", "the blobs of any dialect", messages, enums, {}, frozenset())


def dialects_where(
    message: str, field: str = "", enum: str = "", value: str = "", repeated: bool = False
) -> tuple[str, ...]:
    """Names of the dialects whose ``message`` has ``field`` (``repeated``: as a repeated one), or whose ``enum`` has
    ``value``; in listed order."""
    found = []
    for name in DIALECT_NAMES:
        known = schema(name)
        entry = known.messages[message].fields.get(field) if message in known.messages else None
        has_value = bool(enum) and enum in known.enums and value in known.enums[enum].values
        if (entry is not None and (entry.repeated or not repeated)) or has_value:
            found.append(name)
    return tuple(found)
