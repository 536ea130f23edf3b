"""Makes tests/golden/data/solver_bvlc: ten iterations of every update of BVLC Caffe 1.0, and snapshots it wrote.

python3.8 -m venv caffe && caffe/bin/pip install "kendryte-caffe==1.0.0.20210829" "protobuf<3.21"
OPENBLAS_CORETYPE=Haswell OPENBLAS_NUM_THREADS=1 LD_PRELOAD=./blas.so caffe/bin/python tests/golden/make_bvlc_solver.py

That package carries an OpenBLAS of 2020, whose saxpy ends otherwise than today's; blas.so puts NumPy's in its place,
the one the exact tier calls: `python tests/golden/make_bvlc_solver.py blas` (in this project's environment) makes it.

With `resume CASE.solverstate …` it goes on from given states to iteration 10 instead and writes parameters and
histories beside them, CASE.npz.
"""

# ruff: noqa: UP031, B905  (Python 3.8)
import os
import subprocess
import sys
import tempfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "data", "solver_bvlc")
sys.path.insert(0, HERE)

import bvlc_solver_cases as cases  # noqa: E402

LAYERS = """import bvlc_solver_cases as cases
import caffe


class Rows(caffe.Layer):
    def setup(self, bottom, top):
        self.data, self.label = cases.rows()
        self.at = 0

    def reshape(self, bottom, top):
        top[0].reshape(cases.BATCH, *self.data.shape[1:])
        top[1].reshape(cases.BATCH, *self.label.shape[1:])

    def forward(self, bottom, top):
        top[0].data[...] = self.data[self.at : self.at + cases.BATCH]
        top[1].data[...] = self.label[self.at : self.at + cases.BATCH]
        self.at = (self.at + cases.BATCH) % cases.ROWS

    def backward(self, top, propagate_down, bottom):
        pass
"""
# cblas function -> its arguments; i are BLAS integers, e enumerations, f floats, p arrays
CALLS = {
    "sgemm": "eeeiiifpipifpi", "sgemv": "eeiifpipifpi", "saxpy": "ifpipi", "sscal": "ifpi", "sasum": "ipi",
    "sdot": "ipipi", "scopy": "ipipi",
}  # fmt: skip
VALUED = ("sasum", "sdot")


def blas():
    """Compiles blas.so, which hands Caffe's BLAS calls to NumPy's library."""
    core = getattr(np, "_core", None) or np.core
    with open("/proc/self/maps") as maps:
        assert core is not None
        library = next(line.split()[-1] for line in maps if "numpy" in line and "openblas" in line)
    kinds = {"i": ("int", "long"), "e": ("int", "int"), "f": ("float", "float"), "p": ("const void*", "const void*")}
    # opened by itself: Caffe's own OpenBLAS has inner functions of the same names
    text = "#define _GNU_SOURCE\n#include <dlfcn.h>\nstatic void* library;\n"
    text += (
        '__attribute__((constructor)) static void open_it(void) { library = dlopen("%s", RTLD_NOW | RTLD_LOCAL); }\n'
    )
    text %= library
    for name, arguments in CALLS.items():
        result = "float" if name in VALUED else "void"
        own = ", ".join("%s a%d" % (kinds[kind][0], at) for at, kind in enumerate(arguments))
        theirs = ", ".join(kinds[kind][1] for kind in arguments)
        given = ", ".join("a%d" % at for at in range(len(arguments)))
        text += "%s cblas_%s(%s) { static %s (*call)(%s); if (!call) *(void**)&call = " % (
            result, name, own, result, theirs,
        )  # fmt: skip
        text += 'dlsym(library, "scipy_cblas_%s64_"); %scall(%s); }\n' % (name, "return " * (name in VALUED), given)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "blas.c")
        with open(path, "w") as file:
            file.write(text)
        subprocess.check_call(["cc", "-O1", "-shared", "-fPIC", path, "-ldl", "-o", "blas.so"])


def parameters(net):
    return [blob for name in net.params for blob in net.params[name]]


def flat(arrays):
    return np.concatenate([np.asarray(array, np.float32).ravel() for array in arrays])


def history(path):
    from caffe.proto import caffe_pb2

    state = caffe_pb2.SolverState()
    with open(path, "rb") as file:
        state.ParseFromString(file.read())
    return flat([blob.data for blob in state.history])


def get_solver(caffe, name):
    with open("solver.prototxt", "w") as file:
        file.write(cases.solver(name))
    return caffe.get_solver("solver.prototxt")


def resume(caffe, state):
    name = os.path.basename(state).split("_iter_")[0]
    solver = get_solver(caffe, name)
    for _ in range(5):
        # moves the data on to where iteration 6 finds them
        solver.net.forward()
    solver.restore(state)
    solver.step(5)
    solver.snapshot()
    found = flat([blob.data for blob in parameters(solver.net)])
    kept = history("%s_iter_10.solverstate" % name)
    np.savez(os.path.join(os.path.dirname(state), name + ".npz"), param=found, history=kept)


def run(caffe, name):
    solver = get_solver(caffe, name)
    blobs = parameters(solver.net)
    for blob, values in zip(blobs, cases.weights([tuple(blob.data.shape) for blob in blobs])):
        blob.data[...] = values
    found = {"loss": [], "param": [], "history": []}
    for iteration in range(1, 11):
        solver.step(1)
        found["loss"].append(float(solver.net.blobs["loss"].data))
        if iteration in cases.STORED:
            solver.snapshot()
            found["param"].append(flat([blob.data for blob in blobs]))
            found["history"].append(history("%s_iter_%d.solverstate" % (name, iteration)))
    return {"%s/%s" % (name, key): np.array(values, np.float32) for key, values in found.items()}


def main(states):
    import caffe

    states = [os.path.abspath(state) for state in states]
    os.chdir(tempfile.mkdtemp())
    sys.path.insert(0, os.getcwd())
    for name, text in (("net.prototxt", cases.DATA["caffe"] + cases.NET), ("bvlc_solver_layers.py", LAYERS)):
        with open(name, "w") as file:
            file.write(text)
    for state in states:
        resume(caffe, state)
    if states:
        return
    os.makedirs(OUT, exist_ok=True)
    found = {}
    for name in cases.SOLVERS:
        found.update(run(caffe, name))
    np.savez_compressed(os.path.join(OUT, "runs.npz"), **found)
    for name in cases.SNAPSHOTS:
        for suffix in ("caffemodel", "solverstate"):
            stored = "%s_iter_5.%s" % (name, suffix)
            with open(stored, "rb") as file, open(os.path.join(OUT, stored), "wb") as copy:
                copy.write(file.read())


if __name__ == "__main__":
    blas() if sys.argv[1:] == ["blas"] else main(sys.argv[2:] if sys.argv[1:2] == ["resume"] else [])
