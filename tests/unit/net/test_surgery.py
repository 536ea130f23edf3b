"""Net surgery: fully connected layers and convolutions hold the same values; upsamplings interpolate; refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from repro.caffe import read_caffemodel
from repro.cli.main import main
from repro.errors import InputError, WeightsError
from repro.net import Net
from repro.surgery import bilinear_kernel, operate, source_arrays

BODY = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 6 kernel_size: 3 pad: %d weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 4 stride: 4 } }
"""
INPUT = 'layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: %d dim: %d } } }'
CLASSIFIER = """
layer { name: "fc6" type: "InnerProduct" bottom: "pool" top: "fc6"
  inner_product_param { num_output: 9 weight_filler { type: "xavier" } bias_filler { type: "constant" value: 0.3 } } }
layer { name: "relu6" type: "ReLU" bottom: "fc6" top: "fc6" }
layer { name: "fc8" type: "InnerProduct" bottom: "fc6" top: "fc8"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
"""
CONVOLUTIONS = """
layer { name: "fc6" type: "Convolution" bottom: "pool" top: "fc6"
  convolution_param { num_output: 9 kernel_size: 7 } }
layer { name: "relu6" type: "ReLU" bottom: "fc6" top: "fc6" }
layer { name: "fc8" type: "Convolution" bottom: "fc6" top: "fc8" convolution_param { num_output: 5 kernel_size: 1 } }
"""
SCORES = """
layer { name: "score" type: "Convolution" bottom: "fc6" top: "score"
  convolution_param { num_output: 5 kernel_size: 1 } }
layer { name: "up" type: "Deconvolution" bottom: "score" top: "up"
  convolution_param { num_output: 5 bias_term: false kernel_size: 4 stride: 2 } }
"""


def classifier(pad: int = 0) -> Net:
    # 7 x 7 poolings of 4, as 224 is 7 x 7 of VGG's 32; without padding the convolution takes a pixel on each side
    side = 28 if pad else 30
    return Net(INPUT % (side, side) + BODY % pad + CLASSIFIER, seed=4)


def arrays(net: Net) -> dict[str, list[np.ndarray]]:
    return {name: [p.detach().numpy() for p in blobs] for name, blobs in net.params.items()}


def test_one_window_gives_the_classifiers_own_output() -> None:
    small = classifier()
    done = operate(arrays(small), INPUT % (30, 30) + BODY % 0 + CONVOLUTIONS)
    assert (done.taken, done.reshaped, done.filled, done.unused) == (["conv"], ["fc6", "fc8"], [], [])
    net = Net(INPUT % (30, 30) + BODY % 0 + CONVOLUTIONS, done.arrays, numerics="exact")
    x = torch.randn(1, 3, 30, 30, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = Net(small.spec, arrays(small), numerics="exact")(data=x)["fc8"]
        torch.testing.assert_close(net(data=x)["fc8"][..., 0, 0], expected, rtol=1e-6, atol=1e-6)


def test_every_place_of_a_larger_picture_is_a_window_of_its_own() -> None:
    """A picture of 12 x 12 poolings, as 384 is of VGG's 32, has 6 x 6 windows of 7 x 7."""
    small = classifier()
    net = Net(INPUT % (50, 50) + BODY % 0 + CONVOLUTIONS, operate(arrays(small), small.spec).arrays, allow_reshape=True)
    x = torch.randn(1, 3, 50, 50, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        map_of_scores = net(data=x)["fc8"]
        assert map_of_scores.shape == (1, 5, 6, 6)
        for row in range(6):
            for column in range(6):
                crop = x[:, :, 4 * row : 4 * row + 30, 4 * column : 4 * column + 30]
                expected = small(data=crop)["fc8"]
                torch.testing.assert_close(map_of_scores[..., row, column], expected, rtol=1e-5, atol=1e-6)


def test_there_and_back_is_the_same_to_the_bit() -> None:
    small = classifier()
    there = operate(arrays(small), INPUT % (50, 50) + BODY % 0 + CONVOLUTIONS)
    back = operate(there.arrays, small.spec)
    assert back.reshaped == ["fc6", "fc8"]
    for name, blobs in arrays(small).items():
        for mine, original in zip(back.arrays[name], blobs, strict=True):
            np.testing.assert_array_equal(mine, original)
            assert mine.shape == original.shape


def test_new_layers_interpolate_or_start_at_zero() -> None:
    done = operate(
        arrays(classifier()), INPUT % (30, 30) + BODY % 0 + CONVOLUTIONS.split('layer { name: "fc8"')[0] + SCORES
    )
    assert (done.interpolating, done.filled, done.unused) == (["up"], ["score"], ["fc8"])
    assert not done.arrays["score"][0].any()
    (weight,) = done.arrays["up"]
    assert weight.shape == (5, 5, 4, 4)
    for row in range(5):
        for column in range(5):
            np.testing.assert_array_equal(
                weight[row, column], bilinear_kernel(4) if row == column else np.zeros((4, 4))
            )


@pytest.mark.parametrize(("side", "line"), [(4, [0.25, 0.75, 0.75, 0.25]), (3, [0.5, 1, 0.5]), (1, [1.0])])
def test_bilinear_kernel(side: int, line: list[float]) -> None:
    np.testing.assert_allclose(bilinear_kernel(side), np.outer(line, line))


@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (64, 32), (63, 32), (16, 8)])
def test_interpolation_keeps_a_constant(kernel: int, stride: int) -> None:
    up = torch.nn.functional.conv_transpose2d(
        torch.ones(1, 1, 5, 5), torch.from_numpy(bilinear_kernel(kernel))[None, None], stride=stride
    )
    inside = up[0, 0, kernel:-kernel, kernel:-kernel]
    assert inside.numel()
    torch.testing.assert_close(inside, torch.ones_like(inside))


def test_renamed_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = classifier()
    small.save(tmp_path / "a.caffemodel")
    (tmp_path / "net.prototxt").write_text(INPUT % (30, 30) + BODY % 0 + CONVOLUTIONS.replace("fc8", "score_fr"))
    files = [str(tmp_path / name) for name in ("a.caffemodel", "net.prototxt", "b.caffemodel")]
    assert main(["surgery", *files[:2], "-o", files[2], "--rename", "fc8=score_fr"]) == 0
    assert "the same values in another shape: fc6, score_fr" in capsys.readouterr().out
    stored = source_arrays(read_caffemodel(Path(files[2])))
    np.testing.assert_array_equal(stored["score_fr"][0].reshape(5, 9), arrays(small)["fc8"][0])
    assert main(["surgery", *files[:2], "-o", files[2], "--drop", "fc8"]) == 0
    assert "new, with their fillers' values: score_fr" in capsys.readouterr().out


def test_refused() -> None:
    given = arrays(classifier())
    with pytest.raises(InputError, match="no layer fc9 to rename; it has conv"):
        operate(given, INPUT % (30, 30) + BODY % 0 + CONVOLUTIONS, renames={"fc9": "fc8"})
    with pytest.raises(InputError, match="two layers would be called fc8"):
        operate(given, INPUT % (30, 30) + BODY % 0 + CONVOLUTIONS, renames={"fc6": "fc8"})
    with pytest.raises(InputError, match="two layers would be called the same"):
        operate(given, INPUT % (30, 30) + BODY % 0 + CONVOLUTIONS, renames={"fc6": "x", "fc8": "x"})
    with pytest.raises(WeightsError, match=r"layer 'fc6' has blobs \[\(9, 294\), \(9,\)\]"):
        operate(given, INPUT % (30, 30) + BODY % 0 + CONVOLUTIONS.replace("kernel_size: 7", "kernel_size: 5"))
    with pytest.raises(WeightsError, match="not one layer"):
        operate({"other": [np.zeros(3)]}, INPUT % (30, 30) + BODY % 0 + CONVOLUTIONS)


SHARED = """
layer { name: "a" type: "Convolution" bottom: "data" top: "a" param { name: "w" } param { name: "b" }
  convolution_param { num_output: 3 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "b" type: "Convolution" bottom: "a" top: "b" param { name: "w" } param { name: "b" }
  convolution_param { num_output: 3 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "c" type: "Convolution" bottom: "b" top: "c" param { name: "w" }
  convolution_param { num_output: 3 kernel_size: 1 weight_filler { type: "xavier" } } }
"""


@pytest.mark.parametrize("there", ["a", "b", "c"])
def test_layers_that_share_parameters_have_those_of_the_one_there_is(there: str, tmp_path: Path) -> None:
    """Of a net of several scales the source has one; the fillers of the others would be loaded over its weights."""
    weight, bias = np.arange(9, dtype=np.float32).reshape(3, 3, 1, 1), np.full(3, 7, np.float32)
    done = operate({there: [weight, bias]}, INPUT % (4, 4) + SHARED)
    net = Net(INPUT % (4, 4) + SHARED, done.arrays)
    for name in "abc":
        np.testing.assert_array_equal(net.params[name][0].detach().numpy(), weight, name)
    np.testing.assert_array_equal(net.params["c"][1].detach().numpy(), bias if there == "c" else 0)
    assert done.taken == [there]
    # c's bias is its own
    expected = {"a": (["b"], ["c"]), "b": (["a"], ["c"]), "c": ([], ["a", "b"])}
    assert (done.shared, done.filled) == expected[there]


def test_inner_products_that_say_transpose() -> None:
    usual, turned = (
        INPUT % (2, 3) + 'layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { '
        f'num_output: 5 transpose: {say} weight_filler {{ type: "xavier" }} }} }}'
        for say in ("false", "true")
    )
    convolution = INPUT % (2, 3) + (
        'layer { name: "fc" type: "Convolution" bottom: "data" top: "fc" convolution_param { num_output: 5 '
        'kernel_h: 2 kernel_w: 3 weight_filler { type: "xavier" } } }'
    )
    x = torch.randn(1, 3, 2, 3, generator=torch.Generator().manual_seed(5))
    for source in (usual, turned, convolution):
        net = Net(source, seed=3)
        expected = net(data=x)["fc"].flatten()
        for target in (usual, turned, convolution):
            moved = Net(target, operate(arrays(net), target).arrays)
            torch.testing.assert_close(moved(data=x)["fc"].flatten(), expected)


def test_values_of_another_number_of_outputs_are_not_taken() -> None:
    given = {"fc6": [np.zeros((18, 147), np.float32), np.zeros(9, np.float32)]}
    text = INPUT % (30, 30) + BODY % 0 + CONVOLUTIONS
    with pytest.raises(
        WeightsError, match=r"mine: layer 'fc6' has a blob of shape \(18, 147\).*not those of 9 outputs"
    ):
        operate(given, text, name="mine")
