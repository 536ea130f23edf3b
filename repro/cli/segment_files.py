"""What `repro segment` reads and writes: a photograph, its labels, and the labels laid over it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from repro.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from repro.papers.inference.strategy import Scores
    from repro.papers.system import Network


class Job(NamedTuple):
    """A photograph and what is written of it."""

    image: Path
    labels: Path
    overlay: Path


def find_jobs(images: Sequence[str], output: Path) -> list[Job]:
    """What is read and written, checked before any work starts: every photograph is decoded once."""
    from repro.data.photograph import read_photograph

    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: exists and is not a folder (-o)")
    jobs: dict[str, Job] = {}
    for name in images:
        image = Path(name)
        if image.stem in jobs:
            raise InputError(f"{image} and {jobs[image.stem].image} would both be written to {image.stem}.png; "
                             "segment them into different folders")  # fmt: skip
        job = Job(image, output / f"{image.stem}.png", output / "overlays" / f"{image.stem}.png")
        if job.labels.resolve() == image.resolve():
            raise InputError(f"{image} would be overwritten by its labels; choose another folder for -o")
        read_photograph(image)
        jobs[image.stem] = job
    return list(jobs.values())


def write_labels(
    job: Job, image: np.ndarray, labels: np.ndarray, network: Network | None = None, stand_in: str = ""
) -> None:
    """The label picture and the overlay, in the network's colours (default: VOC's).

    stand_in: what the weights are where they were drawn from a seed; it stands below the overlay then, and the files
    are named NAME.seeded.png.
    """
    from repro.report.overlay import captioned, overlay_with_legend, save_png
    from repro.report.palette import VOC_CLASSES, save_label_png

    names = VOC_CLASSES if network is None or not network.classes else network.classes
    colours = () if network is None else network.colours
    background = 0 if network is None else network.background
    shown = overlay_with_legend(image, labels, names=names, colours=colours, background=background)
    if stand_in:
        shown = captioned(shown, stand_in)
        job = job._replace(labels=_seeded(job.labels), overlay=_seeded(job.overlay))
    job.overlay.parent.mkdir(parents=True, exist_ok=True)
    save_label_png(job.labels, labels, colours)
    save_png(job.overlay, shown)


def write_scores(path: Path, scores: Scores) -> None:
    """Scores (H, W, labels) as .npz of one array `scores`, labels×H×W."""
    import io

    import numpy as np

    from repro.files import write_atomic

    buffer = io.BytesIO()
    np.savez(buffer, scores=np.ascontiguousarray(scores.transpose(2, 0, 1)))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, buffer.getvalue())


def _seeded(path: Path) -> Path:
    return path.with_name(f"{path.stem}.seeded{path.suffix}")
