"""NetSpec, LayerSpec, ParamSpec, SolverSpec: all that the rest of the project sees of a prototxt."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from copy import copy, deepcopy
from dataclasses import dataclass
from pathlib import Path

from repro.caffe.dialect import parse_guessing
from repro.caffe.filter import is_included
from repro.caffe.message import Message, Where
from repro.caffe.template import fill_in
from repro.caffe.text import read_text
from repro.caffe.unknown import MODES, UnknownOption, sort_out
from repro.caffe.upgrade import upgrade_net, upgrade_solver
from repro.errors import FormatError, InputError

PHASES = ("TRAIN", "TEST")


@dataclass(frozen=True)
class ParamSpec:
    """One parameter blob of a layer: sharing name ("" = its own), learning-rate and decay multipliers, share mode."""

    name: str = ""
    lr_mult: float = 1.0
    decay_mult: float = 1.0
    share_mode: str = "STRICT"


@dataclass(frozen=True)
class LayerSpec:
    """One layer of a net: V2 type, blob names, parameter settings, and the whole V2 message.

    ``params`` has an entry for each ``param`` written in the file, which may be fewer than the layer has blobs.
    """

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    params: tuple[ParamSpec, ...]
    loss_weights: tuple[float, ...]
    propagate_down: tuple[bool, ...]
    message: Message
    where: Where

    def options(self, name: str) -> Message:
        """The sub-message ``name`` ("convolution_param"), empty with its defaults where the file has none.

        AttributeError where the dialect has no such field.
        """
        options = getattr(self.message, name)
        if not isinstance(options, Message):
            raise AttributeError(f"LayerParameter.{name} is no message")
        return options


@dataclass(frozen=True)
class NetSpec:
    """A net in one phase: its layers in order, upgraded to V2 and filtered by phase, level and stage.

    ``source`` is the file's path, or "<text>"; ``message`` is the upgraded NetParameter with only these layers.
    ``unknown`` are the fields that the dialect lacks and that were set aside; ``agreeing`` names the other dialects in
    which the file means the same.
    """

    name: str
    layers: tuple[LayerSpec, ...]
    phase: str
    force_backward: bool
    dialect: str
    source: str
    message: Message
    unknown: tuple[UnknownOption, ...] = ()
    agreeing: tuple[str, ...] = ()

    def layer(self, name: str) -> LayerSpec:
        """The first layer called ``name``; KeyError where there is none."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)


@dataclass(frozen=True)
class SolverSpec:
    """A solver file: its SolverParameter, and where its nets come from (a Path, or an inline NetParameter).

    ``train_net`` is None where the file names none.
    """

    message: Message
    source: str
    train_net: Path | Message | None
    test_nets: tuple[Path | Message, ...]

    def load_train_net(self, dialect: str | None = None) -> NetSpec:
        """The training net in phase TRAIN with ``train_state``; InputError where the solver names none."""
        if self.train_net is None:
            raise InputError(f"{self.source}: the solver names no train net (net, train_net, net_param, …)")
        return _in_state(self.train_net, "TRAIN", self.message.train_state, dialect)

    def load_test_nets(self, dialect: str | None = None) -> tuple[NetSpec, ...]:
        """The test nets in phase TEST, each with its ``test_state`` where the file has them."""
        states = self.message.test_state
        if states and len(states) != len(self.test_nets):
            raise FormatError(
                f"{self.source}: {len(states)} test_state for {len(self.test_nets)} test net(s); expected one each"
            )
        none = self.message.like("NetState")
        return tuple(
            _in_state(net, "TEST", states[at] if states else none, dialect) for at, net in enumerate(self.test_nets)
        )


def load_net(
    net: str | os.PathLike[str] | Message,
    phase: str = "TEST",
    level: int = 0,
    stages: Iterable[str] = (),
    dialect: str | None = None,
    *,
    unknown: str = "keep",
    define: Mapping[str, object] | None = None,
) -> NetSpec:
    """The net of a prototxt, upgraded to V2 and filtered for ``phase`` ("TRAIN" or "TEST"), ``level`` and ``stages``.

    ``net`` is a path, or the text itself (a str that contains a newline or "{"), or a NetParameter Message (which is
    left unchanged). ``dialect`` forces the fork's schema; None guesses it (``NetSpec.dialect`` says which).
    ``unknown`` says what becomes of fields that the dialect lacks: "refuse" as Caffe does, "keep" where they cannot
    change what the net computes (with a KeptFieldWarning; ``NetSpec.unknown`` lists them), "force" in any case.
    ``define`` gives the values of a template's variables, ``${NUM_LABELS}`` or NUM_LABELS in the place of a value.
    FormatError for unreadable text, SchemaError for fields or types no dialect has, InputError for another phase.
    Semantics: Caffe's ``ReadNetParamsFromTextFileOrDie`` and ``Net::FilterNet``.
    """
    if phase not in PHASES:
        raise InputError(f"phase is {phase!r}; expected 'TRAIN' or 'TEST'")
    if unknown not in MODES:
        raise InputError(f"unknown is {unknown!r}; expected one of {', '.join(MODES)}")
    reading = _read(net, dialect, unknown, define)
    state = copy(reading.message.state)
    state.set("phase", phase)
    state.set("level", level)
    state.set("stage", [*state.stage, *stages])
    return _select(reading, state, unknown)


@dataclass(frozen=True)
class _Reading:
    """A NetParameter as written, before it is filtered."""

    message: Message
    source: str
    agreeing: tuple[str, ...] = ()


def _read(
    net: str | os.PathLike[str] | Message, dialect: str | None, unknown: str, define: Mapping[str, object] | None
) -> _Reading:
    if isinstance(net, Message):
        return _Reading(deepcopy(net), net.where.source)
    text, source = _text_of(net)
    if define:
        text = fill_in(text, define, source)
    reading = parse_guessing(text, "NetParameter", source, dialect, keep=unknown != "refuse")
    return _Reading(reading.message, source, reading.agreeing)


def _select(reading: _Reading, state: Message, unknown: str) -> NetSpec:
    """The layers that take part in ``state``, upgraded."""
    parsed = reading.message
    upgrade_net(parsed)
    parsed.set("state", state)
    layers = [layer for layer in parsed.layer if is_included(layer, state)]
    for layer in layers:
        if not layer.has("phase"):
            layer.set("phase", state.phase)
    set_aside = sort_out(parsed, layers, unknown)
    parsed.set("layer", layers)
    return NetSpec(
        name=parsed.name,
        layers=tuple(_layer_spec(layer) for layer in layers),
        phase=state.phase,
        force_backward=parsed.force_backward,
        dialect=parsed.schema.dialect,
        source=reading.source,
        message=parsed,
        unknown=set_aside,
        agreeing=reading.agreeing,
    )


def load_solver(path: str | os.PathLike[str], dialect: str | None = None) -> SolverSpec:
    """The solver of a prototxt (a path, or the text itself as in ``load_net``); ``dialect`` is that of nets inside it.

    Net files are looked for in the solver file's folder, then in the current folder; FormatError naming both where a
    net is in neither, or where the solver names more than one training net.
    """
    text, source = _text_of(path)
    message = parse_guessing(text, "SolverParameter", source, dialect).message
    upgrade_solver(message)
    folder = Path(source).parent if source != "<text>" else Path()
    train = [name for name in ("train_net_param", "train_net", "net_param", "net") if message.has(name)]
    if len(train) > 1:
        raise FormatError(f"{source}: the solver has {' and '.join(train)}; exactly one gives the training net")
    found = _net_of(message, train[0], folder) if train else None
    tests: list[Path | Message] = [*message.test_net_param, *(_find(n, folder, source) for n in message.test_net)]
    if train and train[0] in ("net", "net_param") and found is not None:
        # Caffe makes one test net for each test_iter that no other field accounts for.
        tests += [found] * max(0, len(message.test_iter) - len(tests))
    return SolverSpec(message, source, found, tuple(tests))


def _net_of(message: Message, name: str, folder: Path) -> Path | Message:
    value = getattr(message, name)
    return value if isinstance(value, Message) else _find(value, folder, message.where.source)


def _find(name: str, folder: Path, source: str) -> Path:
    tried = dict.fromkeys((folder / name, Path(name)))
    for path in tried:
        if path.is_file():
            return path
    places = " nor in ".join(str(p.parent.absolute()) for p in tried)
    raise FormatError(f"{source}: the net file {name!r} is not in {places}")


def _in_state(net: Path | Message, phase: str, wanted: Message, dialect: str | None) -> NetSpec:
    """The net in the state a solver gives it: what the solver says, else what the net says, else ``phase``, level 0.

    Source: Solver::InitTrainNet, InitTestNets (solver.cpp), which merge the three.
    """
    reading = _read(net, dialect, "keep", None)
    own, state = reading.message.state, copy(reading.message.state)
    first = wanted if wanted.has("phase") else own
    state.set("phase", first.phase if first.has("phase") else phase)
    state.set("level", (wanted if wanted.has("level") else own).level)
    state.set("stage", [*own.stage, *wanted.stage])
    return _select(reading, state, "keep")


def _text_of(path_or_text: str | os.PathLike[str]) -> tuple[str, str]:
    if isinstance(path_or_text, str) and ("\n" in path_or_text or "{" in path_or_text):
        return path_or_text, "<text>"
    path = Path(path_or_text)
    return read_text(path), str(path)


def _layer_spec(layer: Message) -> LayerSpec:
    params = tuple(ParamSpec(p.name, p.lr_mult, p.decay_mult, p.share_mode) for p in layer.param)
    return LayerSpec(
        name=layer.name,
        type=layer.type if layer.has("type") else "",
        bottoms=tuple(layer.bottom),
        tops=tuple(layer.top),
        params=params,
        loss_weights=tuple(layer.loss_weight),
        propagate_down=tuple(layer.propagate_down),
        message=layer,
        where=layer.where,
    )
