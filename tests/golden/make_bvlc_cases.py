"""How tests/golden/data/bvlc/*.npz were made: one-layer nets run by BVLC Caffe 1.0 itself.

Not part of the test run, and not of this project's environment. To repeat it, in a folder of its own:

    python3.8 -m venv caffe && caffe/bin/pip install "kendryte-caffe==1.0.0.20210829" "protobuf<3.21"
    OPENBLAS_NUM_THREADS=1 caffe/bin/python tests/golden/make_bvlc_cases.py

Every file holds: `prototxt` and `phase` (text); `in__BLOB` what was fed; `param__LAYER__I` the parameters; `out__BLOB`
every top; `topdiff__BLOB` the gradient fed to each output (losses: their own weight); `bdiff__BLOB` that of each input;
 `pdiff__LAYER__I` of each parameter; `after__LAYER__I` parameters that the forward pass itself changed. Inputs
are drawn from numpy's RandomState with the case's own seed.
"""

# ruff: noqa: UP031  (Python 3.8, and the braces of the texts)
import os
import sys
import tempfile
import zlib

import numpy as np
from bvlc_cases import CASES, elementwise, losses, normalisation, recurrent, rows, shapes, windows

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "bvlc")


def drawn(random, shape, kind):
    if isinstance(kind, int):
        return random.randint(0, kind, shape).astype(np.float32)
    if kind in ("begins", "goes_on"):
        values = np.ones(shape, np.float32)
        values[0] = kind == "goes_on"
        values[2, 1] = 0
        return values
    if kind == "all_3":
        return np.full(shape, 3, np.float32)
    values = random.standard_normal(shape).astype(np.float32)
    if kind == "positive":
        return np.abs(values) + np.float32(0.1)
    if kind == "probability":
        return (1 / (1 + np.exp(-values))).astype(np.float32)
    return values


def run(caffe, name, inputs, text, phase, kinds, backward):
    random = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF)
    head = "force_backward: true\n" if backward is True else ""
    for blob, shape in inputs.items():
        head += 'input: "%s" input_shape { %s }\n' % (blob, " ".join("dim: %d" % d for d in shape))
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as handle:
        handle.write(head + text)
        handle.flush()
        net = caffe.Net(handle.name, getattr(caffe, phase))
    stored = {"prototxt": np.array(head + text), "phase": np.array(phase)}
    for key, blobs in net.params.items():
        for at, blob in enumerate(blobs):
            if kinds.get("blobs", "").startswith("batchnorm"):
                blob.data[...] = np.abs(drawn(random, blob.data.shape, None)) + (1 if at else 0)
                if at == 2 and kinds["blobs"] == "batchnorm_zero":
                    blob.data[...] = 0
            else:
                blob.data[...] = drawn(random, blob.data.shape, None)
            blob.diff[...] = 0
            stored["param__%s__%d" % (key, at)] = blob.data.copy()
    for blob, shape in inputs.items():
        net.blobs[blob].data[...] = drawn(random, shape, kinds.get(blob))
        stored["in__" + blob] = net.blobs[blob].data.copy()
    net.forward()
    tops = [t for t in net.blobs if t not in inputs and "_split_" not in t]
    for top in tops:
        stored["out__" + top] = net.blobs[top].data.copy()
    for key, blobs in net.params.items():
        for at, blob in enumerate(blobs):
            if not np.array_equal(blob.data, stored["param__%s__%d" % (key, at)]):
                stored["after__%s__%d" % (key, at)] = blob.data.copy()
    if backward:
        loss = "Loss" in text
        for top in net.outputs:
            if not loss:
                net.blobs[top].diff[...] = drawn(random, net.blobs[top].data.shape, None)
                stored["topdiff__" + top] = net.blobs[top].diff.copy()
        net.backward()
        for blob in inputs if backward is True else ():
            if kinds.get(blob) in (None, "positive", "probability") and blob not in ("label", "h", "cont"):
                stored["bdiff__" + blob] = net.blobs[blob].diff.copy()
        for key, blobs in net.params.items():
            for at, blob in enumerate(blobs):
                stored["pdiff__%s__%d" % (key, at)] = blob.diff.copy()
    np.savez_compressed(os.path.join(OUT, name + ".npz"), **stored)


def main():
    import caffe

    caffe.set_mode_cpu()
    if not os.path.isdir(OUT):
        os.makedirs(OUT)
    for group in (elementwise, normalisation, shapes, windows, rows, recurrent, losses):
        group()
    chosen = sys.argv[1:] or sorted(CASES)
    for name in chosen:
        print(name)
        sys.stdout.flush()
        # a net that Caffe refuses ends the process; a child of its own keeps the others going
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2) if not sys.argv[1:] else None
            run(caffe, name, *CASES[name])
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            print("  REFUSED by Caffe: " + name)


if __name__ == "__main__":
    main()
