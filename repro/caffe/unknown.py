"""Fields that no dialect knows: kept and reported where they cannot change what a net computes, else refused.

Real Caffe refuses a file at its first unknown field. Here a fork's extra field stops the reading only where it may
change the meaning of something this project relies on: an option of a layer whose type some dialect knows, a rule that
selects layers, a message beside the layers. What is left says nothing about the numbers of a forward pass: options of
data layers (their blobs come from the caller), of fillers and of ``param`` entries, options of layers of an unknown
type (which cannot be built and are refused by name later), single values beside the layers.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from repro.caffe.message import Message, RawField, Where
from repro.caffe.schema import DIALECT_NAMES, dialects_where, schema
from repro.errors import FormatError, SchemaError

MODES = ("refuse", "keep", "force")
_HARMLESS = frozenset(("FillerParameter", "ParamSpec"))
_SHAPED = frozenset(("Input", "DummyData", "Parameter"))
_SELECTING = frozenset(("NetStateRule", "NetState"))


class KeptFieldWarning(UserWarning):
    """Fields of a prototxt that no dialect knows and that were set aside."""


@dataclass(frozen=True)
class UnknownOption:
    """A field set aside: its message type, name, place, and the layer it stands in ("" for none)."""

    owner: str
    name: str
    where: Where
    layer: str = ""

    def __str__(self) -> str:
        of = f"layer {_short(self.layer)!r}: " if self.layer else ""
        return f"{self.where}: {of}{self.owner}.{_short(self.name)}"


def sort_out(net: Message, layers: Sequence[Message], mode: str) -> tuple[UnknownOption, ...]:
    """The unknown fields of a net and of those ``layers`` that take part; warns of them.

    ``mode`` "keep": SchemaError, naming all, where one may change the net's meaning; "force": all are kept.
    FormatError where the text is no net at all.
    """
    if net.unknown and not layers and not net.has("layer"):
        raise FormatError(
            f"{net.unknown[0].where}: {_short(net.unknown[0].name)!r} is no field of a net, and there are no "
            "layers; expected a net (is this a solver?)"
        )
    kept: list[UnknownOption] = []
    refused: list[tuple[UnknownOption, Message]] = []
    for part, raw, layer in _found(net, layers):
        option = UnknownOption(part.type_name, raw.name, raw.where, layer.name if layer is not None else "")
        if mode == "keep" and _matters(part, raw, layer):
            refused.append((option, part))
        else:
            kept.append(option)
    if refused:
        listed = "; ".join(f"{option}{_hint(part, option.name)}" for option, part in refused[:8])
        more = f" and {len(refused) - 8} more" if len(refused) > 8 else ""
        raise SchemaError(
            f"{listed}{more}: not in the dialect {net.schema.dialect!r} and may change what the net computes; "
            "unknown='force' or --unknown force reads the file without"
        )
    if kept:
        listed = ", ".join(dict.fromkeys(f"{o.owner}.{_short(o.name)} ({o.where})" for o in kept[:6]))
        more = f" and {len(kept) - 6} more" if len(kept) > 6 else ""
        warnings.warn(
            f"{len(kept)} field(s) that the dialect {net.schema.dialect!r} does not have are not used: {listed}{more}",
            KeptFieldWarning,
            stacklevel=3,
        )
    return tuple(kept)


def _short(name: str) -> str:
    return name if len(name) <= 60 else name[:57] + "..."


def _found(net: Message, layers: Sequence[Message]) -> Iterator[tuple[Message, RawField, Message | None]]:
    for raw in net.unknown:
        yield net, raw, None
    for raw in net.state.unknown:
        yield net.state, raw, None
    for layer in layers:
        for part in layer.walk():
            for raw in part.unknown:
                yield part, raw, layer


def _matters(part: Message, raw: RawField, layer: Message | None) -> bool:
    if part.type_name in _SELECTING:
        return True
    if layer is None:
        return not isinstance(raw.value, str)
    if part.type_name in _HARMLESS:
        return False
    is_source = not layer.has("bottom") and layer.type not in _SHAPED
    if part is layer and not raw.name.endswith("_param"):
        is_source = False  # a misspelt bottom or include would else pass for an option
    return not is_source and layer.type in _known_types()


@cache
def _known_types() -> frozenset[str]:
    return frozenset().union(*(schema(name).types for name in DIALECT_NAMES))


def _hint(part: Message, name: str) -> str:
    name = _short(name)
    dialects = dialects_where(part.type_name, field=name)
    if dialects:
        return f" (known to: {', '.join(dialects)})"
    near = difflib.get_close_matches(name, list(part.message_type.fields), 1)
    return f" (did you mean {near[0]!r}?)" if near else ""
