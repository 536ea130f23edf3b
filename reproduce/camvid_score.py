"""A net trained on CamVid, scored as SegNet's paper scores it, and the table and pictures of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from camvid_nets import HEIGHT, WIDTH, Entry, batch_size, deploy_net, has_statistics, mean_of, train_net
from numpy.typing import NDArray

from repro.caffe import load_net
from repro.data.camvid import CLASSES, COLOURS, VOID, CamVidFolder
from repro.data.transforms import resize_linear, resize_nearest
from repro.evaluate.scenes import score_scenes
from repro.files import write_atomic
from repro.net import Net
from repro.papers.bn_testable import make_testable
from repro.papers.inference.label import label_image, net_scorer
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.resized import Resized
from repro.papers.inference.settings import Inference
from repro.papers.segnet import statistics_batches
from repro.papers.system import published
from repro.report.curves import Curve, draw_curves
from repro.report.lettering import draw_legend
from repro.report.overlay import montage, save_png
from repro.report.palette import colour_table
from repro.report.table import markdown_table, percent, text_table
from repro.solver.read_log import read_log

Labels = NDArray[np.uint8]
MEASURES = ("G", "C", "mIoU", "BF")
SHOWN = 6


class Job:
    """One net in one folder: what is scored, on which pictures, where the results go."""

    def __init__(
        self,
        entry: Entry,
        camvid: CamVidFolder,
        out: Path,
        size: tuple[int, int],
        *,
        batch: int | None = None,
        device: str = "cpu",
        pictures: int | None = None,
        statistics: int | None = None,
        seed: int = 0,
    ) -> None:
        self.entry, self.camvid, self.out, self.size = entry, camvid, out, size
        self.device, self.seed = device, seed
        self.train = train_net(entry, size, batch)
        self.batch = batch_size(self.train)
        self.names = camvid.ids("test")[:pictures]
        whole = statistics_batches(len(camvid.ids("train")), self.batch)
        self.statistics = whole if statistics is None else min(statistics, whole)

    def score(self, iteration: int, crf: str = "") -> dict[str, Any]:
        """Fold the statistics, label the test pictures, score them at full size; pictures go to ``out``/pictures.

        crf: a name of `repro.crf.presets`, whose dense CRF labels the pictures then.
        """
        weights = self.out / f"net_iter_{iteration}.caffemodel"
        if has_statistics(self.train):
            folded = self.out / f"testable_iter_{iteration}.caffemodel"
            # behind a CRF the same net is scored a second time
            if not (crf and folded.is_file()):
                make_testable(
                    load_net(self.train), weights, folded, iterations=self.statistics, data_root=self.out,
                    seed=self.seed, device=self.device,
                )  # fmt: skip
            weights = folded
        net = Net(deploy_net(self.entry, self.size), weights, device=self.device)
        score = score_scenes(self._labelled(net, iteration, crf), len(CLASSES), VOID)
        counts = score.counts
        return {
            "iteration": iteration,
            "pictures": counts.images,
            **{name: round(value, 4) for name, value in score.summary.items()},
            "iou": dict(zip(CLASSES, np.round(counts.iou, 2).tolist(), strict=True)),
            "accuracy": dict(zip(CLASSES, np.round(counts.class_accuracy, 2).tolist(), strict=True)),
            "confusion": counts.confusion.tolist(),
        }

    def label(self, net: Net, image: NDArray[np.uint8]) -> Labels:
        """Labels (H, W) of a picture (H, W, 3) RGB, made at the job's size and enlarged to the nearest."""
        with torch.inference_mode():
            labels = self._probabilities(net, image).argmax(0).to(torch.uint8).cpu().numpy()
        return labels if labels.shape == image.shape[:2] else resize_nearest(labels, *image.shape[:2])

    def label_with_crf(self, net: Net, image: NDArray[np.uint8], preset: str) -> Labels:
        """The same by a dense CRF at the picture's size, on −log of the probabilities, enlarged bilinearly."""
        pixels = Preprocess("BGR", mean_of(self.train) or (0.0,))
        inference = Inference(pixels, Resized(self.size), crf=preset, probabilities=True)
        return label_image(image, net_scorer(net), inference, self.device).labels

    def _probabilities(self, net: Net, image: NDArray[np.uint8]) -> torch.Tensor:
        bgr = np.ascontiguousarray(image[..., ::-1])
        small = bgr if bgr.shape[:2] == self.size else resize_linear(bgr, *self.size)
        data = small.astype(np.float32) - np.array(mean_of(self.train) or (0.0,), np.float32)
        (found,) = net(data=torch.from_numpy(data.transpose(2, 0, 1)[None]).contiguous().to(self.device)).values()
        return found[0]

    def _labelled(self, net: Net, iteration: int, preset: str) -> Iterator[tuple[Labels, Labels]]:
        # spread over the drives, not neighbours of one
        shown = {self.names[i * (len(self.names) - 1) // max(SHOWN - 1, 1)] for i in range(SHOWN)}
        rows = []
        for name in self.names:
            image, truth = self.camvid.image("test", name), self.camvid.labels("test", name)
            result = self.label_with_crf(net, image, preset) if preset else self.label(net, image)
            if name in shown:
                rows.append([image, in_colour(truth), in_colour(result)])
            yield truth, result
        (self.out / "pictures").mkdir(exist_ok=True)
        title = f"{self.entry.train.split('/')[1]} at {iteration}{', dense CRF' if preset else ''}"
        sheet = montage(rows, ("picture", "truth", title), cell=(240, 180))
        names = draw_legend(range(len(CLASSES)), CLASSES, sheet.shape[1], colours=COLOURS)
        name = f"iter_{iteration}_{preset}.png" if preset else f"iter_{iteration}.png"
        save_png(self.out / "pictures" / name, np.concatenate([sheet, names]))


def in_colour(labels: Labels) -> NDArray[np.uint8]:
    """Labels (H, W) in CamVid's colours: (H, W, 3) uint8 RGB."""
    return np.asarray(colour_table(COLOURS)[labels])


def rows_beside_published(
    entry: Entry, scores: Sequence[Mapping[str, Any]], refined: Sequence[Mapping[str, Any]] = ()
) -> list[list[str]]:
    """A table: the paper's row at 40K, 80K and its end, then ours at each iteration scored.

    refined: scores behind a dense CRF; the paper's row of it, which it prints for the end, stands before them.
    """
    rows = [["", "iterations", *MEASURES]]
    table = next(t for t in published("segnet") if t.name.startswith("Table 3"))
    cells = dict(table.rows).get(entry.row)
    if cells is not None:
        at = dict(zip(table.columns, cells, strict=True))
        for when, label in (("40K", "40,000"), ("80K", "80,000"), ("final", f"at most {at['max iterations']}")):
            rows.append(["published", label, *(f"{at[f'{measure} {when}']:.2f}" for measure in MEASURES)])
    rows += [_measured("measured", score) for score in scores]
    behind = dict(table.rows).get(f"{entry.row}-denseCRF")
    if refined and behind is not None:
        at = dict(zip(table.columns, behind, strict=True))
        values = [f"{at[f'{measure} final']:.2f}" for measure in MEASURES]
        rows.append(["published, dense CRF", f"at most {at['max iterations']}", *values])
    return rows + [_measured("measured, dense CRF", score) for score in refined]


def _measured(name: str, score: Mapping[str, Any]) -> list[str]:
    return [name, f"{score['iteration']:,}", *(percent(float(score[measure]), 2) for measure in MEASURES)]


def report(
    job: Job,
    scores: Sequence[Mapping[str, Any]],
    about: Mapping[str, Any],
    refined: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Write results.json, table.md, curves.png into the job's folder; returns the table as text.

    refined: scores behind a dense CRF, each with the preset's name as `crf`.
    """
    rows = rows_beside_published(job.entry, scores, refined)
    notes = _notes(job, about)
    notes += sorted(
        {f"dense CRF: `{one['crf']}` (repro.crf.presets), which the paper does not name" for one in refined}
    )
    document = {"about": dict(about), "scores": list(scores)} | ({"dense_crf": list(refined)} if refined else {})
    write_atomic(job.out / "results.json", json.dumps(document, indent=1) + "\n")
    write_atomic(job.out / "table.md", markdown_table(rows) + "\n\n" + "\n".join(f"- {note}" for note in notes) + "\n")
    log = job.out / "train.jsonl"
    if log.is_file():
        curves = read_log(log)
        measured = [Curve(m, {int(s["iteration"]): float(s[m]) for s in scores}, dashed=True) for m in MEASURES]
        accuracy = {i: 100 * v for i, v in curves.train.get("accuracy", {}).items()}
        panels = [("loss", [Curve("", curves.loss)]), ("percent", [Curve("batch accuracy", accuracy), *measured])]
        draw_curves(job.out / "curves.png", panels, title=f"{job.entry.train.split('/')[1]} on CamVid")
    return "\n".join([text_table(rows), "", *notes])


def _notes(job: Job, about: Mapping[str, Any]) -> list[str]:
    height, width = job.size
    full = (height, width) == (HEIGHT, WIDTH)
    every = len(job.names) == len(job.camvid.ids("test"))
    notes = [
        f"trained on {len(job.camvid.ids('train'))} pictures in batches of {job.batch}"
        + ("" if full else f", at {width} x {height} instead of {WIDTH} x {HEIGHT}: not the paper's setting")
        + f"; scored on {'all' if every else 'only'} {len(job.names)} test pictures at full size",
        f"BN statistics of {job.statistics} batches" if has_statistics(job.train) else "no BN",
        f"{about['seconds']:.0f} s of training on {about['machine']}"
        + (", its products in bfloat16" if about["amp"] else ""),
    ]
    if not job.entry.row:
        notes.append("the paper's table 3 has no row for SegNet-Basic; the release trains it for 10,000 iterations")
    return notes
