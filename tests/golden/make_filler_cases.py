"""Makes tests/golden/data/fillers_bvlc.npz with BVLC Caffe's Python (kendryte-caffe 1.0.0.20210829, Python 3.8)."""

import os
import sys
import tempfile

import caffe
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import filler_cases as cases  # noqa: E402

if __name__ == "__main__":
    found = {}
    path = os.path.join(tempfile.mkdtemp(), "net.prototxt")
    for name in cases.CASES:
        with open(path, "w") as file:
            file.write(cases.net(name))
        caffe.set_random_seed(cases.SEED)
        values = caffe.Net(path, caffe.TEST).params["c"][0].data
        if name.endswith("_long"):
            values = np.concatenate([values.ravel()[: cases.ENDS], values.ravel()[-cases.ENDS :]])
        found[name] = values.copy()
    os.chdir(os.path.join(HERE, "data", "feeds_bvlc"))
    for name in cases.DATA:
        text, phase = cases.whole(name)
        with open(path, "w") as file:
            file.write(text)
        caffe.set_random_seed(cases.SEED)
        net = caffe.Net(path, getattr(caffe, phase))
        found["whole_" + name] = np.concatenate([blob.data.ravel() for key in net.params for blob in net.params[key]])
    if os.path.exists("pixels.mdb/lock.mdb"):
        os.remove("pixels.mdb/lock.mdb")
    np.savez_compressed(os.path.join(HERE, "data", "fillers_bvlc.npz"), **found)
