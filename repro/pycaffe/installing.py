"""`install()`: scripts and Python layers that say `import caffe` get this package."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import Any

_PARTS = ("io", "net_spec", "coord_map", "classifier", "detector", "proto", "proto.caffe_pb2")


def install() -> None:
    """Register this package as `caffe`, its parts included, in this process.

    `google.protobuf.text_format` then also takes the messages of `caffe.proto.caffe_pb2`; where protobuf is not
    installed, a stand-in with that function takes its place.
    """
    package = importlib.import_module("repro.pycaffe")
    sys.modules["caffe"] = package
    for part in _PARTS:
        sys.modules[f"caffe.{part}"] = importlib.import_module(f"repro.pycaffe.{part}")
    sys.modules["caffe.pycaffe"] = package
    _teach_text_format()


def _teach_text_format() -> None:
    from repro.pycaffe.proto import text_format as ours
    from repro.pycaffe.proto.message import ProtoMessage

    if "google.protobuf" in sys.modules or _found("google.protobuf"):
        theirs = importlib.import_module("google.protobuf.text_format")
        for name in ("Merge", "Parse", "MessageToString", "PrintMessage"):
            original = getattr(theirs, name, None)
            if original is not None and not hasattr(original, "_repro"):
                setattr(theirs, name, _either(original, getattr(ours, name), ProtoMessage))
        return
    google, protobuf = types.ModuleType("google"), types.ModuleType("google.protobuf")
    google.protobuf, protobuf.text_format = protobuf, ours  # type: ignore[attr-defined]
    sys.modules.setdefault("google", google)
    sys.modules["google.protobuf"] = protobuf
    sys.modules["google.protobuf.text_format"] = ours


def _found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _either(original: Any, ours: Any, kind: type) -> Any:
    def call(*arguments: Any, **options: Any) -> Any:
        chosen = ours if any(isinstance(a, kind) for a in (*arguments, *options.values())) else original
        return chosen(*arguments, **options)

    call._repro = True  # type: ignore[attr-defined]
    return call
