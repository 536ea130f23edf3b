"""Where a network's parameters and multiply-adds lie, stage by stage, as `repro summary` counts them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from repro import paths
from repro.errors import InputError
from repro.report.bars import MEASURED, Bar, Group, bar_chart
from repro.report.canvas import save_flat
from repro.summary import summarize

WORK = (255, 127, 14)


@dataclass(frozen=True)
class Stages:
    """A net, and its stages in order: (name, regular expression of its layers' whole names)."""

    title: str
    prototxt: str
    stages: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Cost:
    """Parameters and multiply-adds of a stage."""

    name: str
    params: int
    macs: int


DECOUPLEDNET = Stages(
    "DecoupledNet, one class of a 320 x 320 picture",
    "decouplednet/decouplednet_deploy",
    (
        ("classifier: convolutions", r"conv[1-5]_.*"),
        ("classifier: fc6, fc7, scores", r"fc6|fc7|cls-score-voc"),
        ("bridging layers", r".*-bp.*|pool5-bn"),
        ("segmentation: fc6, fc7", r".*fc[67]-seg"),
        ("segmentation: decoder", r"(fc6-deconv|deconv|debn|seg-score).*"),
    ),
)
ENET = Stages(
    "ENet, a 1024 x 512 picture",
    "enet/deploy",
    (
        ("initial block, 512 x 256", r"[a-z]+0_.*"),
        ("stage 1, 256 x 128", r"[a-z]+1_.*"),
        ("stage 2, 128 x 64", r"[a-z]+2_.*"),
        ("stage 3, 128 x 64", r"[a-z]+3_.*"),
        ("stage 4, 256 x 128", r"[a-z]+4_.*"),
        ("stage 5, 512 x 256", r"[a-z]+5_.*"),
        ("last deconvolution", r"[a-z]+6_.*"),
    ),
)
ICNET = Stages(
    "ICNet, a 2049 x 1025 picture",
    "icnet/deploy",
    (
        ("half: stages 1, 2, start of 3", r"data_sub2|conv[12]_(?!sub).*|conv3_1_[13]x.*"),
        ("quarter: rest of 3, and 4", r"conv3_1_sub4|conv3_[234]_.*|conv4_.*"),
        ("quarter: 5, pyramid", r"conv5_(?!4_interp).*"),
        ("whole: three convolutions", r"data_sub1|conv[123]_sub1.*"),
        ("fusion, classifier", r"conv5_4_interp|conv_sub.*|conv3_1_sub2.*|sub.*|conv6.*"),
    ),
)


def costs(stages: Stages) -> list[Cost]:
    """Every stage's share; together all of the net's."""
    found = {name: [0, 0] for name, _ in stages.stages}
    for layer in summarize(paths.prototxt(stages.prototxt)).layers:
        if not (layer.params or layer.macs):
            continue
        names = [name for name, pattern in stages.stages if re.fullmatch(pattern, layer.name)]
        if len(names) != 1:
            raise InputError(f"{stages.prototxt}: layer '{layer.name}' is in {len(names)} stages")
        found[names[0]][0] += layer.params
        found[names[0]][1] += layer.macs
    return [Cost(name, params, macs) for name, (params, macs) in found.items()]


def draw(path: Path, stages: Stages) -> None:
    """Two bars per stage as PNG: its share of the parameters and of the multiply-adds."""
    parts = costs(stages)
    params, macs = total(parts)
    groups = [
        Group(_named(part), (Bar(100 * part.params / params), Bar(100 * part.macs / macs, WORK))) for part in parts
    ]
    legend = (
        (f"percent of {params:,} parameters", MEASURED),
        (f"percent of {macs / 1e9:.2f} G multiply-adds", WORK),
    )
    save_flat(path, bar_chart(stages.title, groups, legend), 64)


def _named(part: Cost) -> str:
    return f"{part.name}: {_short(part.params)}, {_short(part.macs)}"


def _short(count: int) -> str:
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


def total(parts: Sequence[Cost]) -> tuple[int, int]:
    """Parameters and multiply-adds of all stages."""
    return sum(part.params for part in parts), sum(part.macs for part in parts)
