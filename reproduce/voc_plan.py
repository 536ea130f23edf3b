"""How much of the recipe fits into the minutes there are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from voc_nets import Stage

# where there is a stage 0; the others share the rest
STAGE0_SHARE = 0.1
# the paper's 2 and 4 days, and as much for FCN-8s as for stage 1
SHARES = {"stage1": 0.25, "stage2": 0.5, "fcn": 0.25}


def planned(
    stages: Sequence[Stage], minutes: float, seconds: Mapping[str, float], batches: Mapping[str, int], policy: str
) -> dict[str, Any]:
    """Iterations and all that follows from them for each stage, by its name.

    seconds: of an iteration; batches: pictures in it; policy: as in `Stage.policy`. What stage 0 leaves of its share,
    because more would teach nothing, the others get.
    """
    plan: dict[str, Any] = {}
    for stage in stages:
        if stage.name == "stage0":
            plan["stage0"] = _stage(stage, minutes * STAGE0_SHARE, seconds["stage0"], batches["stage0"], policy)
            minutes = max(minutes - plan["stage0"]["minutes"], 0.0)
        else:
            share = minutes * SHARES[stage.name]
            plan[stage.name] = _stage(stage, share, seconds[stage.name], batches[stage.name], policy)
    return plan


def _stage(stage: Stage, minutes: float, seconds: float, batch: int, policy: str) -> dict[str, Any]:
    iterations = int(60 * minutes / seconds)
    if stage.most_images:
        iterations = min(iterations, stage.most_images // batch)
    iterations = max(iterations, 2)
    return {
        "iterations": iterations,
        "batch": batch,
        "images": iterations * batch,
        "seconds_per_iteration": round(seconds, 4),
        "minutes": round(iterations * seconds / 60, 2),
        "base_lr": stage.rate,
        "lr_policy": stage.policy(policy, iterations).replace("\n", " "),
        # two and a half minutes at most are lost to a kill
        "snapshot": max(1, min(math.ceil(iterations / 2), math.ceil(150 / seconds))),
        "published": stage.published,
    }
