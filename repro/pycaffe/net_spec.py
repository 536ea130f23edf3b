"""Nets written in Python: `layers as L`, `params as P`, `NetSpec`, `to_proto`.

The text of ``str(n.to_proto())`` is the one Caffe gives. Source: `net_spec.py` of BVLC Caffe 1.0.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Any

from repro.caffe.schema import schema
from repro.pycaffe.proto import caffe_pb2
from repro.pycaffe.proto.message import ProtoMessage, inner

Names = dict[Any, str]


def _option_fields() -> dict[str, str]:
    """Layer type -> the field with its options: Convolution -> convolution_param."""
    fields = schema("bvlc").message("LayerParameter").fields.values()
    return {f.type_name.removesuffix("Parameter"): f.name for f in fields if f.name.endswith("_param")}


OPTION_FIELDS = _option_fields()


class Top:
    """One output blob of a layer."""

    def __init__(self, fn: Function, n: int) -> None:
        self.fn = fn
        self.n = n

    def to_proto(self) -> ProtoMessage:
        """The net that computes this blob, names made up."""
        return to_proto(self)

    def _to_proto(self, layers: OrderedDict[Any, ProtoMessage], names: Names, counts: Counter[str]) -> None:
        self.fn._to_proto(layers, names, counts)


class Function:
    """One layer: its type, the Tops it reads and its settings (`ntop`, `in_place`, and fields of its message)."""

    def __init__(self, type_name: str, inputs: Iterable[Top], params: dict[str, Any]) -> None:
        self.type_name = type_name
        self.inputs = tuple(inputs)
        for given in self.inputs:
            if not isinstance(given, Top):
                raise TypeError(f"{type_name} layer: input {given!r} is no Top (one blob of a layer)")
        self.params = dict(params)
        self.ntop = int(self.params.pop("ntop", 1))
        self.in_place = bool(self.params.pop("in_place", False))
        self.tops = tuple(Top(self, n) for n in range(self.ntop))

    def _name(self, names: Names, counts: Counter[str]) -> str:
        if self not in names and self.ntop > 0:
            names[self] = self._top_name(self.tops[0], names, counts)
        elif self not in names:
            counts[self.type_name] += 1
            names[self] = f"{self.type_name}{counts[self.type_name]}"
        return names[self]

    def _top_name(self, top: Top, names: Names, counts: Counter[str]) -> str:
        if top not in names:
            counts[self.type_name] += 1
            names[top] = f"{self.type_name}{counts[self.type_name]}"
        return names[top]

    def _to_proto(self, layers: OrderedDict[Any, ProtoMessage], names: Names, counts: Counter[str]) -> None:
        if self in layers:
            return
        bottoms = []
        for given in self.inputs:
            given._to_proto(layers, names, counts)
            bottoms.append(layers[given.fn].top[given.n])
        layer = caffe_pb2.LayerParameter()
        layer.type = self.type_name
        layer.bottom.extend(bottoms)
        if self.in_place:
            layer.top.extend(layer.bottom)
        else:
            for top in self.tops:
                layer.top.append(self._top_name(top, names, counts))
        layer.name = self._name(names, counts)
        for key, value in self.params.items():
            options = OPTION_FIELDS.get(self.type_name)
            known = schema("bvlc").message(f"{self.type_name}Parameter").fields if options else {}
            # a field of the message with the type's options, or of the layer itself
            own = options is not None and key in known and not key.endswith("param")
            _assign(getattr(layer, options) if own and options else layer, key, value)
        layers[self] = layer


class NetSpec:
    """A net whose attributes are its named Tops: ``n.conv1 = L.Convolution(n.data, ...)``."""

    tops: OrderedDict[str, Top]

    def __init__(self) -> None:
        super().__setattr__("tops", OrderedDict())

    def __setattr__(self, name: str, value: Top) -> None:
        self.tops[name] = value

    def __getattr__(self, name: str) -> Top:
        if name.startswith("__") or name == "tops":
            raise AttributeError(name)
        if name not in self.tops:
            raise AttributeError(f"the net has no blob '{name}' yet")
        return self.tops[name]

    def __setitem__(self, name: str, value: Top) -> None:
        setattr(self, name, value)

    def __getitem__(self, name: str) -> Top:
        return getattr(self, name)

    def __delattr__(self, name: str) -> None:
        del self.tops[name]

    __delitem__ = __delattr__

    def to_proto(self) -> ProtoMessage:
        """The net as a NetParameter."""
        return _net(self.tops.values(), {top: name for name, top in self.tops.items()})


def to_proto(*tops: Top) -> ProtoMessage:
    """The NetParameter with all layers that these blobs need; names are made up."""
    return _net(tops, {})


def _net(tops: Iterable[Top], names: Names) -> ProtoMessage:
    layers: OrderedDict[Any, ProtoMessage] = OrderedDict()
    counts: Counter[str] = Counter()
    for top in tops:
        top._to_proto(layers, names, counts)
    net = caffe_pb2.NetParameter()
    net.layer.extend(layers.values())
    return net


def _assign(message: ProtoMessage, name: str, value: Any) -> None:
    """Sets a field from what Python scripts write: values, lists, dicts of fields, lists of dicts."""
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, list):
        target = getattr(message, name)
        if value and isinstance(value[0], dict):
            for entry in value:
                made = target.add()
                for key, inside in entry.items():
                    _assign(made, key, inside)
        else:
            target.extend(value)
    elif isinstance(value, dict) and inner(message).field(name).repeated:
        _assign(message, name, [value])
    elif isinstance(value, dict):
        for key, inside in value.items():
            _assign(getattr(message, name), key, inside)
    else:
        # a single value for a repeated field (kernel_size, pad, stride, dilation)
        if inner(message).field(name).repeated:
            getattr(message, name).append(value)
        else:
            setattr(message, name, value)


class Layers:
    """`L.Convolution(bottom, ...)`: a layer of any type; its Top, or a tuple of them where `ntop` is not 1."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def layer(*bottoms: Top, **settings: Any) -> Any:
            made = Function(name, bottoms, settings)
            return made if made.ntop == 0 else made.tops[0] if made.ntop == 1 else made.tops

        return layer


class _Values:
    def __init__(self, kind: type[ProtoMessage]) -> None:
        self._kind = kind

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._kind, name)


class Parameters:
    """`P.Pooling.MAX`: the values of a layer type's enums."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Values(getattr(caffe_pb2, f"{name}Parameter"))


layers = Layers()
params = Parameters()
