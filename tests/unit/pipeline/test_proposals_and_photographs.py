from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
from PIL import Image

from repro.data.edges import StructuredForest, gradient_edges, suppress_non_maxima
from repro.data.photograph import read_photograph
from repro.data.proposals import EDGE_BOXES_DEFAULTS, boxes_from_mat, edge_boxes
from repro.papers.deconvnet import RECIPES
from repro.papers.deconvnet.sources import box_source


def square(height: int = 120, width: int = 160) -> np.ndarray:
    """A bright square on a dark, slightly noisy ground: x 40..109, y 30..89."""
    image = np.random.default_rng(0).integers(0, 8, (height, width, 3), dtype=np.uint8)
    image[30:90, 40:110] = (250, 180, 40)
    return image


def iou(a: np.ndarray, b: np.ndarray) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    inside = np.prod(np.maximum(high - low + 1, 0))
    return inside / (np.prod(a[2:] - a[:2] + 1) + np.prod(b[2:] - b[:2] + 1) - inside)


def test_the_object_is_among_the_first_boxes() -> None:
    found = edge_boxes(square())
    assert found.edge_source == "gradient"
    assert found.boxes.dtype == np.int64
    assert max(iou(box, np.array([40, 30, 109, 89])) for box in found.boxes[:10]) > 0.75
    assert (np.diff(found.scores) <= 0).all()
    assert found.boxes.min() >= 0
    assert found.boxes[:, 2].max() < 160
    assert found.boxes[:, 3].max() < 120


def test_same_picture_same_boxes_on_any_number_of_threads() -> None:
    image = np.random.default_rng(2).integers(0, 256, (90, 110, 3), dtype=np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 3)
    threads = cv2.getNumThreads()
    try:
        results = []
        for count in (1, 2, 2):
            cv2.setNumThreads(count)
            results.append(edge_boxes(image))
    finally:
        cv2.setNumThreads(threads)
    assert len(results[0].boxes) > 20
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].boxes, other.boxes)
        np.testing.assert_array_equal(results[0].scores, other.scores)
    np.testing.assert_array_equal(edge_boxes(image, 7).boxes, results[0].boxes[:7])


def test_defaults_are_opencv_s_and_the_paper_s() -> None:
    theirs = cv2.ximgproc.createEdgeBoxes()
    for name, value in EDGE_BOXES_DEFAULTS.items():
        assert getattr(theirs, "get" + name[0].upper() + name[1:])() == pytest.approx(value), name


def test_a_flat_picture_has_no_proposals() -> None:
    assert edge_boxes(np.full((60, 60, 3), 77, np.uint8)).boxes.shape == (0, 4)


def test_orientation_is_the_edge_s_normal() -> None:
    edges = gradient_edges(square())
    assert edges.orientation.min() >= 0
    assert edges.orientation.max() <= np.pi + 1e-6
    upright = edges.orientation[60, 39:41]
    assert np.minimum(upright, np.pi - upright).max() < 0.05
    np.testing.assert_allclose(edges.orientation[29:31, 75], np.pi / 2, atol=0.05)
    row = edges.magnitude[60, 30:50]
    assert (row > 0.5).sum() == 1
    assert row.max() > 0.95


def test_suppression_keeps_the_ridge() -> None:
    ridge = np.tile(np.float32([0, 0.2, 0.6, 1, 0.6, 0.2, 0]), (5, 1))
    kept = suppress_non_maxima(ridge, np.zeros_like(ridge), 2)
    assert (kept[:, 3] == 1).all()
    assert not np.delete(kept, 3, axis=1).any()


FOREST = """%YAML:1.0
---
options:
   stride: 2
   shrinkNumber: 2
   patchSize: 32
   patchInnerSize: 16
   numberOfGradientOrientations: 4
   gradientSmoothingRadius: 0
   regFeatureSmoothingRadius: 2
   ssFeatureSmoothingRadius: 8
   gradientNormalizationRadius: 4
   selfsimilarityGridSize: 5
   numberOfTrees: 1
   numberOfTreesToEvaluate: 1
childs:
   - [ 2, 0, 0 ]
featureIds:
   - [ 0, 0, 0 ]
thresholds:
   - [ 0.5, 0., 0. ]
edgeBoundaries:
   - [ 0, 0, 0, 16 ]
edgeBins:
   - [ 8, 24, 40, 56, 72, 88, 104, 120, 136, 152, 168, 184, 200, 216, 232, 248 ]
"""


def test_a_forest_is_used_and_named(tmp_path: Path) -> None:
    model = tmp_path / "model.yml"
    model.write_text(FOREST)
    assert edge_boxes(square(), model=model).edge_source == "structured-forest"
    assert StructuredForest(model)(square()).magnitude.shape == (120, 160)


def test_cached_boxes_of_the_release(tmp_path: Path) -> None:
    boxes = np.array([[101.0, 201, 150, 260], [90, 180, 300, 400]])
    scipy.io.savemat(tmp_path / "a.mat", {"boxes_padded": boxes, "other": np.eye(3)}, do_compression=True)
    np.testing.assert_array_equal(boxes_from_mat(tmp_path / "a.mat"), boxes)
    scipy.io.savemat(tmp_path / "none.mat", {"boxes_padded": np.zeros((0, 4))})
    assert boxes_from_mat(tmp_path / "none.mat").shape == (0, 4)


def test_boxes_are_extended_exactly_once(tmp_path: Path) -> None:
    for name in ("release", "paper"):
        raw, cached = (box_source(p).adapt(RECIPES[name]) for p in ("edge-boxes", str(tmp_path)))
        assert (raw.enlarge, raw.square) == (1.2, True)
        assert (cached.enlarge, cached.square) == (1.0, False)


# --- photographs


def encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=form, **options)
    return buffer.getvalue()


RGB = Image.fromarray(square())


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "RGBA", "LA"])
def test_pictures_of_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    file = tmp_path / "x"
    file.write_bytes(encoded(RGB.convert(mode), "JPEG" if mode == "CMYK" else "PNG"))
    got = read_photograph(file)
    assert got.shape == (120, 160, 3)
    assert got.dtype == np.uint8
    if mode in ("RGB", "RGBA"):
        np.testing.assert_array_equal(got, square())
    if mode == "CMYK":
        assert np.abs(got.astype(int) - square()).mean() < 12


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "x.jpg").write_bytes(encoded(RGB, "JPEG", exif=exif))
    assert read_photograph(tmp_path / "x.jpg").shape == (160, 120, 3)
