"""The paper's figures: what they compute, and that the commands draw it."""

from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from repro import paths
from repro.cli.main import main
from repro.data.photograph import read_photograph
from repro.data.shapes import ShapesConfig, generate_image, write_shapes
from repro.errors import InputError
from repro.net import Net
from repro.papers.deconvnet import RECIPES, infer_image
from repro.papers.deconvnet.figures import activations, aggregation, layer_rows
from repro.papers.deconvnet.models import load_model
from repro.papers.deconvnet.windows import select_windows
from repro.report.figures import activation_figure, heat

MINI = ("deconv5_3", "unpool4", "deconv4_3", "unpool3", "deconv3_3", "unpool2", "deconv2_2", "unpool1", "deconv1_2")
BOXES = np.array([[0, 0, 60, 60], [10, 10, 119, 99], [30, 20, 90, 110], [5, 40, 100, 118]])


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes") / "set"
    write_shapes(folder, ShapesConfig(seed=5, images=2, val_fraction=Fraction(1)))
    return folder


@pytest.fixture(scope="module")
def net() -> Net:
    return Net(paths.prototxt("deconvnet_mini/deploy"), paths.weights("deconvnet_mini.caffemodel"))


@pytest.fixture(scope="module")
def crop() -> torch.Tensor:
    image = generate_image(5, 0)[0][:96, :96].astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1)))[None] - 110


def test_the_layers_of_the_papers_figure(net: Net, crop: torch.Tensor) -> None:
    found = activations(net, crop)
    assert tuple(a.layer for a in found) == MINI
    assert [a.plane.shape[0] for a in found] == [6, 12, 12, 24, 24, 48, 48, 96, 96]


def test_maps_are_those_behind_bn_and_relu(net: Net, crop: torch.Tensor) -> None:
    with torch.inference_mode():
        blobs = net(capture=True, data=crop)
    for one in activations(net, crop, ["conv1_1", "deconv1_2"], "energy"):
        blob = blobs[one.layer][0].detach().numpy()
        np.testing.assert_array_equal(one.plane, blob[one.channel])
        assert one.channel == (blob.astype(np.float64) ** 2).sum((1, 2)).argmax()
        assert one.plane.min() >= 0


def test_object_selects_the_channel_that_is_most_like_the_foreground(net: Net, crop: torch.Tensor) -> None:
    (one,) = activations(net, crop, ["deconv1_2"])
    with torch.inference_mode():
        blobs = net(capture=True, data=crop)
    foreground = 1 - blobs["seg-score"][0].detach().softmax(0)[0].numpy()
    likeness = [np.corrcoef(foreground.ravel(), m.ravel())[0, 1] for m in blobs["deconv1_2"][0].detach().numpy()]
    assert one.channel == np.nanargmax(likeness)


def test_other_layers_and_nets(net: Net, crop: torch.Tensor) -> None:
    with pytest.raises(InputError, match="no layer nothing with maps; there are conv1_1, "):
        activations(net, crop, ["nothing"])
    with pytest.raises(InputError, match="expected one of object, energy"):
        activations(net, crop, select="best")  # type: ignore[arg-type]
    fcn = Net(paths.prototxt("fcn8s_mini/deploy"), seed=0)
    with pytest.raises(InputError, match="no unpooling layer"):
        activations(fcn, crop)
    assert [a.layer for a in activations(fcn, crop, ["pool3"])] == ["pool3"]


def test_the_last_step_is_the_pipelines_own_result() -> None:
    image = generate_image(5, 1)[0]
    scorer, recipe = load_model("mini", None, RECIPES["release"])
    boxes = BOXES
    windows = select_windows(boxes, image.shape[:2], recipe)
    steps = aggregation(image, windows, scorer, recipe, (1, 2, 50))
    assert [len(step.windows) for step in steps] == [1, 2, len(windows)]
    sides = steps[-1].windows[:, 2:] - steps[-1].windows[:, :2] + 1
    assert (np.diff(sides.prod(1)) <= 0).all()
    np.testing.assert_array_equal(steps[-1].labels, infer_image(image, boxes, scorer, recipe)["ens_labels"])
    first = infer_image(image, steps[0].windows, scorer, recipe)["ens_labels"]
    np.testing.assert_array_equal(steps[0].labels, first)
    with pytest.raises(InputError, match="no window"):
        aggregation(image, windows[:0], scorer, recipe, (1,))
    with pytest.raises(InputError, match="growing numbers"):
        aggregation(image, windows, scorer, recipe, (3, 1))


@pytest.mark.parametrize(("name", "total"), [("deconvnet/deploy", 251_805_653), ("fcn/fcn8s_deploy", 134_489_780)])
def test_layer_rows_hold_every_parameter(name: str, total: int) -> None:
    rows = layer_rows(paths.prototxt(name))
    counts = [int(row[-1].replace(",", "")) for row in rows[1:-1] if row[-1] != "–"]
    assert sum(counts) == total == int(rows[-1][-1].replace(",", ""))


def test_layer_rows_are_the_papers() -> None:
    rows = {row[0]: row[1:5] for row in layer_rows(paths.prototxt("deconvnet/deploy"))}
    assert rows["conv1_1"] == ["3", "1", "1", "224 × 224 × 64"]
    assert rows["unpool5"] == ["2", "2", "0", "14 × 14 × 512"]
    assert rows["fc6-deconv"] == ["7", "1", "0", "7 × 7 × 512"]
    assert "bn1_1" not in rows
    assert "bn1_1" in [row[0] for row in layer_rows(paths.prototxt("deconvnet/deploy"), everything=True)]


def test_bn_that_is_not_in_place_belongs_to_its_convolution() -> None:
    text = """input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
    layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 2 kernel_h: 1
      kernel_w: 3 } }
    layer { name: "b" type: "BatchNorm" bottom: "c" top: "b" }
    layer { name: "s" type: "Scale" bottom: "b" top: "s" scale_param { bias_term: true } }"""
    rows = layer_rows(text)
    assert [row[0] for row in rows][-2:] == ["c", "total"]
    assert rows[-2][1:] == ["1 × 3", "1", "0", "8 × 6 × 2", str(3 * 3 * 2 + 2 + 5 + 4)]


def test_heat() -> None:
    plane = np.array([[0, 1], [2, 4]], np.float32)
    assert heat(plane, "gray")[:, :, 0].tolist() == [[0, 63], [127, 255]]
    assert heat(np.zeros((2, 2), np.float32)).shape == (2, 2, 3)
    with pytest.raises(InputError, match="colormap 'x'"):
        heat(plane, "x")
    figure = activation_figure(np.zeros((9, 5, 3), np.uint8), [("a", plane)] * 9, side=100)
    assert figure.shape[1] > 500


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        return picture.size


def test_commands(voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photographs = sorted((voc / "JPEGImages").glob("*.jpg"))
    truth = voc / "SegmentationClass" / f"{photographs[0].stem}.png"
    out = tmp_path / "new" / "a.png"
    own = ["--prototxt", str(paths.prototxt("deconvnet_mini/deploy")), "--layers", "deconv1_2"]
    assert main(["figure", "activations", str(photographs[0]), "-o", str(out), "--box", "0,0,80,80", *own]) == 0
    assert size(out)[0] < 1000
    assert main(["figure", "activations", str(photographs[0]), "-o", str(out), "--select", "energy"]) == 0
    assert size(out)[0] > 2000
    command = ["figure", "proposals", str(photographs[0]), "-o", str(tmp_path / "p.png"), "--truth", str(truth)]
    assert main([*command, "--counts", "1,3", "--max-proposals", "3"]) == 0
    assert size(tmp_path / "p.png")[0] > 1300
    columns = ["--columns", "DeconvNet,DeconvNet+CRF", "--max-proposals", "3"]
    assert main(["figure", "compare", "--voc", str(voc), "-o", str(tmp_path / "c.png"), *columns, "--names"]) == 0
    assert main(["figure", "compare", str(photographs[0]), "-o", str(tmp_path / "d.png"), *columns]) == 0
    assert size(tmp_path / "c.png")[0] - size(tmp_path / "d.png")[0] > 400
    assert "2 photographs, DeconvNet, DeconvNet+CRF" in capsys.readouterr().out


def test_layer_table_files(tmp_path: Path) -> None:
    for suffix in ("png", "md", "csv", "tex"):
        assert main(["figure", "layers", "-o", str(tmp_path / f"t.{suffix}")]) == 0
    assert size(tmp_path / "t.png")[0] > 1500
    with (tmp_path / "t.csv").open(newline="") as file:
        assert list(csv.reader(file)) == layer_rows(paths.prototxt("deconvnet/deploy"))
    assert r"conv1\_1 & 3 & 1 & 1 & 224 $\times$ 224 $\times$ 64 & 1,920 \\" in (tmp_path / "t.tex").read_text()
    assert (tmp_path / "t.md").read_text().count("\n") == len(layer_rows(paths.prototxt("deconvnet/deploy"))) + 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["activations", "x.jpg", "-o", "a.jpg"], "a name that ends in .png"),
        (["layers", "-o", "a.gif"], ".png, .md, .csv, .tex"),
        (["activations", "x.jpg", "-o", "a.png"], "x.jpg: no such file"),
        (["activations", "p.png", "-o", "a.png", "--box", "500,0,600,9"], "lies outside of p.png"),
        (["activations", "p.png", "-o", "a.png", "--box", "5,0,1,9"], "--box"),
        (["activations", "p.png", "-o", "a.png", "--layers", "x"], "no layer x"),
        (["compare", "-o", "a.png"], "one of the two"),
        (["compare", "p.png", "--voc", "v", "-o", "a.png"], "one of the two"),
        (["compare", "p.png", "-o", "a.png", "--columns", "Mine"], "there are FCN8s"),
        (["proposals", "p.png", "-o", "a.png", "--truth", "q.png"], "labels of 3×3"),
        (["layers", "none.prototxt", "-o", "a.png"], "none.prototxt"),
    ],
)
def test_bad_commands(command: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                      capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save("p.png")
    Image.fromarray(np.zeros((3, 3), np.uint8)).save("q.png")
    assert main(["figure", *command]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "a.png").exists()


def test_boxes_with_parts_outside_are_drawn(voc: Path) -> None:
    from repro.report.boxes import draw_boxes

    image = read_photograph(next((voc / "JPEGImages").glob("*.jpg")))
    boxes = np.array([[-100, -100, 20, 20], [5, 5, 9000, 9000]])
    shown = draw_boxes(image, boxes, truth=boxes, caption="two")
    assert shown.shape[1] >= image.shape[1]
    assert (draw_boxes(image, boxes[:0], side=1) == image).all()
    with pytest.raises(InputError, match=r"\(N, 4\)"):
        draw_boxes(image, boxes[:, :3])
