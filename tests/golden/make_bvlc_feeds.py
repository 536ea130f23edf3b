"""Makes tests/golden/data/feeds_bvlc: inputs of HDF5Data and ImageData layers, and what BVLC Caffe reads from them.

python tests/golden/make_bvlc_feeds.py inputs       here
python tests/golden/make_bvlc_feeds.py databases    here, with the package lmdb
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
DATABASE = 'data_param { source: "%s.mdb" backend: LMDB batch_size: 4 %s } transform_param { %s }'
DATABASES = {
    "lmdb": LAYER % ("Data", DATABASE % ("pixels", "", "")),
    "lmdb_crop": LAYER % ("Data", DATABASE % ("pixels", "", "crop_size: 20 mean_value: 100.5 scale: 0.017")),
    "lmdb_encoded": LAYER % ("Data", DATABASE % ("encoded", "force_encoded_color: true", "scale: 0.5")),
    "lmdb_float": LAYER % ("Data", DATABASE % ("floats", "", "mean_value: 0.25 scale: 3")),
    "lmdb_deep": LAYER % ("Data", DATABASE % ("deep", "", "")),
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


def databases() -> None:
    """Values in overflow pages, in leaves, and enough of them for pages of branches."""
    import cv2
    import lmdb

    from repro.caffe.datum import write_datum

    draw = np.random.default_rng(4)
    pictures = draw.integers(0, 256, (5, 3, 30, 40)).astype(np.uint8)
    encoded = [cv2.imencode(".png", picture.transpose(1, 2, 0)[:12, :10])[1].tobytes() for picture in pictures]
    # fields data, label and encoded of a Datum
    packed = [b"\x22" + _varint(len(e)) + e + b"\x28\x07\x38\x01" for e in encoded]
    found = {
        "pixels": [write_datum(picture, 2 * k) for k, picture in enumerate(pictures)],
        "encoded": packed,
        "floats": [write_datum(draw.standard_normal((2, 5, 4)).astype(np.float32), k) for k in range(5)],
        "deep": [write_datum(np.full((1, 1, 1), k % 251, np.uint8), k) for k in range(3000)],
    }
    for name, values in found.items():
        with lmdb.open(f"{name}.mdb", map_size=1 << 26, lock=False) as file, file.begin(write=True) as put:
            for k, value in enumerate(values):
                put.put(b"%08d_picture.png" % k, value)
    for name, text in DATABASES.items():
        Path(f"{name}.prototxt").write_text(text)


def _varint(number: int) -> bytes:
    return bytes([number & 0x7F | 0x80, number >> 7]) if number > 0x7F else bytes([number])


def caffe() -> None:
    import caffe as original

    for name in {**NETS, **DATABASES}:
        net = original.Net(f"{name}.prototxt", original.TEST)
        blobs = {}
        for batch in range(BATCHES):
            net.forward()
            blobs.update({f"{batch}__{key}": blob.data.copy() for key, blob in net.blobs.items()})
        np.savez_compressed(f"{name}.npz", **blobs)
    for lock in Path().glob("*.mdb/lock.mdb"):
        lock.unlink()


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    os.chdir(FOLDER)
    {"inputs": inputs, "databases": databases, "caffe": caffe}[sys.argv[1]]()
