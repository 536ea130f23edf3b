"""`infer_image` against a literal, slow transcription of what the authors' script does, padded frame and all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from repro.data.photograph import read_photograph
from repro.data.voc import VocFolder
from repro.papers.deconvnet import RECIPES, infer_image
from repro.papers.deconvnet.recipe import Recipe

CLASSES = 4
SIDE = 16
SMALL = dataclasses.replace(
    RECIPES["release"], input_size=SIDE, num_classes=CLASSES, min_side=9, max_proposals=6, batch_size=4, crf=None
)


def stub(classes: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Scores that depend on each pixel of each channel, computed in double precision."""

    def score(crops: torch.Tensor) -> torch.Tensor:
        b, g, r = crops.double().unbind(1)
        return torch.stack([(torch.sin(0.03 * k * b) + 0.01 * g - 0.007 * r).float() for k in range(1, classes + 1)], 1)

    return score


scorer = stub(CLASSES)


def photograph(height: int = 25, width: int = 34, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def padded_boxes(image: np.ndarray, count: int = 12, seed: int = 1) -> np.ndarray:
    """1-based boxes that stay inside the padded frame, some beyond the photograph, some too small."""
    height, width = image.shape[:2]
    rng = np.random.default_rng(seed)
    first = np.stack(
        [rng.integers(height - 9, height + width - 9, count), rng.integers(width - 9, width + 16, count)], 1
    )
    return np.concatenate([first + 1, first + rng.integers(6, 30, (count, 2))], axis=1)


def slow_resize(array: np.ndarray, size: tuple[int, int], normalised: bool) -> np.ndarray:
    """Octave's (columns first) or MATLAB's imresize 'bilinear', one output line at a time, in the array's precision."""
    scales = [size[0] / array.shape[0], size[1] / array.shape[1]]
    order = [1, 0] if not normalised or scales[1] < scales[0] else [0, 1]
    for axis in order:
        source = np.moveaxis(array, axis, 0)
        n, scale = len(source), scales[axis]
        shrink = min(scale, 1.0)
        lines = []
        for i in range(size[axis]):
            centre = (i + 0.5) / scale - 0.5
            reach = range(int(np.floor(centre - 1 / shrink)) - 1, int(np.ceil(centre + 1 / shrink)) + 2)
            weights = [shrink * max(0.0, 1 - abs(shrink * (centre - p))) for p in reach]
            total = sum(weights) if normalised else 1.0
            line = np.zeros_like(source[0])
            for p, w in zip(reach, weights, strict=True):
                mirrored = p % (2 * n)
                line = line + source[mirrored if mirrored < n else 2 * n - 1 - mirrored] * source.dtype.type(w / total)
            lines.append(line)
        array = np.moveaxis(np.stack(lines), 0, axis)
    return array


def the_script(image: np.ndarray, boxes: np.ndarray, recipe: Recipe, fcn: np.ndarray) -> dict[str, np.ndarray]:
    height, width = image.shape[:2]
    side = recipe.input_size
    normalised = recipe.resampling == "matlab"
    padded = np.pad(image, ((width, width), (height, height), (0, 0)))
    scores = np.zeros((*padded.shape[:2], fcn.shape[2]), np.float32)
    used = 0
    for x1, y1, x2, y2 in boxes:
        if min(x2 - x1 + 1, y2 - y1 + 1) < recipe.min_side:
            continue
        crop = slow_resize(padded[y1 - 1 : y2, x1 - 1 : x2].astype(np.float64), (side, side), normalised)
        crop = (crop[:, :, ::-1] - np.array(recipe.mean_bgr)).astype(np.float32)
        output = (
            stub(fcn.shape[2])(torch.from_numpy(crop.transpose(2, 0, 1)[None].copy()))[0].numpy().transpose(1, 2, 0)
        )
        part = scores[y1 - 1 : y2, x1 - 1 : x2]
        np.maximum(part, slow_resize(output, part.shape[:2], normalised), out=part)
        used += 1
        if used >= recipe.max_proposals:
            break
    deconv = scores[width - 1 : width - 1 + height, height - 1 : height - 1 + width].astype(np.float64)
    ensemble = deconv * np.maximum(fcn, 0)
    exponential = np.exp(ensemble - ensemble.max(2, keepdims=True))
    return {
        "deconv_score": deconv,
        "ens_score": ensemble,
        "unary": -np.log(exponential / exponential.sum(2, keepdims=True)),
        "ens_labels": ensemble.argmax(2).astype(np.uint8),
    }


@pytest.mark.parametrize("resampling", ["octave", "matlab"])
@pytest.mark.parametrize("shape", [(25, 34), (31, 18)])
def test_release_does_what_the_script_does(resampling: str, shape: tuple[int, int]) -> None:
    recipe = dataclasses.replace(SMALL, resampling=resampling)
    image = photograph(*shape)
    boxes = padded_boxes(image)
    sides = (boxes[:, 2:] - boxes[:, :2] + 1).min(axis=1)
    assert (sides < recipe.min_side).any()
    assert (sides >= recipe.min_side).sum() > recipe.max_proposals
    fcn = np.random.default_rng(3).normal(0, 3, (*shape, CLASSES))
    expected = the_script(image, boxes, recipe, fcn)
    got = infer_image(image, boxes, scorer, recipe, fcn, "release")
    assert len(got["windows"]) == recipe.max_proposals
    for key in ("deconv_score", "ens_score", "unary"):
        np.testing.assert_allclose(got[key], expected[key], rtol=0, atol=3e-6, err_msg=key)
    np.testing.assert_array_equal(got["ens_labels"], expected["ens_labels"])
    assert got["deconv_score"].min() == 0
    assert got["deconv_score"].max() > 0.5


def boxes_anywhere(image: np.ndarray, count: int, least: int, seed: int = 2) -> np.ndarray:
    """1-based boxes of any size inside the padded frame, each with a pixel of the photograph, some too small."""
    height, width = image.shape[:2]
    rng = np.random.default_rng(seed)
    frame = np.array([width + 2 * height, height + 2 * width])
    place = np.array([height, width])
    inside = place + 1 + rng.integers(0, [width, height], (count, 2))
    before = rng.integers(0, np.maximum(inside, 2 * least))
    first = np.maximum(inside - before, 1)
    last = np.minimum(inside + rng.integers(0, np.maximum(frame - inside, 1) + 1, (count, 2)), frame)
    return np.concatenate([first, last], axis=1)


def same_as_the_script(image: np.ndarray, recipe: Recipe, boxes: np.ndarray) -> int:
    """Every stage within 1e-5 and the labels identical; returns how many windows were scored."""
    fcn = np.random.default_rng(3).normal(0, 3, (*image.shape[:2], recipe.num_classes)).astype(np.float32)
    expected = the_script(image, boxes, recipe, fcn.astype(np.float64))
    got = infer_image(image, boxes, stub(recipe.num_classes), recipe, fcn, "release")
    for key in ("deconv_score", "ens_score", "unary"):
        np.testing.assert_allclose(got[key], expected[key], rtol=0, atol=1e-5, err_msg=key)
    np.testing.assert_array_equal(got["ens_labels"], expected["ens_labels"])
    return len(got["windows"])


@pytest.mark.parametrize("resampling", ["octave", "matlab"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 90), (7, 7), (16, 16), (90, 11), (64, 33)])
def test_photographs_of_odd_sizes(resampling: str, shape: tuple[int, int]) -> None:
    recipe = dataclasses.replace(SMALL, resampling=resampling, min_side=min(3, *shape))
    image = photograph(*shape, seed=sum(shape))
    assert same_as_the_script(image, recipe, boxes_anywhere(image, 12, 3)) > 0


@pytest.mark.parametrize("kind", ["grey", "palette", "cmyk", "turned"])
def test_photographs_of_odd_kinds(tmp_path: Path, kind: str) -> None:
    image, path = photograph(30, 44), tmp_path / "photograph.jpg"
    picture = Image.fromarray(image)
    if kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.save(path, exif=exif)
    elif kind == "palette":
        path = path.with_suffix(".png")
        picture.convert("P").save(path)
    else:
        picture.convert({"grey": "L", "cmyk": "CMYK"}[kind]).save(path)
    read = read_photograph(path)
    assert read.shape == ((44, 30, 3) if kind == "turned" else (30, 44, 3))
    assert same_as_the_script(read, SMALL, boxes_anywhere(read, 12, 9)) > 0


@pytest.mark.slow
def test_real_photographs_at_full_size(shared: Path) -> None:
    """The widest, the tallest and the smallest of a hundred; 224 pixels, 21 classes, the script's 112-pixel filter."""
    voc = VocFolder(shared / "data" / "voc")
    images = [voc.image(name) for name in voc.ids("val")]
    release = dataclasses.replace(RECIPES["release"], crf=None, max_proposals=8)
    for choose in (lambda i: i.shape[1] / i.shape[0], lambda i: i.shape[0] / i.shape[1], lambda i: -i.size):
        image = max(images, key=choose)
        assert same_as_the_script(image, release, boxes_anywhere(image, 14, 112)) == 8


def test_score_shift_is_one_pixel_right_and_down() -> None:
    image = photograph()
    boxes = np.array([[3, 2, 30, 22]])
    shifted = infer_image(image, boxes, scorer, SMALL)["deconv_score"]
    true = infer_image(image, boxes, scorer, dataclasses.replace(SMALL, score_shift=0))["deconv_score"]
    np.testing.assert_array_equal(shifted[1:, 1:], true[:-1, :-1])
    assert true[2, 3].any()
    assert not shifted[2, 3].any()


@pytest.mark.parametrize(
    "recipe", [SMALL, dataclasses.replace(RECIPES["paper"], input_size=SIDE, num_classes=CLASSES, crf=None)]
)
def test_batch_size_changes_nothing(recipe: Recipe) -> None:
    image = photograph()
    boxes = padded_boxes(image)
    results = [infer_image(image, boxes, scorer, recipe, None, "release", batch_size=n) for n in (1, 3, 64)]
    for other in results[1:]:
        for key, value in results[0].items():
            np.testing.assert_array_equal(value, other[key], err_msg=key)


def test_network_sees_the_upright_crop_in_bgr() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    image[:5, :, 0] = 200
    seen = []

    def look(crops: torch.Tensor) -> torch.Tensor:
        seen.append(crops.clone())
        return torch.zeros(len(crops), CLASSES, SIDE, SIDE)

    infer_image(image, [[0, 0, 19, 19]], look, dataclasses.replace(SMALL, mean_bgr=(0.0, 0.0, 0.0)))
    assert seen[0].dtype == torch.float32
    assert seen[0].shape == (1, 3, SIDE, SIDE)
    assert seen[0][0, 2, 0].min() > 190
    assert seen[0][0, 2, -1].max() == 0
    assert seen[0][0, :2].max() == 0
