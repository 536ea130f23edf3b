"""Which fork's schema a prototxt is written in: guessed from what is present, or forced by the caller."""

from __future__ import annotations

import re

from repro.caffe.message import Message
from repro.caffe.schema import BVLC, DIALECT_NAMES, Schema, schema
from repro.caffe.text import UnknownField, parse_text
from repro.errors import SchemaError

_CONTAINERS = frozenset(("NetParameter", "LayerParameter", "V1LayerParameter", "SolverParameter"))


def parse_guessing(text: str, message: str, name: str, dialect: str | None = None) -> Message:
    """Reads a text in ``dialect``, or, where that is None, in the one dialect that fits it.

    BVLC's is tried first. Where it lacks a field, an enum value or a V2 layer type, the forks that have it are tried;
    forks that read the file with the same meaning count as one. SchemaError where none fits, or where two fit and
    would read the file differently; ``dialect=`` decides then.
    """
    if dialect is not None:
        return parse_text(text, message, schema(dialect), name)
    try:
        parsed = parse_text(text, message, schema(BVLC), name)
    except UnknownField as error:
        if not error.dialects:
            raise
        return _choose(_fitting(text, message, name, error), name)
    wanted = _foreign_types(parsed)
    if not wanted:
        return parsed
    counts = {d: len(wanted & schema(d).types) for d in DIALECT_NAMES}
    most = max(counts.values())
    if most == 0:
        return parsed
    return _choose([parse_text(text, message, schema(d), name) for d, n in counts.items() if n == most], name)


def _fitting(text: str, message: str, name: str, error: UnknownField) -> list[Message]:
    """The readings in those dialects that know what ``error`` found unknown; raises where none reads all of it."""
    fitting = []
    failure: UnknownField | None = None
    for dialect in error.dialects:
        try:
            fitting.append(parse_text(text, message, schema(dialect), name))
        except UnknownField as other:
            failure = failure or other
    if not fitting:
        assert failure is not None
        raise SchemaError(
            f"{failure} The file also needs {', '.join(error.dialects)} ({error}); no one dialect reads all of it"
        )
    return fitting


def _choose(readings: list[Message], name: str) -> Message:
    unknown = [len(_types(r) - r.schema.types) for r in readings]
    best = [r for r, n in zip(readings, unknown, strict=True) if n == min(unknown)]
    first = best[0]
    for other in best[1:]:
        difference = _difference(first, other)
        if difference:
            raise SchemaError(
                f"{name}: fits the dialects {first.schema.dialect!r} and {other.schema.dialect!r}, which read it "
                f"differently ({difference}); choose one with dialect="
            )
    return first


def _types(net: Message) -> set[str]:
    return {layer.type for layer in net.walk() if layer.type_name == "LayerParameter"}


def _foreign_types(net: Message) -> set[str]:
    return _types(net) - schema(BVLC).types


def _difference(a: Message, b: Message) -> str:
    """The first field that the two readings' dialects define differently, numbers aside; "" where there is none."""
    seen: set[tuple[str, str]] = set()
    for message in a.walk():
        known, other = message.message_type, b.schema.messages[message.type_name]
        shared = known.fields.keys() & other.fields.keys() if known.name not in _CONTAINERS else message.fields.keys()
        for field in sorted(shared):
            if (known.name, field) in seen:
                continue
            seen.add((known.name, field))
            x, y = known.fields[field], other.fields[field]
            if (x.kind, x.type_name, x.repeated, x.default) != (y.kind, y.type_name, y.repeated, y.default):
                return f"{known.name}.{field}"
        if known.name in ("LayerParameter", "V1LayerParameter"):
            types = [message.type if known.name[0] == "L" else r.schema.v1_types.get(message.type, "") for r in (a, b)]
            if types[0] != types[1]:
                return f"the type {message.type}"
            if types[0] not in schema(BVLC).types and _parameters(a.schema, types[0]) != _parameters(
                b.schema, types[0]
            ):
                return f"the options of {types[0]}"
    return ""


def _parameters(known: Schema, type_: str) -> list[tuple[str, object]]:
    """Names, types and defaults of a layer type's own options; they matter even where the file leaves them out."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type_).lower() + "_param"
    field = known.messages["LayerParameter"].fields.get(name)
    if field is None:
        return []
    options = known.messages[field.type_name].fields.values()
    return sorted((f.name, (f.kind, f.type_name, f.repeated, f.default)) for f in options)
