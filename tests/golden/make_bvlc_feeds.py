"""Makes tests/golden/data/feeds_bvlc: inputs of HDF5Data and ImageData layers, and what BVLC Caffe reads from them.

python tests/golden/make_bvlc_feeds.py inputs       here
python tests/golden/make_bvlc_feeds.py caffe        with Caffe's Python (kendryte-caffe 1.0.0.20210829, Python 3.8)
"""

import os
import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent / "data" / "feeds_bvlc"
LAYER = 'name: "n"\nlayer { name: "d" type: "%s" top: "data" top: "label" %s }\n'
IMAGES = (
    'image_data_param { source: "images.txt" batch_size: 3 new_height: 13 new_width: 15 %s } transform_param { %s }'
)
NETS = {
    "hdf5": LAYER % ("HDF5Data", 'hdf5_data_param { source: "list.txt" batch_size: 3 }'),
    "image": LAYER
    % ("ImageData", IMAGES % ("", "mean_value: 104.007 mean_value: 116.669 mean_value: 123 scale: 0.017")),
    "image_crop": LAYER % ("ImageData", IMAGES % ("", "crop_size: 10 mean_value: 100.5")),
    "image_gray": LAYER % ("ImageData", IMAGES % ("is_color: false", "scale: 0.00390625")),
    "image_mean": LAYER % ("ImageData", IMAGES % ("", 'crop_size: 8 mean_file: "mean.binaryproto" scale: 0.3')),
}
BATCHES = 4


def inputs() -> None:
    import cv2
    import h5py

    from repro.caffe import write_binaryproto

    draw = np.random.default_rng(3)
    for k, rows in enumerate((3, 5)):
        with h5py.File(f"{k}.h5", "w") as file:
            file["data"] = draw.standard_normal((rows, 2, 3, 4)).astype((np.float32, np.float64)[k])
            file["label"] = draw.integers(0, 9, rows)
    Path("list.txt").write_text("0.h5\n1.h5\n")
    names = [f"picture {k}.png" for k in range(4)]
    for k, name in enumerate(names):
        cv2.imwrite(name, draw.integers(0, 256, (20 + k, 30 - k, 3)).astype(np.uint8))
    Path("images.txt").write_text("".join(f"{name} {3 * k}\n" for k, name in enumerate(names)))
    write_binaryproto("mean.binaryproto", draw.uniform(0, 255, (1, 3, 13, 15)).astype(np.float32))
    for name, text in NETS.items():
        Path(f"{name}.prototxt").write_text(text)


def caffe() -> None:
    import caffe as original

    for name in NETS:
        net = original.Net(f"{name}.prototxt", original.TEST)
        blobs = {}
        for batch in range(BATCHES):
            net.forward()
            blobs.update({f"{batch}__{key}": blob.data.copy() for key, blob in net.blobs.items()})
        np.savez_compressed(f"{name}.npz", **blobs)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    os.chdir(FOLDER)
    {"inputs": inputs, "caffe": caffe}[sys.argv[1]]()
