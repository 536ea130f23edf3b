"""Layers of detectors and readers: priors, non-maximum suppression, dense blocks, rearrangements, CTC."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from repro import Net
from repro.errors import NetError
from repro.layers.detection_output import overlaps


def run(layer: str, **inputs: np.ndarray) -> np.ndarray:
    head = "".join(
        f'input: "{n}" input_shape {{ {" ".join(f"dim: {d}" for d in x.shape)} }}\n' for n, x in inputs.items()
    )
    return Net(head + layer)(**inputs)["y"].numpy()


PRIOR = 'layer {{ name: "l" type: "PriorBox" bottom: "x" bottom: "image" top: "y" prior_box_param {{ {} }} }}'


def test_priors_of_one_position() -> None:
    x, image = np.zeros((1, 1, 1, 2), np.float32), np.zeros((1, 3, 100, 200), np.float32)
    y = run(PRIOR.format("min_size: 20 max_size: 45 aspect_ratio: 4 variance: 0.1"), x=x, image=image)
    # per position: min, sqrt(min * max), ratio 4, ratio 1/4
    assert y.shape == (1, 2, 2 * 4 * 4)
    boxes = y[0, 0].reshape(2, 4, 4) * [200, 100, 200, 100]
    for place, centre in enumerate((50, 150)):
        for box, (w, h) in zip(boxes[place], ((20, 20), (30, 30), (40, 10), (10, 40)), strict=True):
            np.testing.assert_allclose(box, [centre - w / 2, 50 - h / 2, centre + w / 2, 50 + h / 2], rtol=1e-5)
    assert (y[0, 1] == np.float32(0.1)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "min_size is"),
        ("min_size: -1", "min_size is"),
        ("min_size: 10 max_size: 5", "must be above min_size"),
        ("min_size: 10 variance: 0.1 variance: 0.2", "variance is"),
        ("min_size: 10 step: 4 step_h: 4", "one form"),
        ("min_size: 10 aspect_ratio: 0", "aspect_ratio"),
    ],
)
def test_priors_that_make_no_sense(options: str, message: str) -> None:
    x = np.zeros((1, 1, 2, 2), np.float32)
    with pytest.raises(NetError, match=message):
        run(PRIOR.format(options), x=x, image=x)


DETECTION = """layer {{ name: "l" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "prior" top: "y"
  detection_output_param {{ num_classes: 2 {} }} }}"""


def _detect(options: str, scores: list[float], boxes: list[list[float]]) -> np.ndarray:
    count = len(scores)
    prior = np.stack([np.array(boxes, np.float32).reshape(-1), np.full(count * 4, 0.1, np.float32)])[None]
    conf = np.array([[1 - s, s] for s in scores], np.float32).reshape(1, -1)
    return run(DETECTION.format(options), loc=np.zeros((1, count * 4), np.float32), conf=conf, prior=prior)


def test_the_best_of_overlapping_boxes_stays() -> None:
    boxes = [[0.1, 0.1, 0.5, 0.5], [0.12, 0.1, 0.52, 0.5], [0.6, 0.6, 0.9, 0.9], [0.6, 0.6, 0.9, 0.9]]
    nms = "code_type: CENTER_SIZE nms_param { nms_threshold: 0.5 } confidence_threshold: 0.2"
    y = _detect(nms, [0.5, 0.9, 0.3, 0.1], boxes)
    np.testing.assert_allclose(y[0, 0], [[0, 1, 0.9, *boxes[1]], [0, 1, 0.3, *boxes[2]]], rtol=1e-6)
    assert _detect(nms + " keep_top_k: 1", [0.5, 0.9, 0.3, 0.1], boxes).shape == (1, 1, 1, 7)
    nothing = _detect(nms, [0.1, 0.1, 0.1, 0.1], boxes)
    assert nothing.reshape(-1).tolist() == [0, -1, -1, -1, -1, -1, -1]


def test_nan_scores_and_boxes_are_nobody() -> None:
    y = _detect(
        "code_type: CENTER_SIZE confidence_threshold: 0.2", [float("nan"), 0.9], [[0, 0, 1, 1], [0.9, 0.9, 0.1, 0.1]]
    )
    assert y.shape == (1, 1, 1, 7)


def test_overlap() -> None:
    box, others = (
        np.array([0, 0, 2, 2], np.float32),
        np.array([[1, 1, 3, 3], [2, 2, 3, 3], [0, 0, 2, 2], [1, 1, 0, 0]], np.float32),
    )
    np.testing.assert_allclose(overlaps(box, others), [1 / 7, 0, 1, 0])


def test_a_wrong_number_of_priors_is_refused() -> None:
    with pytest.raises(NetError, match="'conf' has shape"):
        run(
            DETECTION.format(""),
            loc=np.zeros((1, 8), np.float32),
            conf=np.zeros((1, 5), np.float32),
            prior=np.zeros((1, 2, 8), np.float32),
        )


def test_dense_block_is_its_layers_one_by_one() -> None:
    text = """input: "x" input_shape { dim: 2 dim: 3 dim: 4 dim: 5 }
    layer { name: "l" type: "DenseBlock" bottom: "x" top: "y" denseblock_param { numTransition: 2 growthRate: 2
      Filter_Filler { type: "gaussian" std: 1 } BN_Scaler_Filler { value: 1.5 } BN_Bias_Filler { value: 0.25 } } }"""
    net = Net(text, seed=4)
    blobs = net.params["l"]
    assert [tuple(b.shape) for b in blobs] == [(2, 3, 3, 3), (2, 5, 3, 3), *[(1, 3, 1, 1), (1, 5, 1, 1)] * 4, (1,)]
    with torch.no_grad():
        for k in (0, 1):
            blobs[6 + k].fill_(1.0)
            blobs[8 + k].fill_(8.0)
        blobs[10].fill_(2.0)
    x = np.random.default_rng(1).standard_normal((2, 3, 4, 5)).astype(np.float32)
    expected = x.astype(np.float64)
    for k in range(2):
        normal = np.maximum((expected - 0.5) / np.sqrt(4 + 1e-5) * 1.5 + 0.25, 0)
        padded, weight = np.pad(normal, ((0, 0), (0, 0), (1, 1), (1, 1))), blobs[k].detach().double().numpy()
        grown = np.zeros((2, 2, 4, 5))
        for i, j in itertools.product(range(3), range(3)):
            # a convolution proper: the kernel's last element meets the first neighbour
            grown += np.einsum("oc,nchw->nohw", weight[:, :, 2 - i, 2 - j], padded[:, :, i : i + 4, j : j + 5])
        expected = np.concatenate([expected, grown], 1)
    np.testing.assert_allclose(net(x=x)["y"].detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    trained = Net(text, seed=4, phase="TRAIN")
    trained(x=x)["y"].sum().backward()
    assert float(trained.params["l"][10]) == 1
    np.testing.assert_allclose(
        trained.params["l"][6].detach().numpy().reshape(-1), x.mean((0, 2, 3)), rtol=1e-4, atol=1e-6
    )


def test_rearrangements() -> None:
    x = np.arange(24, dtype=np.float32).reshape(1, 6, 2, 2)
    shuffled = run(
        'layer { name: "l" type: "ShuffleChannel" bottom: "x" top: "y" shuffle_channel_param { group: 2 } }', x=x
    )
    np.testing.assert_array_equal(shuffled, x[:, [0, 3, 1, 4, 2, 5]])
    turned = run(
        'layer { name: "l" type: "Transpose" bottom: "x" top: "y" transpose_param { dim: 3 dim: 2 dim: 0 dim: 1 } }',
        x=x,
    )
    np.testing.assert_array_equal(turned, x.transpose(3, 2, 0, 1))
    factor = np.arange(6, dtype=np.float32).reshape(1, 6, 1, 1)
    added = run('layer { name: "l" type: "Axpy" bottom: "a" bottom: "x" bottom: "z" top: "y" }', a=factor, x=x, z=-x)
    np.testing.assert_array_equal(added, factor * x - x)
    with pytest.raises(NetError, match="does not divide"):
        run('layer { name: "l" type: "ShuffleChannel" bottom: "x" top: "y" shuffle_channel_param { group: 4 } }', x=x)


def test_ctc_merges_repetitions_and_drops_blanks() -> None:
    path = [2, 2, 3, 1, 1, 3, 1, 0]
    x = np.zeros((8, 1, 4), np.float32)
    x[np.arange(8), 0, path] = 1
    y = run('layer { name: "l" type: "CTCGreedyDecoder" bottom: "x" top: "y" }', x=x)
    assert y.shape == (1, 8, 1, 1)
    assert y.reshape(-1).tolist() == [2, 1, 1, 0, -1, -1, -1, -1]


def test_a_recurrent_layer_goes_on_where_it_stopped() -> None:
    text = """input: "x" input_shape { dim: 2 dim: 1 dim: 3 } input: "c" input_shape { dim: 2 dim: 1 }
    layer { name: "l" type: "LSTM" bottom: "x" bottom: "c" top: "y" recurrent_param { num_output: 4
      weight_filler { type: "gaussian" std: 1 } } }"""
    x = np.random.default_rng(2).standard_normal((4, 1, 3)).astype(np.float32)
    go_on = np.array([[0], [1], [1], [1]], np.float32)
    whole = Net(text.replace("dim: 2 dim: 1", "dim: 4 dim: 1"), seed=5)(x=x, c=go_on)["y"]
    net = Net(text, seed=5)
    parts = [net(x=x[k : k + 2], c=go_on[k : k + 2])["y"] for k in (0, 2)]
    torch.testing.assert_close(torch.cat(parts), whole)
