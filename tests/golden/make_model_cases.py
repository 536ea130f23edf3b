"""How tests/golden/data/models/*.npz were made: real models run by BVLC Caffe 1.0 and by OpenCV 4.14's importer.

Not part of the test run, and not of this project's environment. Each in an environment of its own:

    OPENBLAS_NUM_THREADS=1 caffe/bin/python tests/golden/make_model_cases.py bvlc MODELS
    cv/bin/python tests/golden/make_model_cases.py opencv MODELS

The first is that of make_bvlc_cases.py, the second has opencv-contrib-python-headless==4.14.0.94. MODELS is the folder
of real models. `bvlc__NAME.npz` holds the CRC-32 of the bytes of every top after its layer (`crc__LAYER__BLOB`) and the
outputs; `opencv__NAME.npz` the outputs. The inputs are drawn by `image` here.
"""

# ruff: noqa: B905, UP031  (Python 3.8)
import os
import sys
import tempfile
import zlib

import numpy as np

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "models")
# name: (prototxt, weights, shape, factor, words changed in the prototxt)
MODELS = {
    "squeezenet": ("squeezenet_v1.1/squeezenet_v1.1", None, (1, 3, 227, 227), 1, {}),
    "mtcnn_det1": ("mtcnn/det1", None, (1, 3, 12, 12), 0.0078125, {}),
    "mtcnn_det2": ("mtcnn/det2", None, (1, 3, 24, 24), 0.0078125, {}),
    "mtcnn_det3": ("mtcnn/det3", None, (1, 3, 48, 48), 0.0078125, {}),
    "lenet": ("lenet_old/lenet", "lenet_old/lenet_iter_10000.caffemodel", (64, 1, 28, 28), 0.0078125, {}),
    "cifar10_quick": (
        "cifar10_quick_old/cifar10_quick",
        "cifar10_quick_old/cifar10_quick_iter_4000.caffemodel",
        (1, 3, 32, 32),
        1,
        {},
    ),
    "cifar10_h5": (
        "cifar10_quick_old/cifar10_quick",
        "cifar10_full_h5/cifar10_quick_iter_5000.caffemodel.h5",
        (1, 3, 32, 32),
        1,
        {},
    ),
    "mobilenet_yolo": (
        "mobilenet_yolo_tusimple/mobilenet_yolov3_lite_deploy",
        "mobilenet_yolo_tusimple/mobilenet_yolov3_lite_deploy_iter_50000.caffemodel",
        (1, 3, 512, 512),
        1,
        # grouped convolution by its other name
        {"DepthwiseConvolution": "Convolution"},
    ),
    "res10_ssd": (
        "res10_ssd_face_fp16/deploy",
        "res10_ssd_face_fp16/res10_300x300_ssd_iter_140000_fp16.caffemodel",
        (1, 3, 300, 300),
        1,
        {},
    ),
    "retinaface": (
        "retinaface_mb/deploy",
        "retinaface_mb/Widerface-RetinaFace.caffemodel",
        (1, 3, 640, 640),
        1,
        # so low that an image without a face has something to find
        {"confidence_threshold: 0.1": "confidence_threshold: 0.03"},
    ),
}


def image(shape, factor):
    """Blocks of eight pixels and noise, in the range of an image minus its mean, times the factor."""
    random = np.random.RandomState(5)
    n, c, h, w = shape
    blocks = random.uniform(-110, 140, (n, c, -(-h // 8), -(-w // 8)))
    x = np.repeat(np.repeat(blocks, 8, 2), 8, 3)[:, :, :h, :w] + random.normal(0, 5, shape)
    return np.ascontiguousarray(x * factor, np.float32)


def text(folder, name):
    """The prototxt as it is run."""
    with open(os.path.join(folder, MODELS[name][0] + ".prototxt")) as handle:
        words = handle.read()
    for old, new in MODELS[name][4].items():
        words = words.replace(old, new)
    return words


def weights(folder, name):
    """Path of the weights."""
    return os.path.join(folder, MODELS[name][1] or MODELS[name][0] + ".caffemodel")


def run_bvlc(folder, name, path):
    import caffe

    caffe.set_mode_cpu()
    net = caffe.Net(path, weights(folder, name), caffe.TEST)
    (given,) = net.inputs or ("data",)
    net.blobs[given].reshape(*MODELS[name][2])
    net.reshape()
    net.blobs[given].data[...] = image(*MODELS[name][2:4])
    stored = {}
    for at, layer in enumerate(net._layer_names):
        net._forward(at, at)
        if net.layers[at].type in ("Input", "Split"):
            continue
        for top in net._top_ids(at):
            blob = net._blob_names[top]
            data = np.ascontiguousarray(net.blobs[blob].data)
            stored["crc__%s__%s" % (layer, blob)] = np.uint32(zlib.crc32(data.tobytes()) & 0xFFFFFFFF)
    stored.update({"out__" + blob: net.blobs[blob].data.copy() for blob in net.outputs})
    return stored


def run_opencv(folder, name, path):
    import cv2

    net = cv2.dnn.readNetFromCaffe(path, weights(folder, name))
    net.setInput(image(*MODELS[name][2:4]))
    names = net.getUnconnectedOutLayersNames()
    found = dict(zip(names, net.forward(names)))
    # OpenCV fills its table of detections up with zeros
    for key in (k for k in found if k.startswith("detection")):
        found[key] = found[key][:, :, found[key][0, 0, :, 2] > 0]
    return {"out__" + key: value for key, value in found.items()}


def main():
    kind, folder = sys.argv[1:3]
    if not os.path.isdir(OUT):
        os.makedirs(OUT)
    for name in sys.argv[3:] or sorted(MODELS):
        # what refuses a net ends the process; a child of its own keeps the others going
        child = os.fork()
        if child == 0:
            with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as handle:
                handle.write(text(folder, name))
                handle.flush()
                stored = (run_bvlc if kind == "bvlc" else run_opencv)(folder, name, handle.name)
            stored = {key.replace("/", "|"): value for key, value in stored.items()}
            np.savez_compressed(os.path.join(OUT, "%s__%s.npz" % (kind, name)), **stored)
            os._exit(0)
        print(name, "REFUSED" if os.waitpid(child, 0)[1] else "stored")


if __name__ == "__main__":
    main()
