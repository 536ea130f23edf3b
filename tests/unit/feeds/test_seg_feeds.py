"""Feeds: the same batches for any number of workers and after a resume; bad data get an error that names them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from repro.caffe import LayerSpec, load_net
from repro.data.decode import DecodedCache, read_image_bgr, read_label
from repro.data.feeds import ArrayFeed, Feed, data_layers, open_feed
from repro.data.order import SampleOrder
from repro.data.ordered_feed import OrderedFeed
from repro.data.prefetch import Prefetcher
from repro.data.sample_list import read_sample_list, resolve
from repro.errors import DataError, FormatError, InputError, UnsupportedError

LAYER = """layers {{ name: "data" type: {type} top: "data" top: "label"
  image_data_param {{ source: "list.txt" label_type: PIXEL batch_size: 3 shuffle: {shuffle} {more} }}
  transform_param {{ crop_size: {crop} mirror: true mean_value: 100 }} }}
"""


def layer(type: str = "WINDOW_SEG_DATA", shuffle: str = "true", crop: int = 8, more: str = "") -> LayerSpec:
    text = LAYER.format(type=type, shuffle=shuffle, crop=crop, more=more or "new_width: 10 new_height: 10")
    return data_layers(load_net(text, phase="TRAIN"))[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(4):
        cv2.imwrite(str(tmp_path / f"{i}.png"), rng.integers(0, 256, (12 + i, 14, 3), dtype=np.uint8))
        mask = Image.fromarray(rng.integers(0, 21, (12 + i, 14), dtype=np.uint8), mode="P")
        mask.putpalette(rng.integers(0, 256, 768, dtype=np.uint8).tobytes())
        mask.save(tmp_path / f"{i}_mask.png")
    lines = [f"/{i}.png /{i}_mask.png {x} {y} {x + 9} {y + 8}" for i in range(4) for x, y in ((-3, 2), (4, 5))]
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def batches(feed: Feed, count: int) -> list[dict[str, torch.Tensor]]:
    made = [feed.next() for _ in range(count)]
    feed.close()
    return made


def assert_same(first: list[dict[str, torch.Tensor]], second: list[dict[str, torch.Tensor]]) -> None:
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[k], b[k]) for k in a)


def test_batches_do_not_depend_on_the_number_of_workers(folder: Path) -> None:
    runs = [batches(open_feed(layer(), "TRAIN", 5, root=folder, workers=w), 7) for w in (0, 1, 3)]
    assert_same(runs[0], runs[1])
    assert_same(runs[0], runs[2])
    assert runs[0][0]["data"].shape == (3, 3, 8, 8)
    assert runs[0][0]["label"].shape == (3, 1, 8, 8)


def test_another_seed_gives_other_batches(folder: Path) -> None:
    one, other = (batches(open_feed(layer(), "TRAIN", seed, root=folder), 1)[0] for seed in (5, 6))
    assert not torch.equal(one["data"], other["data"])


def test_a_feed_goes_on_where_its_state_was_taken(folder: Path) -> None:
    whole = batches(open_feed(layer(), "TRAIN", 5, root=folder), 7)
    first = open_feed(layer(), "TRAIN", 5, root=folder)
    [first.next() for _ in range(4)]
    state = first.state()
    first.close()
    second = open_feed(layer(), "TRAIN", 5, root=folder)
    second.next()
    second.load_state(state)
    assert_same(whole[4:], batches(second, 3))


def test_the_state_of_another_seed_is_refused(folder: Path) -> None:
    feed = open_feed(layer(), "TRAIN", 5, root=folder, workers=0)
    with pytest.raises(DataError, match="seed 6, this run has 5"):
        feed.load_state({"seed": 6, "samples": 8, "batch": 0})


def test_every_sample_comes_once_per_epoch_and_epochs_differ() -> None:
    order = SampleOrder(50, seed=1, stream="data/TRAIN", shuffle=True)
    epochs = [[order.sample(e * 50 + i) for i in range(50)] for e in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(50))
    assert epochs[0] != epochs[1]
    assert [SampleOrder(50, seed=1, stream="d", shuffle=False).sample(i) for i in range(50, 53)] == [0, 1, 2]


def test_the_order_is_pinned() -> None:
    order = SampleOrder(8, seed=1, stream="data/TRAIN", shuffle=True)
    assert [order.sample(i) for i in range(8)] == [4, 6, 5, 2, 7, 3, 1, 0]


def test_palette_and_grey_label_maps_read_the_same(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    palette = Image.fromarray(values, mode="P")
    palette.putpalette([255 - i // 3 for i in range(768)])
    palette.save(tmp_path / "palette.png")
    Image.fromarray(values).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_label(tmp_path / "palette.png"), values)
    np.testing.assert_array_equal(read_label(tmp_path / "grey.png"), values)


def test_images_come_as_bgr(tmp_path: Path) -> None:
    Image.new("RGB", (2, 3), (10, 20, 30)).save(tmp_path / "a.png")
    image = read_image_bgr(tmp_path / "a.png")
    assert image.shape == (3, 2, 3)
    assert image[0, 0].tolist() == [30, 20, 10]


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_pictures_that_are_none_are_refused_by_name(folder: Path, content: bytes) -> None:
    (folder / "2.png").write_bytes(content)
    with pytest.raises(FormatError, match=r"2\.png"):
        batches(open_feed(layer(), "TRAIN", 5, root=folder), 3)


def test_a_label_map_of_another_size_is_refused_by_name(folder: Path) -> None:
    Image.new("L", (3, 3)).save(folder / "1_mask.png")
    with pytest.raises(DataError, match=r"1_mask\.png: label map is 3x3"):
        batches(open_feed(layer(), "TRAIN", 5, root=folder, workers=0), 3)


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("0.png 0_mask.png 1 2 3", FormatError, "list.txt:1: 5 fields, expected 6"),
        ("0.png 0_mask.png 1 2 x 4", FormatError, "'x' where a whole number"),
        ("0.png 0_mask.png 1 2 3 99999999999999", FormatError, "outside"),
        ("0.png 0_mask.png 5 2 3 4", FormatError, "ends before it begins"),
        ("no.png 0_mask.png 1 2 3 4", DataError, "1 of 2 files are missing"),
        ("", DataError, "no samples"),
    ],
)
def test_bad_index_files_are_refused(folder: Path, line: str, error: type[Exception], message: str) -> None:
    (folder / "list.txt").write_text(line + "\n")
    with pytest.raises(error, match=message):
        open_feed(layer(), "TRAIN", 5, root=folder)


def test_a_missing_or_binary_index_file_is_refused(folder: Path) -> None:
    (folder / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="not a text file"):
        open_feed(layer(), "TRAIN", 5, root=folder)
    with pytest.raises(DataError, match="no such index file"):
        open_feed(layer(), "TRAIN", 5, root=folder / "nowhere")


def test_a_batch_of_pictures_of_different_size_is_refused(folder: Path) -> None:
    (folder / "list.txt").write_text("".join(f"{i}.png {i}_mask.png\n" for i in range(4)))
    feed = open_feed(layer("IMAGE_SEG_DATA", crop=0, more="new_width: 0"), "TRAIN", 5, root=folder, workers=0)
    with pytest.raises(DataError, match="set crop_size"):
        feed.next()


def test_label_types_image_and_none(folder: Path) -> None:
    (folder / "list.txt").write_text("".join(f"{i}.png {i + 3}\n" for i in range(4)))
    spec = layer("IMAGE_SEG_DATA", shuffle="false", more="new_width: 9 new_height: 9")
    spec.options("image_data_param").set("label_type", "IMAGE")
    label = open_feed(spec, "TRAIN", 5, root=folder, workers=0).next()["label"]
    assert [label[i].unique().tolist() for i in range(3)] == [[3.0], [4.0], [5.0]]


def test_layers_that_cannot_be_read_are_named() -> None:
    text = 'layers { name: "d" type: WINDOW_DATA top: "a" window_data_param { source: "x" batch_size: 1 } }\n'
    (spec,) = data_layers(load_net(text, phase="TRAIN"))
    with pytest.raises(UnsupportedError, match=r"layer 'd'.*WindowData"):
        open_feed(spec, "TRAIN", 0)
    text = 'layer { name: "r" type: "ReLU" bottom: "a" top: "a" }\n'
    with pytest.raises(InputError, match="no data layer"):
        open_feed(load_net('input: "a"\n' + text).layers[-1], "TRAIN", 0)


def test_paths_start_from_the_data_folder_unless_they_are_absolute(tmp_path: Path) -> None:
    (tmp_path / "there.png").write_bytes(b"x")
    assert resolve("", "a/b.png", tmp_path) == tmp_path / "a/b.png"
    assert resolve("", "/a/b.png", tmp_path) == tmp_path / "a/b.png"
    assert resolve("./VOC2012", "/a/b.png", tmp_path) == tmp_path / "VOC2012/a/b.png"
    assert resolve("", str(tmp_path / "there.png"), tmp_path / "x") == tmp_path / "there.png"
    assert resolve("./VOC2012", "/a.png", None) == Path("VOC2012/a.png")


def test_a_path_named_by_many_windows_is_kept_once(folder: Path) -> None:
    samples = read_sample_list(folder / "list.txt", data_root=folder, windows=True)
    assert len(samples) == 8
    assert len(samples.paths) == 8  # four pictures, four label maps
    assert samples.windows is not None
    assert samples.windows[0].tolist() == [-3, 2, 6, 10]


def test_the_cache_stays_within_its_budget_and_forgets_the_oldest() -> None:
    made: list[str] = []

    def decode(path: str) -> np.ndarray:
        made.append(path)
        return np.zeros(40, np.uint8)

    cache = DecodedCache(budget=100)
    for path in ("a", "b", "a", "c", "a", "b"):
        assert not cache.get(path, decode).flags.writeable
        assert cache.bytes <= 100
    assert made == ["a", "b", "c", "b"]
    assert DecodedCache(budget=10).get("a", decode).nbytes == 40


def test_the_prefetcher_keeps_the_order_and_passes_errors_on() -> None:
    def make(number: int) -> int:
        if number == 5:
            raise DataError("the sixth is bad")
        return number

    feed: Prefetcher[int] = Prefetcher(make, workers=3, depth=4)
    assert [feed.next() for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(DataError, match="the sixth"):
        feed.next()
    feed.seek(2)
    assert feed.next() == 2
    feed.close()


def test_array_feed_is_cyclic_and_resumes() -> None:
    arrays: dict[str, Any] = {"x": np.arange(5, dtype=np.float32)}
    feed = ArrayFeed(arrays, 2)
    assert [feed.next()["x"].tolist() for _ in range(3)] == [[0, 1], [2, 3], [4, 0]]
    other = ArrayFeed(arrays, 2)
    other.load_state(feed.state())
    assert other.next()["x"].tolist() == [1, 2]
    with pytest.raises(InputError, match="same number"):
        ArrayFeed({"x": np.zeros(3), "y": np.zeros(2)}, 1)


def test_every_worker_has_a_batch_to_make() -> None:
    """More workers than the depth asks for: all of them are at work at once, or the barrier would break."""
    together = threading.Barrier(8)

    def make(number: int) -> int:
        together.wait(timeout=60)
        return number

    feed: Prefetcher[int] = Prefetcher(make, workers=8, depth=2)
    assert feed.next() == 0
    together.abort()
    feed.close()


def test_pinned_batches_are_pinned_where_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def pin(blob: torch.Tensor) -> torch.Tensor:
        made.append(threading.current_thread().name)
        return blob

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)

    class Numbers(OrderedFeed):
        def _make_batch(self, number: int) -> dict[str, torch.Tensor]:
            return {"data": torch.tensor(number), "label": torch.tensor(-number)}

    feed = Numbers(layer(), SampleOrder(4, seed=1, stream="d", shuffle=False), 1, workers=1)
    feed.pinned = True
    assert feed.next() == {"data": 0, "label": 0}
    feed.close()
    assert len(made) >= 2
    assert all(name.startswith("feed") for name in made)
