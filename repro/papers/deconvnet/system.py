"""DeconvNet as one of the systems: its networks, Table 1, and what `repro table1` measured."""

from __future__ import annotations

import json
from pathlib import Path

from repro.papers.deconvnet.table1.published import published_rows
from repro.papers.system import Measured, Network, Original, System, Table
from repro.report.palette import VOC_CLASSES

TABLE_1 = "Table 1: PASCAL VOC 2012 test, mean IoU"
_MINI = (
    "the mini networks on 40 generated pictures (`repro table1`, docs/table1.md): smaller nets on other pictures, "
    "to be compared with each other, not with the paper's"
)
_SMALL_VOC = (
    "small-voc, a small network, on 100 photographs of VOC 2012 val (`repro table1 --model small-voc`, "
    "docs/training.md): another network, an hour of training, other photographs than the paper's"
)

# the same layers in the release's two training stages and its inference net
_ORIGINALS = (
    Original("HyeonwooNoh__DeconvNet__model__DeconvNet__DeconvNet_inference_deploy", "deconvnet/deploy"),
    Original(
        "HyeonwooNoh__DeconvNet__training__002_stage_2__stage_2_train",
        "deconvnet/stage_2_train",
        "TRAIN",
        (("data", (2, 3, 224, 224)), ("seg-label", (2, 1, 224, 224))),
    ),
)


def _table() -> Table:
    rows = tuple((name, (row.mean,)) for name, row in published_rows().items())
    return Table(TABLE_1, ("mean",), rows, "Noh, Hong, Han, ICCV 2015, Table 1", "`repro table1` has all classes")


def means(model: str) -> dict[str, float]:
    """Mean IoU in percent of each row of Table 1 with a shipped model, as `repro table1 --check` expects."""
    path = Path(__file__).resolve().parent / "expected.json"
    (run,) = (run for run in json.loads(path.read_text(encoding="utf-8"))["runs"] if run["model"] == model)
    return {row: values["mean"][0] for row, values in run["rows"].items()}


def _measured() -> tuple[Measured, ...]:
    photographs = tuple(Measured(row, "mean", mean, _SMALL_VOC, TABLE_1) for row, mean in means("small-voc").items())
    return (*photographs, *(Measured(f"mini: {row}", "mean", mean, _MINI) for row, mean in means("mini").items()))


SYSTEM = System(
    name="deconvnet",
    title="Learning Deconvolution Network for Semantic Segmentation",
    paper="H. Noh, S. Hong, B. Han, ICCV 2015, arXiv 1505.04366",
    headline="EDeconvNet+CRF 72.5 (VOC 2012 test)",
    networks=(
        Network(
            name="deconvnet",
            prototxt="deconvnet/deploy",
            parameters=251_805_653,
            sizes=(((1, 3, 224, 224), (1, 21, 224, 224)), ((2, 3, 224, 224), (2, 21, 224, 224))),
            inference=None,
            weights="DeconvNet_trainval_inference.caffemodel",
            train="deconvnet/stage_2_train",
            solver="deconvnet/solver_stage_2",
            train_shapes=(("data", (2, 3, 224, 224)), ("seg-label", (2, 1, 224, 224))),
            originals=_ORIGINALS,
            classes=VOC_CLASSES,
        ),
        Network(
            name="mini",
            prototxt="deconvnet_mini/deploy",
            parameters=556_741,
            sizes=(((1, 3, 96, 96), (1, 21, 96, 96)), ((2, 3, 96, 96), (2, 21, 96, 96))),
            inference=None,
            weights="deconvnet_mini.caffemodel",
            kind="mini",
            train="deconvnet_mini/stage_2_train",
            solver="deconvnet_mini/solver_stage_2",
            train_shapes=(("data", (2, 3, 96, 96)), ("seg-label", (2, 1, 96, 96))),
            classes=VOC_CLASSES,
        ),
        Network(
            name="small-voc",
            prototxt="deconvnet_small_voc/deploy",
            parameters=4_715_509,
            sizes=(((1, 3, 112, 112), (1, 21, 112, 112)), ((2, 3, 112, 112), (2, 21, 112, 112))),
            inference=None,
            weights="deconvnet_small_voc.caffemodel",
            kind="trained",
            train="deconvnet_small_voc/stage_2_train",
            solver="deconvnet_small_voc/solver_stage_2",
            train_shapes=(("data", (2, 3, 112, 112)), ("seg-label", (2, 1, 112, 112))),
            classes=VOC_CLASSES,
        ),
    ),
    published=(_table(),),
    measured=_measured(),
    ours=f"small-voc {means('small-voc')['DeconvNet+CRF']:.1f} (100 photographs of VOC 2012 val)",
    notes=("`repro table1` runs the whole table; docs/table1.md, docs/recipes.md and docs/figures.md have the rest.",),
)
