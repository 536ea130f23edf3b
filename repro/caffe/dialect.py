"""Which fork's schema a prototxt is written in: guessed from what is present, or forced by the caller."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from dataclasses import dataclass, field

from repro.caffe.message import Message
from repro.caffe.schema import BVLC, DIALECT_NAMES, Schema, schema
from repro.caffe.text import GivenTwice, UnknownField, parse_text
from repro.errors import FormatError, SchemaError

_CONTAINERS = frozenset(("NetParameter", "LayerParameter", "V1LayerParameter", "SolverParameter"))
_WHOLE = frozenset(("", "LayerParameter", "V1LayerParameter", "V1LayerParameter.LayerType"))
_LAYERS = frozenset(("LayerParameter", "V1LayerParameter"))
# evaluation layers whose forms agree in everything that the options they share can say
_AGREEING = frozenset(("SegAccuracy",))
# fields whose defaults mean the same: without normalize, BVLC's normalization is VALID, which is what true says
_SAME_DEFAULTS = frozenset((("LossParameter", "normalize"),))


@dataclass
class Reading:
    """A text read in one dialect, and how well it fits: ``unknown`` fields and types that the dialect lacks."""

    message: Message
    unknown: Counter[tuple[str, str]] = field(default_factory=Counter)
    agreeing: tuple[str, ...] = ()

    @property
    def lack(self) -> tuple[int, int]:
        """How badly it fits: layer types and options of whole layers first, then everything."""
        return sum(owner in _WHOLE for owner, _ in self.unknown), len(self.unknown)

    @property
    def dialect(self) -> str:
        """Name of the dialect."""
        return self.message.schema.dialect


def parse_guessing(text: str, message: str, name: str, dialect: str | None = None, keep: bool = False) -> Reading:
    """Reads a text in ``dialect``, or, where that is None, in the dialect that fits it best.

    BVLC's is tried first. Where it lacks a field, a V1 type or a V2 layer type, the forks that have one of these are
    tried, and the one that lacks least is taken; ``agreeing`` names the others that fit as well and give the file the
    same meaning. SchemaError where two fit and would read the file differently (``dialect=`` decides then), and,
    unless ``keep``, where the one taken lacks a field.
    """
    if dialect is not None:
        return Reading(parse_text(text, message, schema(dialect), name, keep))
    first = _first(text, message, name)
    readings = [first]
    if first.unknown:
        known = {fork: _knows(fork, first.unknown) for fork in DIALECT_NAMES[1:]}
        for fork, count in known.items():
            if count and count == max(known.values()):
                with contextlib.suppress(FormatError, SchemaError):
                    readings.append(_read(text, message, name, fork))
    best = min(r.lack for r in readings)
    chosen = _choose([r for r in readings if r.lack == best], name)
    if not keep:  # again and strictly: raises at the first field that is missing or given twice
        chosen.message = parse_text(text, message, schema(chosen.dialect), name)
    return chosen


def _first(text: str, message: str, name: str) -> Reading:
    """BVLC's reading, or, where BVLC cannot read the file, that of the fork that can and lacks least."""
    try:
        return _read(text, message, name, BVLC)
    except (UnknownField, GivenTwice) as error:
        readings = []
        for fork in error.dialects:
            with contextlib.suppress(FormatError, SchemaError):
                readings.append(_read(text, message, name, fork))
        if not readings:
            raise
        return min(readings, key=lambda reading: reading.lack)


def _read(text: str, message: str, name: str, dialect: str) -> Reading:
    known = schema(dialect)
    parsed = parse_text(text, message, known, name, keep=True)
    lacking: Counter[tuple[str, str]] = Counter()
    for part in parsed.walk():
        for raw in part.unknown:
            lacking[part.type_name, raw.name] = 1
        if part.type_name == "V1LayerParameter" and part.has("type") and part.type not in known.v1_types:
            lacking["V1LayerParameter.LayerType", part.type] = 1
        elif part.type_name == "LayerParameter" and part.has("type") and part.type not in known.types:
            lacking["", part.type] = 1
    return Reading(parsed, lacking)


def _knows(dialect: str, lacking: Counter[tuple[str, str]]) -> int:
    """How many of these types and fields the dialect has."""
    known = schema(dialect)
    count = 0
    for owner, name in lacking:
        if not owner:
            count += name in known.types
        elif owner in known.enums:
            count += name in known.enums[owner].values
        elif owner in known.messages:
            count += name in known.messages[owner].fields
    return count


def _choose(best: list[Reading], name: str) -> Reading:
    first = best[0]
    for other in best[1:]:
        difference = _difference(first.message, other.message)
        if difference:
            raise SchemaError(
                f"{name}: fits the dialects {first.dialect!r} and {other.dialect!r}, which read it "
                f"differently ({difference}); choose one with dialect= or --dialect"
            )
    first.agreeing = tuple(other.dialect for other in best[1:])
    return first


def _difference(a: Message, b: Message) -> str:
    """The first field that the two readings' dialects define differently, numbers aside; "" where there is none.

    Another default makes a difference only where the file does not set the field.
    """
    seen: set[tuple[str, str]] = set()
    for message in a.walk():
        known, other = message.message_type, b.schema.messages.get(message.type_name)
        if other is None:  # an option that only one of them has; the other lacks something else as badly
            return f"only one of them has {message.type_name}"
        shared = other.fields.keys() & (known.fields if known.name not in _CONTAINERS else message.fields).keys()
        for name in sorted(shared):
            if (known.name, name) in seen:
                continue
            x, y = known.fields[name], other.fields[name]
            if (x.kind, x.type_name, x.repeated) != (y.kind, y.type_name, y.repeated):
                return f"{known.name}.{name}"
            if x.default == y.default or (known.name, name) in _SAME_DEFAULTS:
                seen.add((known.name, name))
            elif not message.has(name):
                return f"{known.name}.{name}"
        if known.name in _LAYERS:
            v2 = known.name == "LayerParameter"
            types = [message.type if v2 else r.schema.v1_types.get(message.type, "") for r in (a, b)]
            if types[0] != types[1]:
                return f"the type {message.type}"
            foreign = types[0] not in schema(BVLC).types | _AGREEING
            if foreign and _parameters(a.schema, types[0]) != _parameters(b.schema, types[0]):
                return f"the options of {types[0]}"
    return ""


def _parameters(known: Schema, type_: str) -> list[tuple[str, object]]:
    """Names, types and defaults of a layer type's own options; they matter even where the file leaves them out."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type_).lower() + "_param"
    option = known.messages["LayerParameter"].fields.get(name)
    if option is None:
        return []
    options = known.messages[option.type_name].fields.values()
    return sorted((f.name, (f.kind, f.type_name, f.repeated, f.default)) for f in options)
