"""compare: rows, the first that parts, what counts as agreement, and causes that are named only when they hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from repro import Net
from repro.compare import Limit, compare, difference, match, ordered, read_reference
from repro.compare_causes import find_causes
from repro.errors import FormatError, InputError

TEXT = """
input: "data" input_shape { dim: 2 dim: 3 dim: 9 dim: 9 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" batch_norm_param { eps: 0.00001 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" top: "mask"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 ROUND } }
layer { name: "a/ip" type: "InnerProduct" bottom: "pool" top: "a/ip"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
"""


def net(text: str = TEXT, phase: str = "TEST") -> Net:
    made = Net(text.replace("ROUND", ""), seed=5, phase=phase)
    mean, variance, factor = made.params["bn"]
    with torch.no_grad():
        mean.copy_(torch.tensor([0.5, -1, 2, 0]))
        variance.copy_(torch.tensor([1.0, 2, 3e-5, 4]))
        factor.fill_(1)
    return made


def data(seed: int = 1) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal((2, 3, 9, 9)).astype(np.float32) * 60


def blobs_of(made: Net, x: np.ndarray) -> dict[str, np.ndarray]:
    with torch.no_grad():
        return {key: blob.numpy() for key, blob in made(data=x, capture=True).items()}


def test_a_net_agrees_with_itself() -> None:
    made = net()
    found = compare(made, {"data": data()}, blobs_of(made, data()), Limit(None, 0))
    assert found.first is None
    assert [row.ulp for row in found.rows] == [0] * 6
    assert [row.switches for row in found.rows] == [None] * 4 + [0, None]


def test_keys_by_blob_layer_and_number() -> None:
    made = net()
    keys = ["conv", "000__conv__conv", "003__pool__1", "7__a/ip__0", "a/ip", "data", "conv_conv_0_split_1", "other"]
    found, left = match(made, dict.fromkeys(keys, np.zeros(1)))
    assert found == {
        "conv": "002__relu__conv",
        "000__conv__conv": "000__conv__conv",
        "003__pool__1": "003__pool__mask",
        "7__a/ip__0": "004__a/ip__a/ip",
        "a/ip": "004__a/ip__a/ip",
        "data": "data",
    }
    assert left == ("other",)


def test_the_first_layer_that_parts_is_named() -> None:
    made = net()
    stored = blobs_of(made, data())
    changed = net()
    with torch.no_grad():
        changed.params["bn"][0][2] += 0.5
    found = compare(changed, {"data": data()}, stored)
    assert found.first is not None
    assert (found.first.layer, found.first.type) == ("bn", "BatchNorm")
    assert not found.rows[0].beyond(Limit())


def test_numbers_of_a_difference() -> None:
    b = np.array([1.0, -2.0, 4.0, 0.0], np.float32)
    a = b.copy()
    a[2] = np.nextafter(b[2], np.float32(5))
    row = difference("k", "l", "ReLU", a, b)
    assert (row.ulp, row.differing, row.relative) == (1, 1, float(a[2] - b[2]) / 4)
    assert difference("k", "l", "ReLU", np.float32([np.nan, 1]), np.float32([np.nan, 1])).differing == 0
    assert difference("k", "l", "ReLU", np.float32([np.nan, 1]), np.float32([0, 1])).beyond(Limit())
    assert difference("k", "l", "ReLU", np.float32([-0.0]), np.float32([0.0])).differing == 1
    assert difference("k", "l", "ReLU", np.zeros((4,), "f4"), np.zeros((1, 1, 1, 4), "f4")).shape is None
    assert difference("k", "l", "ReLU", np.zeros((4, 2), "f4"), np.zeros((2, 4), "f4")).beyond(Limit())
    tiny = np.array([-1e-45, -0.0, 0.0, 1e-45], np.float32)
    assert ordered(tiny).tolist() == [-1, 0, 0, 1]


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda x: x[:, ::-1], "other order"),
        (lambda x: x.swapaxes(2, 3), "height and width exchanged"),
        (lambda x: x / np.float32(255), "times 255 agrees"),
        (lambda x: x + np.float32([104.00699, 116.66877, 122.67892]).reshape(1, 3, 1, 1), "is not subtracted"),
        (lambda x: x - np.float32([123.68, 116.779, 103.939]).reshape(1, 3, 1, 1), "once too often"),
    ],
)
def test_causes_of_the_input(change: object, cause: str) -> None:
    made = net()
    stored = blobs_of(made, data())
    given = {"data": np.ascontiguousarray(change(data()))}  # type: ignore[operator]
    found = compare(made, given, stored)
    causes = find_causes(made, given, stored, found, Limit())
    assert len(causes) == 1
    assert cause in causes[0]


def test_causes_of_the_net() -> None:
    made, x = net(), {"data": data()}
    trained = blobs_of(net(phase="TRAIN"), data())
    found = compare(made, x, trained)
    assert find_causes(made, x, trained, found, Limit(), lambda: net(phase="TRAIN")) == (
        "the reference was made in phase TRAIN, this is TEST",
    )
    other = blobs_of(net(TEXT.replace("0.00001", "0.001")), data())
    (eps,) = find_causes(made, x, other, compare(made, x, other), Limit())
    assert "eps 0.001" in eps
    assert made.caffe_layers[2].eps == pytest.approx(1e-5)
    floor = net(TEXT.replace("ROUND", "round_mode: FLOOR"))
    stored = {k: v for k, v in blobs_of(floor, data()).items() if "ip" not in k}
    (rounding,) = find_causes(made, x, stored, compare(made, x, stored), Limit())
    assert "FLOOR" in rounding


def test_no_cause_is_made_up() -> None:
    made = net()
    stored = blobs_of(made, data(2))
    assert find_causes(made, {"data": data()}, stored, compare(made, {"data": data()}, stored), Limit()) == ()


def test_inputs_come_from_the_reference_where_it_has_them() -> None:
    made = net()
    stored = {**blobs_of(made, data()), "data": data()}
    assert compare(made, {}, stored).first is None
    with pytest.raises(InputError, match="was not given"):
        compare(made, {}, blobs_of(made, data()))


def test_references_on_disk(tmp_path: Path) -> None:
    (tmp_path / "d" / "conv1").mkdir(parents=True)
    np.save(tmp_path / "d" / "conv1" / "3x3.npy", data())
    assert list(read_reference(tmp_path / "d")) == ["conv1/3x3"]
    np.savez(tmp_path / "r.npz", conv=data())
    assert list(read_reference(tmp_path / "r.npz")) == ["conv"]
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 no zip")
    (tmp_path / "d" / "bad.npy").write_bytes(b"\x93NUMPY")
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    for path in ("empty", "bad.npz", "d", "none", "o.npy"):
        with pytest.raises(FormatError, match=path.split(".")[0]):
            read_reference(tmp_path / path)


def test_the_verb(tmp_path: Path) -> None:
    made = net()
    (tmp_path / "n.prototxt").write_text(TEXT.replace("ROUND", ""))
    made.save(tmp_path / "w.caffemodel")
    np.save(tmp_path / "x.npy", data())
    np.savez(tmp_path / "r.npz", **blobs_of(made, data()))

    def run(x: str, *more: str) -> subprocess.CompletedProcess[str]:
        files = [str(tmp_path / name) for name in ("n.prototxt", "w.caffemodel")]
        command = [sys.executable, "-m", "repro", "compare", *files, "--input", f"data={tmp_path / x}"]
        command += ["--reference", str(tmp_path / "r.npz"), *more]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    good = run("x.npy", "--max-ulp", "0")
    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "all 6 blobs agree")
    np.save(tmp_path / "rgb.npy", data()[:, ::-1])
    wrong = run("rgb.npy", "--json")
    assert wrong.returncode == 1
    told = json.loads(wrong.stdout)
    assert told["first"] == "000__conv__conv"
    assert "other order" in told["causes"][0]
    assert wrong.stderr.count("\n") == 1
    assert run("none.npy").returncode == 2
