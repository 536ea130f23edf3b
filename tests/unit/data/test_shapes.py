import hashlib
import itertools
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repro.data.shapes import ShapesConfig, generate_image, write_shapes
from repro.data.shapes_classes import SHAPE_CLASSES
from repro.errors import DataError, InputError
from repro.report.palette import load_label_png


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_any_two_of_shape_texture_and_hue_name_the_class() -> None:
    assert [c.label for c in SHAPE_CLASSES] == list(range(1, 21))
    for a, b in itertools.combinations(SHAPE_CLASSES, 2):
        assert (a.shape == b.shape) + (a.texture == b.texture) + (a.hue == b.hue) <= 1


def test_the_documented_table_is_the_table() -> None:
    from repro.data import shapes_classes

    rows = [
        cell.split()
        for line in (shapes_classes.__doc__ or "").splitlines()
        if line.startswith("| 1") or (line.startswith("| ") and line[2].isdigit())
        for cell in [line.replace("|", " ")]
    ]
    documented = {}
    for row in rows:
        for label, _, shape, texture, hue in (row[:5], row[5:]):
            documented[int(label)] = (shape, texture, hue)
    assert documented == {c.label: (c.shape, c.texture, c.hue) for c in SHAPE_CLASSES}


@pytest.mark.parametrize("index", range(25))
def test_a_picture_and_its_masks_agree(index: int) -> None:
    image, classes, objects = generate_image(3, index)
    height, width = classes.shape
    assert image.shape == (height, width, 3)
    assert image.dtype == classes.dtype == objects.dtype == np.uint8
    assert min(height, width) >= 120
    assert max(height, width) <= 500
    assert np.array_equal(classes == 255, objects == 255)
    assert np.array_equal(classes == 0, objects == 0)
    numbers = set(np.unique(objects)) - {0, 255}
    assert 1 <= len(numbers) <= 6
    for number in numbers:
        labels = set(np.unique(classes[objects == number]))
        assert len(labels) == 1
        assert labels <= set(range(1, 21))


def test_objects_are_ringed_by_void() -> None:
    objects = generate_image(0, 0)[2]
    for shift in (np.s_[1:, :], np.s_[:, 1:]):
        back = tuple(slice(0, -1) if s.start else s for s in shift)
        pair = np.stack([objects[shift], objects[back]])
        touching = (pair[0] != pair[1]) & (pair != 255).all(0)
        assert not touching.any()


def test_every_class_and_count_occurs() -> None:
    masks = [generate_image(0, index)[1:] for index in range(60)]
    seen = set().union(*(np.unique(classes).tolist() for classes, _ in masks))
    assert seen == {*range(21), 255}
    assert {len(np.unique(objects)) - 2 for _, objects in masks} >= {1, 2, 3, 4, 5}


def test_pictures_depend_on_seed_and_index_alone(tmp_path: Path) -> None:
    here = [array.tobytes() for array in generate_image(7, 5)]
    code = (
        "import hashlib; from repro.data.shapes import generate_image; generate_image(1, 2);"
        "print([hashlib.sha256(a.tobytes()).hexdigest() for a in generate_image(7, 5)])"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert there == str([hashlib.sha256(data).hexdigest() for data in here])
    assert generate_image(8, 5)[0].tobytes() != here[0]
    assert generate_image(7, 6)[0].tobytes() != here[0]


def test_train_and_val_share_nothing_whatever_the_size() -> None:
    small, large = (
        ShapesConfig(images=10, val_fraction=Fraction("0.3")),
        ShapesConfig(images=1000, val_fraction=Fraction("0.3")),
    )
    assert set(large.split("train")) | set(large.split("val")) == set(range(1000))
    assert not set(large.split("train")) & set(large.split("val"))
    assert len(large.split("val")) == 300
    assert small.split("val") == [i for i in large.split("val") if i < 10]
    assert ShapesConfig(images=5, val_fraction=Fraction(1)).split("train") == []


def test_the_layout_is_vocs_and_the_bytes_are_the_same_again(tmp_path: Path) -> None:
    config = ShapesConfig(seed=4, images=5)
    steps: list[None] = []
    write_shapes(tmp_path / "a", config, lambda: steps.append(None))
    write_shapes(tmp_path / "b", config)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert len(steps) == 5
    lists = tmp_path / "a" / "ImageSets" / "Segmentation"
    assert (lists / "train.txt").read_text().split() == [f"s4_{i:06d}" for i in range(4)]
    assert (lists / "val.txt").read_text() == "s4_000004\n"
    _, classes, objects = generate_image(4, 2)
    assert np.array_equal(load_label_png(tmp_path / "a/SegmentationClass/s4_000002.png"), classes)
    assert np.array_equal(load_label_png(tmp_path / "a/SegmentationObject/s4_000002.png"), objects)
    with Image.open(tmp_path / "a/JPEGImages/s4_000002.jpg") as picture:
        assert (picture.format, picture.size) == ("JPEG", classes.shape[::-1])


def test_an_interrupted_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    config = ShapesConfig(images=4)
    write_shapes(tmp_path / "whole", config)

    def interrupt() -> None:
        if len(list((tmp_path / "cut/JPEGImages").iterdir())) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shapes(tmp_path / "cut", config, interrupt)
    assert not list((tmp_path / "cut/ImageSets/Segmentation").iterdir())
    write_shapes(tmp_path / "cut", config)
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")


def test_a_set_can_grow_but_not_change(tmp_path: Path) -> None:
    write_shapes(tmp_path, ShapesConfig(images=2))
    before = (tmp_path / "JPEGImages/s0_000001.jpg").stat().st_mtime_ns
    write_shapes(tmp_path, ShapesConfig(images=3))
    assert (tmp_path / "JPEGImages/s0_000001.jpg").stat().st_mtime_ns == before
    assert json.loads((tmp_path / "shapes.json").read_text())["images"] == 3
    for other in (
        ShapesConfig(images=2),
        ShapesConfig(seed=1, images=3),
        ShapesConfig(images=3, val_fraction=Fraction(1, 2)),
    ):
        with pytest.raises(DataError, match="choose another folder"):
            write_shapes(tmp_path, other)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("dear diary")
    with pytest.raises(DataError, match="not empty"):
        write_shapes(tmp_path, ShapesConfig(images=1))
    assert [p.name for p in tmp_path.iterdir()] == ["diary.txt"]
    with pytest.raises(DataError, match="is a file"):
        write_shapes(tmp_path / "diary.txt", ShapesConfig(images=1))


@pytest.mark.parametrize("marker", ["", "[]", "{}", '{"images": "many"}', "\x00"])
def test_a_damaged_record_is_named(tmp_path: Path, marker: str) -> None:
    (tmp_path / "shapes.json").write_text(marker)
    with pytest.raises(DataError, match=r"shapes\.json"):
        write_shapes(tmp_path, ShapesConfig(images=1))


def test_impossible_sets_are_refused() -> None:
    for wrong in ({"images": 0}, {"seed": -1}, {"val_fraction": Fraction(3, 2)}):
        with pytest.raises(InputError):
            ShapesConfig(**wrong)  # type: ignore[arg-type]
