"""HDF5Data and ImageData: order, resuming, and what is wrong with their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from repro.caffe import load_net
from repro.data.feeds import Feed, open_feeds
from repro.errors import DataError, FormatError, InputError, ReproError
from repro.solver.build import build_solver

h5py = pytest.importorskip("h5py", reason="HDF5Data needs the package h5py")

HDF5 = (
    'layer { name: "d" type: "HDF5Data" top: "data" top: "label" hdf5_data_param { source: "list" batch_size: 4 %s } }'
)
IMAGE = """layer { name: "d" type: "ImageData" top: "data" top: "label"
  image_data_param { source: "list" batch_size: 2 %s } transform_param { %s } }"""


@pytest.fixture
def open_in(tmp_path: Path) -> Callable[..., Feed]:
    def opened(text: str, phase: str = "TRAIN", seed: int = 1, workers: int = 0) -> Feed:
        (feed,) = open_feeds(load_net(text, phase=phase), seed, root=tmp_path, workers=workers)
        return feed

    return opened


def hdf5_files(folder: Path) -> None:
    start = 0
    for k, rows in enumerate((3, 5, 2)):
        with h5py.File(folder / f"{k}.h5", "w") as file:
            file["label"] = np.arange(start, start + rows)
            file["data"] = np.arange(start, start + rows, dtype=np.float32)[:, None] * 10
        start += rows
    (folder / "list").write_text("0.h5\n1.h5\n2.h5\n")


def pictures(folder: Path, sizes: list[tuple[int, int]]) -> None:
    draw = np.random.default_rng(1)
    for k, (h, w) in enumerate(sizes):
        cv2.imwrite(str(folder / f"{k}.png"), draw.integers(0, 256, (h, w, 3)).astype(np.uint8))
    (folder / "list").write_text("".join(f"{k}.png {k}\n" for k in range(len(sizes))))


def test_a_shuffled_epoch_has_every_row_once_and_keeps_files_together(tmp_path: Path, open_in: Callable) -> None:
    hdf5_files(tmp_path)
    batches = [open_in(HDF5 % "shuffle: true") for _ in range(2)]
    first, again = ([feed.next() for _ in range(5)] for feed in batches)
    labels = np.concatenate([b["label"].numpy() for b in first])
    assert [sorted(labels[:10]), sorted(labels[10:])] == [list(range(10))] * 2
    assert labels[:10].tolist() != labels[10:].tolist()
    of_file = np.digitize(labels[:10], [3, 8])
    assert int((np.diff(of_file) != 0).sum()) == 2
    for a, b in zip(first, again, strict=True):
        assert (a["data"][:, 0] == a["label"] * 10).all()
        assert (a["label"] == b["label"]).all()


@pytest.mark.parametrize("kind", ["hdf5", "image"])
def test_threads_and_resuming_change_nothing(kind: str, tmp_path: Path, open_in: Callable) -> None:
    if kind == "hdf5":
        hdf5_files(tmp_path)
        text = HDF5 % "shuffle: true"
    else:
        pictures(tmp_path, [(9, 12), (10, 8), (11, 11)])
        text = IMAGE % ("shuffle: true rand_skip: 5", "crop_size: 6 mirror: true mean_value: 3")
    plain, threaded = open_in(text), open_in(text, workers=3)
    expected = [plain.next() for _ in range(7)]
    found = [threaded.next() for _ in range(4)]
    resumed = open_in(text, workers=2)
    resumed.load_state(threaded.state())
    found += [resumed.next() for _ in range(3)]
    for a, b in zip(expected, found, strict=True):
        assert all((a[k] == b[k]).all() for k in a)
    with pytest.raises(DataError, match="taken with seed 1, this run has 2"):
        open_in(text, seed=2).load_state(threaded.state())
    threaded.close()
    resumed.close()


def test_a_mirrored_crop_is_a_part_of_the_picture(tmp_path: Path, open_in: Callable) -> None:
    pictures(tmp_path, [(9, 12)])
    image = cv2.imread(str(tmp_path / "0.png")).transpose(2, 0, 1).astype(np.float32)
    feed = open_in(IMAGE % ("", "crop_size: 6 mirror: true mean_value: 3 scale: 0.5"))
    parts = [image[:, y : y + 6, x : x + 6] for y in range(4) for x in range(7)]
    allowed = {((p - 3) * np.float32(0.5)).tobytes() for part in parts for p in (part, part[:, :, ::-1])}
    seen = {crop.numpy().tobytes() for _ in range(20) for crop in feed.next()["data"]}
    assert seen <= allowed
    assert len(seen) > 10


@pytest.mark.parametrize(
    ("prepare", "text", "error", "message"),
    [
        (lambda f: None, HDF5 % "", DataError, "no such index file"),
        (lambda f: (f / "list").write_text("no.h5"), HDF5 % "", DataError, "1 of 1 files are missing"),
        (lambda f: ((f / "list").write_text("x"), (f / "x").write_bytes(b"no")), HDF5 % "", FormatError, "as HDF5"),
        (hdf5_files, (HDF5 % "").replace('data" top', 'other" top'), DataError, "no data set 'other'; there are: data"),
        (hdf5_files, (HDF5 % "")[:-1] + "transform_param { scale: 2 } }", InputError, "does not transform its data"),
        (lambda f: (f / "list").write_text("a.png\n"), IMAGE % ("", ""), FormatError, "list:1: found 'a.png'"),
        (lambda f: (f / "list").write_text("a.png 3\n"), IMAGE % ("", ""), DataError, "1 of 1 files are missing"),
        (lambda f: pictures(f, [(5, 5)]), IMAGE % ("new_height: 3", ""), InputError, "both new_height and new_width"),
    ],
)
def test_bad_sources(
    prepare: Callable[[Path], object],
    text: str,
    error: type[ReproError],
    message: str,
    tmp_path: Path,
    open_in: Callable,
) -> None:
    prepare(tmp_path)
    with pytest.raises(error, match=message):
        open_in(text)


@pytest.mark.parametrize(
    "line",
    [
        b"a picture.png 7",
        b"a picture.png 7 \t ",
        b"  a picture.png \t  +7",
        b"\xef\xbb\xbfa picture.png 7",
        b"a picture.png 07\r",
    ],
)
def test_lines_as_either_caffe_reads_them(line: bytes, tmp_path: Path, open_in: Callable) -> None:
    pictures(tmp_path, [(5, 5)])
    (tmp_path / "0.png").rename(tmp_path / "a picture.png")
    (tmp_path / "list").write_bytes(line + b"\n\r\n" + "\N{LATIN SMALL LETTER E WITH ACUTE}.png 1\n".encode("latin-1"))
    with pytest.raises(DataError, match="1 of 2 files are missing"):
        open_in(IMAGE % ("", ""))
    (tmp_path / "list").write_bytes(line + b"\n")
    assert open_in(IMAGE % ("", "")).next()["label"].tolist() == [7, 7]


@pytest.mark.parametrize("label", ["1_0", "\N{ARABIC-INDIC DIGIT THREE}", "1.5", "2147483648", "1" * 30, ""])
def test_labels_that_are_no_int(label: str, tmp_path: Path, open_in: Callable) -> None:
    (tmp_path / "list").write_text(f"a.png {label}\n")
    with pytest.raises(FormatError, match=r"list:1: found .*an integer label"):
        open_in(IMAGE % ("", ""))


@pytest.mark.parametrize("text", [IMAGE % ("", ""), HDF5 % ""])
def test_a_name_that_no_file_can_have(text: str, tmp_path: Path, open_in: Callable) -> None:
    (tmp_path / "list").write_text("a" * 5000 + " 1\n")
    with pytest.raises(DataError, match=r"of [12] files are missing") as found:
        open_in(text)
    assert len(str(found.value)) < 1000
    (tmp_path / "list").write_bytes(b"a\0b 1\n")
    with pytest.raises(FormatError, match="not a text file"):
        open_in(text)


@pytest.mark.parametrize("option", ["scale: nan", "mean_value: inf", "crop_size: 99999"])
def test_transformations_that_make_no_sense_name_their_layer(option: str, tmp_path: Path, open_in: Callable) -> None:
    pictures(tmp_path, [(5, 5)])
    with pytest.raises(InputError, match=r"layer 'd' \(<text>:1:7\)"):
        open_in(IMAGE % ("", option))


DATABASE = """layer { name: "d" type: "Data" top: "data" top: "label"
  data_param { source: "encoded.mdb" backend: LMDB batch_size: 2 } transform_param { %s } }"""


def test_encoded_pictures_of_a_database_in_colour_and_grey(golden_data: Path) -> None:
    folder = golden_data / "feeds_bvlc"
    found = {}
    for option in ("", "force_color: true", "force_gray: true"):
        (feed,) = open_feeds(load_net(DATABASE % option, phase="TEST"), 1, root=folder, workers=0)
        found[option] = feed.next()["data"].numpy()
    colour, grey = found["force_color: true"], found["force_gray: true"]
    np.testing.assert_array_equal(colour, found[""])
    assert grey.shape == (2, 1, *colour.shape[2:])
    weighed = np.einsum("nchw,c->nhw", colour, [0.114, 0.587, 0.299])
    assert np.abs(grey[:, 0] - weighed).max() < 2
    with pytest.raises(InputError, match="force_color and force_gray; give one"):
        open_feeds(load_net(DATABASE % "force_gray: true force_color: true"), 1, root=folder)


def test_bad_pictures_are_named(tmp_path: Path, open_in: Callable) -> None:
    pictures(tmp_path, [(9, 12), (10, 8)])
    with pytest.raises(DataError, match="differ in size"):
        open_in(IMAGE % ("", "")).next()
    with pytest.raises(DataError, match=r"line 2 .*1\.png.*crop_size 9 is larger than the picture, 8x10"):
        open_in(IMAGE % ("", "crop_size: 9")).next()
    (tmp_path / "1.png").write_bytes(b"\x89PNG")
    with pytest.raises(FormatError, match=r"1\.png"):
        open_in(IMAGE % ("", "crop_size: 4")).next()


def test_a_net_learns_from_hdf5_files_whose_shapes_its_prototxt_does_not_say(tmp_path: Path) -> None:
    hdf5_files(tmp_path)
    text = (
        (HDF5 % "shuffle: true")
        + """layer { name: "s" type: "Power" bottom: "label" top: "target" power_param { scale: 0.1 } }
    layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 1 } }
    layer { name: "r" type: "Reshape" bottom: "ip" top: "y" reshape_param { shape { dim: -1 } } }
    layer { name: "l" type: "EuclideanLoss" bottom: "y" bottom: "target" top: "loss" }"""
    )
    (tmp_path / "net.prototxt").write_text(text)
    (tmp_path / "solver.prototxt").write_text(
        'net: "net.prototxt" base_lr: 0.0001 lr_policy: "fixed" random_seed: 1 test_iter: 2 test_interval: 100'
    )
    solver = build_solver(tmp_path / "solver.prototxt", data_root=tmp_path, out=tmp_path, max_iter=60, workers=0)
    assert solver.net.inputs == {"data": (4, 1), "label": (4,)}
    solver.solve()
    # the data are ten times the label, the target is a tenth of it
    assert float(solver.net.params["ip"][0].detach()) == pytest.approx(0.01, abs=2e-3)


def test_a_data_set_that_points_elsewhere_is_not_followed(tmp_path: Path, open_in: Callable) -> None:
    hdf5_files(tmp_path)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["data"] = h5py.ExternalLink("0.h5", "data")
        file["label"] = np.arange(3)
    (tmp_path / "list").write_text("link.h5\n")
    with pytest.raises(DataError, match="'data' is no data set of this file itself"):
        open_in(HDF5 % "")


MEMORY = """name: "m" layer { name: "d" type: "MemoryData" top: "data" top: "label"
  memory_data_param { batch_size: 2 channels: 1 height: 2 width: 3 } }"""


def test_memory_data_gives_the_arrays_it_is_given() -> None:
    data, label = np.arange(24, dtype=np.float64).reshape(4, 1, 2, 3), np.arange(4).reshape(4, 1, 1, 1)
    (feed,) = open_feeds(load_net(MEMORY), 0, arrays={"data": data, "label": label, "more": label})
    batches = [feed.next() for _ in range(3)]
    np.testing.assert_array_equal(batches[1]["data"], data[2:].astype(np.float32))
    assert [batch["label"].tolist() for batch in batches] == [[0, 1], [2, 3], [0, 1]]
    for arrays, message in (
        (None, "needs arrays for data, label, none are given"),
        ({"data": data}, "given are data"),
        ({"data": data[:3], "label": label[:3]}, "3 samples are no multiple of batch_size 2"),
        ({"data": data.reshape(4, 1, 3, 2), "label": label}, r"the layer says \(N, 1, 2, 3\)"),
    ):
        with pytest.raises(InputError, match=message):
            open_feeds(load_net(MEMORY), 0, arrays=arrays)
