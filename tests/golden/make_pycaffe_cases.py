"""How tests/golden/data/pycaffe.npz was made: `pycaffe_script.py` run by BVLC Caffe 1.0's own pycaffe.

Not part of the test run, and not of this project's environment. To repeat it, in a folder of its own:

    python3.8 -m venv caffe && caffe/bin/pip install "kendryte-caffe==1.0.0.20210829" "protobuf<3.21"
    OPENBLAS_CORETYPE=Haswell OPENBLAS_NUM_THREADS=1 caffe/bin/python tests/golden/make_pycaffe_cases.py
"""

import os
import sys
import tempfile

import caffe
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import pycaffe_script  # noqa: E402

if __name__ == "__main__":
    folder = tempfile.mkdtemp()
    sys.path.insert(0, folder)
    np.savez_compressed(os.path.join(HERE, "data", "pycaffe.npz"), **pycaffe_script.run(caffe, folder))
