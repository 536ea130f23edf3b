"""One reading of one weights file in a process of its own; prints what it took as JSON. Called by read_model.py.

    python read_model_worker.py READER PROTOTXT CAFFEMODEL

Imports nothing before it knows its reader, because each peer lives in an environment of its own. ``seconds`` is from
the file's name to every parameter's values at hand (one value of every page is read); imports are timed apart.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Read = Callable[[str, str], list[Any]]


def net() -> Read:
    """Ours: an nn.Module with its parameters."""
    from repro.net import Net

    return lambda prototxt, model: [p.detach().numpy() for p in Net(prototxt, model).parameters()]


def bare() -> Read:
    """Ours: the file's arrays alone."""
    from repro.caffe import read_caffemodel

    return lambda _, model: [blob.array for layer in read_caffemodel(model).layers for blob in layer.blobs]


def opencv() -> Read:
    """OpenCV's importer; its parameters are where its layers can use them when it returns."""
    import cv2

    def read(prototxt: str, model: str) -> list[Any]:
        net = cv2.dnn.readNetFromCaffe(prototxt, model)
        net.getLayerNames()
        return []

    return read


def protobuf() -> Read:
    """Google's parser alone: the values are in its messages, not yet in arrays."""
    parse = _protobuf()
    return lambda _, model: [parse(model)][:0]


def protobuf_arrays() -> Read:
    """Google's parser, and its values in NumPy arrays as pycaffe's users take them."""
    import numpy as np

    parse = _protobuf()

    def read(_: str, model: str) -> list[Any]:
        message = parse(model)
        return [np.array(blob.data, np.float32) for layer in [*message.layers, *message.layer] for blob in layer.blobs]

    return read


def _protobuf() -> Callable[[str], Any]:
    """The part of Caffe's schema that holds weights, as a parser of files."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="weights.proto", package="weights", syntax="proto2")
    messages: dict[str, list[tuple[str, int, Any, bool]]] = {
        "BlobShape": [("dim", 1, kinds.TYPE_INT64, True)],
        "BlobProto": [
            *((axis, number, kinds.TYPE_INT32, False) for number, axis in enumerate(("n", "c", "h", "w"), 1)),
            ("data", 5, kinds.TYPE_FLOAT, True),
            ("shape", 7, "BlobShape", False),
        ],
        "V1Layer": [("name", 4, kinds.TYPE_STRING, False), ("blobs", 6, "BlobProto", True)],
        "Layer": [("name", 1, kinds.TYPE_STRING, False), ("blobs", 7, "BlobProto", True)],
        "Net": [("layers", 2, "V1Layer", True), ("layer", 100, "Layer", True)],
    }
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            made = message.field.add(name=field, number=number)
            made.label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            if isinstance(kind, str):
                made.type, made.type_name = kinds.TYPE_MESSAGE, f".weights.{kind}"
            else:
                made.type = kind
                made.options.packed = repeated
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    net = message_factory.GetMessageClass(pool.FindMessageTypeByName("weights.Net"))

    def parse(model: str) -> Any:
        message = net()
        message.ParseFromString(Path(model).read_bytes())
        return message

    return parse


def fresh_memory() -> Read:
    """No reader: as many bytes of new memory as the file has, written to once; no reader that copies is faster."""
    import numpy as np

    return lambda _, model: [np.ones(Path(model).stat().st_size, np.uint8)]


READERS = {f.__name__: f for f in (net, bare, opencv, protobuf, protobuf_arrays, fresh_memory)}


def memory(field: str) -> float:
    """Resident megabytes now (VmRSS) or at most so far (VmHWM)."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))


def main() -> None:
    reader, prototxt, model = sys.argv[1:]
    began = time.perf_counter()
    read = READERS[reader]()
    imported, before, busy = time.perf_counter(), memory("VmRSS"), time.process_time()
    arrays = read(prototxt, model)
    for array in arrays:
        array.reshape(-1)[::1024].sum()
    done = time.perf_counter()
    result = {
        "seconds": done - imported,
        "cpu_seconds": time.process_time() - busy,
        "import_seconds": imported - began,
        "peak_mb": memory("VmHWM"),
        "peak_mb_beyond_imports": memory("VmHWM") - before,
        "blobs": len(arrays),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
