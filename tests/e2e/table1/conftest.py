"""A generated data set, small nets with seeded weights, and one whole run to compare others with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from table1_runs import FCN, IMAGES

from repro import Net, paths
from repro.cli.main import main
from repro.data.shapes import ShapesConfig, write_shapes
from repro.papers.deconvnet.models import FCN_MODELS, MODELS


@pytest.fixture(scope="session")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four generated pictures, all in `val`."""
    root = tmp_path_factory.mktemp("shapes")
    write_shapes(root, ShapesConfig(seed=3, images=IMAGES, val_fraction=Fraction(1)))
    return root


@pytest.fixture(scope="session")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the mini models' weights, drawn from a seed, and the small FCN's prototxt."""
    root = tmp_path_factory.mktemp("nets")
    Net(paths.prototxt(MODELS["mini"].prototxt), seed=3).save(root / MODELS["mini"].weights)
    (root / "fcn.prototxt").write_text(FCN)
    Net(root / "fcn.prototxt", seed=4).save(root / FCN_MODELS["mini"].weights)
    return root


@pytest.fixture(scope="session")
def command(data_set: Path, nets: Path) -> Callable[..., list[str]]:
    """Arguments of a small run into a folder."""

    def arguments(out: Path, *more: str, voc: Path = data_set) -> list[str]:
        few = ["--set", "max_proposals=3", "--set", "crf_iterations=1", "--absent-class", "skip"]
        of_nets = ["--model", "mini", "--weights", str(nets), "--fcn-prototxt", str(nets / "fcn.prototxt")]
        return ["table1", "--voc", str(voc), "--out", str(out), *of_nets, *few, *more]

    return arguments


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, command: Callable[..., list[str]]) -> Path:
    """The folder of one run of all rows, without a cache of scores."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert main(command(out, "--cache", "0")) == 0
    return out


@pytest.fixture
def damaged_set(data_set: Path, tmp_path: Path) -> Path:
    """The data set with a photograph cut short and one missing."""
    root = tmp_path / "damaged"
    shutil.copytree(data_set, root)
    cut, gone = sorted((root / "JPEGImages").iterdir())[1:3]
    cut.write_bytes(cut.read_bytes()[:40])
    gone.unlink()
    return root
