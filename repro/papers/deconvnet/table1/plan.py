"""A run of Table 1 before its first photograph: everything read, checked and loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.data.voc import VocFolder, read_ids
from repro.errors import InputError
from repro.files import sha256_of
from repro.papers.deconvnet.models import FCN_MODELS, load_fcn, load_model
from repro.papers.deconvnet.recipe import Recipe, resolve_recipe
from repro.papers.deconvnet.recipe_text import with_settings
from repro.papers.deconvnet.sources import EDGE_BOXES, box_source
from repro.papers.deconvnet.table1.records import RunFolder
from repro.papers.deconvnet.table1.rows import ROWS, Row, check_recipe, rows_named
from repro.papers.deconvnet.table1.run import Pass, has_truth
from repro.papers.deconvnet.table1.score_cache import ScoreCache
from repro.papers.deconvnet.table1.scoring import PhotographScorer
from repro.papers.deconvnet.table1.stages import Stages, peak_memory
from repro.papers.scorer import NetScorer
from repro.report.palette import VOC_CLASSES


@dataclass(frozen=True)
class Options:
    """What `repro table1` is asked for; the meaning of each stands in its help."""

    voc: str
    out: str
    split: str = "val"
    rows: str | None = None
    limit: int | None = None
    resume: bool = False
    model: str = "deconvnet"
    weights: str | None = None
    prototxt: str | None = None
    fcn_prototxt: str | None = None
    recipe: str = "release"
    set: Sequence[str] = ()
    proposals: str = "edge-boxes"
    edge_model: str | None = None
    device: str = "cpu"
    numerics: str = "native"
    on_error: str = "stop"
    cache: float = 24.0
    cache_dir: str | None = None


@dataclass(frozen=True)
class Plan:
    """names: the images in order; about: what is run, in words, for the table's head."""

    names: tuple[str, ...]
    rows: tuple[Row, ...]
    about: dict[str, str]
    folder: RunFolder
    work: Pass
    cache: ScoreCache

    def spent(self) -> dict[str, Any]:
        """Seconds and calls per stage, bytes of memory, and what the cache did, as plain data."""
        stages, cache = self.work.stages, self.cache
        return {
            "seconds": stages.seconds,
            "calls": stages.calls,
            "memory": peak_memory(self.work.device),
            "cache": {"hits": cache.hits, "misses": cache.misses, "damaged": cache.damaged},
        }


def make_plan(options: Options) -> Plan:
    """Read and check all that can be before work begins; InputError, DataError, WeightsError and what `Net` raises."""
    if not 0 <= options.cache < 1e9:
        raise InputError(f"--cache {options.cache}: gigabytes expected, 0 for none")
    voc = VocFolder(options.voc)
    names = _names(voc, options)
    rows = rows_named(usual_rows(options.model) if options.rows is None else options.rows)
    skip = options.on_error == "skip"
    if not skip:
        voc.require(names, "image")
    scored = has_truth(voc, names, skip=skip)
    source = box_source(options.proposals, options.edge_model)
    if not skip:
        for name in names:
            source.check(voc.image_path(name))
    recipe = source.adapt(resolve_recipe(options.recipe))
    deconv, fcn, recipe = _networks(rows, recipe, options)
    if recipe.num_classes != len(VOC_CLASSES):
        raise InputError(f"num_classes={recipe.num_classes}: Table 1 has the {len(VOC_CLASSES)} of PASCAL VOC")
    check_recipe(rows, recipe)
    stages = Stages(options.device)
    cache = ScoreCache(options.cache_dir or Path(options.out, "cache"), int(options.cache * 1e9))
    folder = RunFolder(options.out, _settings(options, rows, recipe, deconv, fcn, scored), resume=options.resume)
    scorer = PhotographScorer(deconv, fcn, source, recipe, cache, stages)
    work = Pass(voc, rows, recipe, scorer, folder, stages, scored, skip, options.device, _boxes(options))
    return Plan(tuple(names), rows, _about(options), folder, work, cache)


def usual_rows(model: str) -> tuple[str, ...]:
    """All rows; of a model without an FCN-8s beside it, those that need none."""
    return tuple(row.name for row in ROWS.values() if model in FCN_MODELS or not row.fcn)


def _boxes(options: Options) -> Path | None:
    return None if options.proposals == EDGE_BOXES else Path(options.proposals)


def _names(voc: VocFolder, options: Options) -> list[str]:
    by_name = options.split in voc.splits() or not Path(options.split).is_file()
    names = voc.ids(options.split) if by_name else read_ids(options.split)
    if options.limit is not None and options.limit < 1:
        raise InputError(f"--limit {options.limit}: at least 1 image is needed")
    return names[: options.limit]


def _networks(
    rows: Sequence[Row], recipe: Recipe, options: Options
) -> tuple[NetScorer | None, NetScorer | None, Recipe]:
    deconv = fcn = None
    where = (options.device, options.numerics)
    if options.weights is not None and not Path(options.weights).is_dir():
        raise InputError(f"--weights {options.weights}: a folder of .caffemodel files is expected")
    if any(row.deconv for row in rows):
        deconv, recipe = load_model(options.model, options.weights, recipe, *where, options.prototxt)
    if any(row.fcn for row in rows):
        fcn, recipe = load_fcn(options.model, options.weights, recipe, *where, options.fcn_prototxt)
    # what the user sets outranks what a model changes
    return deconv, fcn, with_settings(recipe, options.set)


def _settings(
    options: Options,
    rows: Sequence[Row],
    recipe: Recipe,
    deconv: NetScorer | None,
    fcn: NetScorer | None,
    scored: bool,
) -> dict[str, Any]:
    """What a photograph's results depend on besides its own files."""
    settings: dict[str, Any] = {f"recipe {k}": v for k, v in dataclasses.asdict(recipe).items() if k != "name"}
    for member, scorer in (("DeconvNet", deconv), ("FCN-8s", fcn)):
        settings |= {f"{member} {key}": value for key, value in (scorer.identity if scorer else {}).items()}
    settings["rows"] = [row.name for row in rows]
    settings["scored"] = scored
    # stored boxes are among each photograph's own files
    settings["proposals"] = "stored" if _boxes(options) else options.proposals
    settings["edge model"] = None if options.edge_model is None else sha256_of(options.edge_model)
    return settings


def _about(options: Options) -> dict[str, str]:
    published = options.model == "deconvnet" and options.split == "test" and options.limit is None
    own = options.prototxt or options.fcn_prototxt
    return {
        "model": options.model + (" (networks of your own)" if own else ""),
        "split": options.split if options.limit is None else f"{options.split}, first {options.limit}",
        "recipe": " + ".join([options.recipe, *options.set]),
        "proposals": options.proposals,
        "numerics": options.numerics,
        "comparable": "yes" if published and not own else "no",
    }
