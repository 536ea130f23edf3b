"""Damaged and absurd images, boxes and files: one of our errors, naming what is wrong."""

from __future__ import annotations

import dataclasses
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image

from repro.data.edges import StructuredForest
from repro.data.photograph import read_photograph
from repro.data.proposals import boxes_from_mat, edge_boxes
from repro.errors import DataError, FormatError, InputError, ReproError
from repro.papers.deconvnet import RECIPES, infer_image

IMAGE = np.zeros((30, 40, 3), np.uint8)
RECIPE = dataclasses.replace(RECIPES["paper"], input_size=8, num_classes=2, crf=None)


def scorer(crops: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(crops), 2, 8, 8)


@pytest.mark.parametrize(
    ("boxes", "text"),
    [
        ([[0, 0, 5]], "(1, 3)"),
        ([0, 0, 5, 5], "(4,)"),
        ([[0, 0, 5, 5], [1]], "boxes"),
        ([["a", "b", "c", "d"]], "dtype"),
        ([[0, 0, np.nan, 5]], "row 0"),
        ([[0, 0, 9, 9], [0, 0, np.inf, 5]], "row 1"),
        ([[0.5, 0, 5, 5]], "whole pixels"),
        ([[6, 0, 5, 5]], "x2 < x1"),
        ([[0, 0, 2**40, 5]], "beyond"),
        ([[0, 0, 2**23, 2**23]], "at most"),
        (np.array([[None] * 4]), "dtype object"),
    ],
)
def test_boxes(boxes: object, text: str) -> None:
    with pytest.raises(InputError) as caught:
        infer_image(IMAGE, boxes, scorer, RECIPE)
    assert text in str(caught.value)


@pytest.mark.parametrize("resampling", ["matlab", "octave", "opencv"])
def test_a_window_much_larger_than_the_image_costs_little(resampling: str) -> None:
    recipe = dataclasses.replace(RECIPE, resampling=resampling, enlarge=1.0, square=False)
    got = infer_image(IMAGE, [[-4000, -10, 4000, 40]], scorer, recipe)
    assert got["deconv_score"].min() > 0.9


def test_windows_beside_the_image_change_nothing() -> None:
    got = infer_image(IMAGE, [[100, 100, 120, 120], [-50, 0, -10, 20]], scorer, RECIPE)
    assert not got["deconv_score"].any()


@pytest.mark.parametrize(
    "image",
    [
        None,
        [[1]],
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_images(image: object) -> None:
    with pytest.raises(InputError, match="image"):
        infer_image(image, [], scorer, RECIPE)
    with pytest.raises(InputError, match="edge boxes"):
        edge_boxes(image)


@pytest.mark.parametrize(
    "fcn",
    [
        np.zeros((30, 40, 3)),
        np.zeros((40, 30, 2)),
        np.full((30, 40, 2), np.nan),
        np.zeros((30, 40, 2), complex),
        "scores",
    ],
)
def test_fcn_scores(fcn: object) -> None:
    with pytest.raises(InputError, match="fcn_scores"):
        infer_image(IMAGE, [], scorer, RECIPE, fcn)


def test_unknown_names() -> None:
    with pytest.raises(InputError, match="'release', 'release_matlab', 'paper'"):
        infer_image(IMAGE, [], scorer, "Release")
    with pytest.raises(InputError, match="boxes_frame"):
        infer_image(IMAGE, [], scorer, RECIPE, boxes_frame="padded")  # type: ignore[arg-type]
    with pytest.raises(ReproError, match="no preset"):
        infer_image(IMAGE, [], scorer, dataclasses.replace(RECIPE, crf="os"))


@pytest.mark.parametrize(
    ("options", "text"),
    [({"gamma": float("nan")}, "gamma"), ({"alpha": 1.0}, "alpha"), ({"alpha": 0}, "alpha"), ({"zeta": 1}, "zeta"),
     ({"max_boxes": 0}, "max_boxes"), ({"max_boxes": 2.5}, "max_boxes")],
)  # fmt: skip
def test_edge_box_options(options: dict, text: str) -> None:
    with pytest.raises(InputError, match=text):
        edge_boxes(IMAGE, **options)


def test_pictures_edge_boxes_has_no_room_for() -> None:
    with pytest.raises(InputError, match="sides with a sum below 20000"):
        edge_boxes(np.zeros((9, 19_995, 3), np.uint8))


@pytest.mark.parametrize("shape", [(1, 1), (7, 50), (50, 7)])
def test_pictures_too_small_for_a_box_have_none(shape: tuple[int, int]) -> None:
    found = edge_boxes(np.zeros((*shape, 3), np.uint8))
    assert (found.boxes.shape, found.scores.shape, found.edge_source) == ((0, 4), (0,), "gradient")


@pytest.mark.parametrize("shape", [(8, 8), (8, 400), (33, 9)])
def test_the_smallest_pictures_do_not_crash_opencv(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert edge_boxes(noise, minBoxArea=1.0).boxes.shape[1] == 4


# --- .mat files


def mat(path: Path, **variables: object) -> Path:
    scipy.io.savemat(path, variables)
    return path


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"boxes": np.ones((2, 4))}, "the file has 'boxes'"),
        ({"boxes_padded": np.ones((2, 5))}, "(2, 5)"),
        ({"boxes_padded": np.ones((2, 4, 2))}, "(2, 4, 2)"),
        ({"boxes_padded": "text"}, "no array of real numbers"),
        ({"boxes_padded": np.array([[1, 2], [3, "x"]], object)}, "no array of real numbers"),
        ({"boxes_padded": np.array([[1, 1, np.nan, 5.0]])}, "row 1"),
        ({"boxes_padded": np.array([[1, 1, 9, 9], [1, 1, 5.5, 9.0]])}, "row 2"),
        ({"boxes_padded": np.array([[5, 5, 4, 9]])}, "is empty"),
        ({"boxes_padded": np.array([[0, 0, 1e12, 9]])}, "outside"),
        ({"boxes_padded": np.array([[1 + 1j, 0, 3, 9]])}, "no array of real numbers"),
    ],
)
def test_mat_contents(tmp_path: Path, variables: dict, text: str) -> None:
    path = mat(tmp_path / "x.mat", **variables)
    with pytest.raises(FormatError) as caught:
        boxes_from_mat(path)
    assert text in str(caught.value)
    assert "x.mat" in str(caught.value)


def test_mat_files_cut_short_or_of_another_kind(tmp_path: Path) -> None:
    path = mat(tmp_path / "x.mat", boxes_padded=np.ones((20, 4)))
    data = path.read_bytes()
    for damaged in (b"", b"MATLAB", data[:100], data[:140], data[:-300], np.random.default_rng(0).bytes(4000),
                    b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(600)):  # fmt: skip
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match=r"x\.mat"):
            boxes_from_mat(path)
    with pytest.raises(DataError, match="no such file"):
        boxes_from_mat(tmp_path / "y.mat")


def test_a_mat_file_that_claims_a_huge_array_is_refused_unread(tmp_path: Path) -> None:
    path = mat(tmp_path / "x.mat", boxes_padded=np.ones((20, 4)))
    data = bytearray(path.read_bytes())
    at = data.index(struct.pack("<4i", 5, 8, 20, 4)) + 8
    data[at : at + 4] = struct.pack("<i", 2_000_000_000)
    path.write_bytes(data)
    with pytest.raises(FormatError, match="80 numbers for an array of"):
        boxes_from_mat(path)


def test_a_mat_file_that_ends_scipys_reader_is_refused(tmp_path: Path) -> None:
    """Found by `make fuzz`: numbers of a type there is not, at which SciPy's reader takes the process with it."""
    path = mat(tmp_path / "x.mat", boxes_padded=np.ones((2, 4)))
    data, doubles = path.read_bytes(), struct.pack("<2I", 9, 64)
    assert data.count(doubles) == 1
    path.write_bytes(data.replace(doubles, struct.pack("<2I", 0x2009, 64)))
    with pytest.raises(FormatError, match="numbers of the unknown type 8201"):
        boxes_from_mat(path)


def test_a_packed_element_with_nothing_in_it_is_refused(tmp_path: Path) -> None:
    packed = zlib.compress(b"")
    path = tmp_path / "x.mat"
    path.write_bytes(b"MATLAB 5.0".ljust(124) + b"\0\1IM" + struct.pack("<2I", 15, len(packed)) + packed)
    with pytest.raises(FormatError, match="an element is missing"):
        boxes_from_mat(path)


# --- edge models


@pytest.mark.parametrize(
    "text", ["", "garbage", "%YAML:1.0\n---\noptions: 3\n", "%YAML:1.0\n---\noptions:\n   stride: 0\n", "\x1f\x8b"]
)
def test_edge_models(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.yml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(FormatError, match=r"model\.yml"):
        StructuredForest(path)
    with pytest.raises(DataError, match="no such file"):
        StructuredForest(tmp_path / "none.yml.gz")


# --- photographs


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 50, 3), dtype=np.uint8))


def bomb() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def jpeg_cut_short() -> bytes:
    buffer = io.BytesIO()
    NOISE.save(buffer, format="JPEG")
    return buffer.getvalue()[:-400]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a picture",
        png(NOISE)[:-2000],
        jpeg_cut_short(),
        png(Image.fromarray(np.zeros((4, 4), np.uint16))),
        png(Image.fromarray(np.zeros((4, 4, 4), np.uint8))),
        bomb(),
    ],
    ids=["empty", "text", "cut PNG", "cut JPEG", "16 bit", "transparent", "bomb"],
)
def test_photographs(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "photo.img"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"photo\.img"):
        read_photograph(path)
    with pytest.raises(DataError, match="none"):
        read_photograph(tmp_path / "none.jpg")
