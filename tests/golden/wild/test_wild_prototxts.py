"""Network definitions nobody here wrote: they parse, they are summarised, and their counts are the published ones."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from types import ModuleType

import pytest

from repro.caffe.unknown import KeptFieldWarning
from repro.summary import summarize

ROOT = Path(__file__).resolve().parents[3]
# how a file's name ends, the parameters its network has, and where that number stands
COUNTS = {
    "DeconvNet__DeconvNet_inference_deploy": 251_805_653,
    "model__FCN__fcn-8s-pascal-deploy": 134_489_780,
    "HyeonwooNoh__DeconvNet__training__001_stage_1__stage_1_train": 251_805_653,
    "HyeonwooNoh__DeconvNet__training__002_stage_2__stage_2_train": 251_805_653,
    "Example_Models__segnet_pascal": 29_455_125,
    "alexgkendall__SegNet-Tutorial__Models__segnet_train": 29_449_355,
    "alexgkendall__SegNet-Tutorial__Models__segnet_basic_train": 1_416_587,
    "voc-fcn32s__train.0d41620": 136_152_917,
    "shelhamer__fcn.berkeleyvision.org__voc-fcn16s__val": 134_815_994,
    "voc-fcn8s__deploy.1aa7406": 134_489_759,
    "voc-fcn-alexnet__train": 58_704_590,
    # FCN-8s' 134,489,780 and the three 21x21 matrices of the CRF
    "matlab-scripts__TVG_CRFRNN_COCO_VOC": 134_489_780 + 3 * 21 * 21,
}


@pytest.fixture
def folder(shared: Path) -> Path:
    path = shared / "data" / "wild" / "prototxt"
    if not path.is_dir():
        pytest.skip(f"the real network definitions are not here ({path})")
    return path


@pytest.fixture(scope="module")
def wild() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wild", ROOT / "benchmarks" / "wild.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_counted_as_published(folder: Path, name: str) -> None:
    (path,) = folder.glob(f"*{name}.prototxt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KeptFieldWarning)
        assert summarize(path, None).params == COUNTS[name]


def share(rows: list[dict[str, object]]) -> float:
    """Of the files that need no layer beyond those built, how many are summarised."""
    custom = sum(any(str(r).startswith("layer ") for r in row["refused"]) for row in rows)  # type: ignore[attr-defined]
    return sum(bool(row["summarised"]) for row in rows) / (len(rows) - custom)


@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore::repro.caffe.unknown.KeptFieldWarning")
def test_real_definitions_are_summarised(folder: Path, wild: ModuleType, every: int) -> None:
    rows = [wild.one(path) for path in sorted(folder.glob("*.prototxt"))[::every]]
    assert len(rows) >= 39
    # one file of the 469 holds the marks of a merge that was never finished
    assert sum(not row["syntax"] for row in rows) <= 1
    assert share(rows) >= 0.94
