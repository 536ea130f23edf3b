"""`repro segment --model NAME` for the networks that label a photograph without proposals."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from repro.cli.segment_files import Job, write_labels, write_scores
from repro.errors import InputError

if TYPE_CHECKING:
    from repro.papers.system import Network

# of `repro segment`'s arguments, those of the pipeline with proposals, and what they are unless given
_OF_PROPOSALS: dict[str, object] = {
    "max_proposals": None,
    "batch_size": None,
    "ensemble": False,
    "fcn_weights": None,
    "edge_model": None,
    "set": [],
    "recipe": "release",
    "proposals": "edge-boxes",
}


def segment_network(args: argparse.Namespace, network: Network, jobs: Sequence[Job]) -> int:
    """Label the photographs; what seeded weights make is named NAME.seeded.png and says so in the overlay."""
    import dataclasses

    from repro.cli.progress import progress
    from repro.data.photograph import read_photograph
    from repro.papers.inference.label import label_image, network_scorer
    from repro.papers.load import load_network

    given = [name for name, usual in _OF_PROPOSALS.items() if getattr(args, name) != usual]
    if given:
        options = ", ".join("--" + name.replace("_", "-") for name in given)
        raise InputError(f"{options}: of use to DeconvNet's pipeline only; {network.name} has no proposals")
    if network.inference is None:
        raise InputError(
            f"model '{network.name}': its own pipeline is not here; `repro papers` says what there is of it"
        )
    inference = dataclasses.replace(network.inference, crf=None) if args.no_crf else network.inference
    loaded = load_network(network, args.weights, args.device, args.numerics)
    scorer = network_scorer(network, inference, loaded.net)
    with progress("segmenting", total=len(jobs)) as step:
        for job in jobs:
            image = read_photograph(job.image)
            start = time.monotonic()
            scores, labels = label_image(image, scorer, inference, args.device)
            took = time.monotonic() - start
            if args.save_scores:
                write_scores(Path(args.save_scores, f"{job.image.stem}.npz"), scores)
            write_labels(job, image, labels, network, "" if loaded.seed is None else f"{network.name}: {loaded.origin}")
            step(1, job.image.name)
            finish = "CRF" if inference.crf else "no CRF"
            print(f"{job.image.name}: {network.name}, {loaded.origin}; {finish}; {took:.1f} s")
    print(f"label pictures: {len(jobs)} in {args.output}, overlays in {Path(args.output, 'overlays')}")
    return 0
