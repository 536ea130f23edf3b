"""`repro crf IMAGE SCORES -o labels.png`: a dense CRF over any network's scores for a photograph."""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from repro.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from repro.crf import DenseCRF

PRESETS = (
    "deconvnet_release",
    "pydensecrf_readme",
    "krahenbuhl_2011",
    "deeplab_v1",
    "deeplab_v1_msc",
    "deeplab_v2_resnet",
    "crfasrnn",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("image", metavar="IMAGE", help="the photograph: JPEG, PNG, BMP, PPM")
    add("scores", metavar="SCORES", help="labels×H×W of the photograph's size: .npy, .npz, .mat or .pt (a tensor)")
    add("-o", "--output", required=True, metavar="PNG", help="labels, as a palette PNG")
    add("--key", metavar="NAME", help="which array of an .npz or .mat, or tensor of a .pt that holds several")
    add("--kind", default="scores", choices=("scores", "probs", "unary"),
        help="what SCORES are: scores before a softmax (default), probabilities, or energies")  # fmt: skip
    add("--preset", default="pydensecrf_readme", choices=PRESETS, help="parameters (default: pydensecrf_readme)")
    add("--iterations", type=int, metavar="N", help="updates (default: the preset's)")
    add("--device", default="cpu", help="where it runs (default: cpu)")
    add("--save-q", metavar="NPY", help="write the probabilities, labels×H×W float32")
    add("--figure", metavar="PNG", help="write a figure: photograph, labels without the CRF, labels with it")
    add("--steps-gif", metavar="GIF", help="write an animation of the labels after each update")


def run(args: argparse.Namespace) -> int:
    import numpy as np
    import torch

    from repro.crf import presets
    from repro.crf.score_files import energies, read_scores
    from repro.data.photograph import read_photograph
    from repro.files import write_atomic
    from repro.report.palette import save_label_png

    image = read_photograph(args.image)
    given = read_scores(args.scores, args.key)
    if given.dim() != 3 or tuple(given.shape[1:]) != image.shape[:2]:
        raise InputError(
            f"{args.scores}: shape {tuple(given.shape)}; expected labels×{image.shape[0]}×{image.shape[1]}, "
            f"the size of {args.image}; resize the scores first"
        )
    if given.shape[0] > 255:
        raise InputError(f"{args.scores}: {given.shape[0]} labels; a label PNG holds 255, use repro.crf.DenseCRF")
    crf = getattr(presets, args.preset)()
    if args.iterations is not None:
        if args.iterations < 0:
            raise InputError(f"--iterations {args.iterations}: expected 0 or more")
        crf.iterations = args.iterations
    unary = energies(given.float(), args.kind).to(_device(args.device))
    if args.steps_gif:
        q, frames = _stepwise(crf, unary, image)
        write_atomic(args.steps_gif, _gif(frames))
    else:
        q = crf(unary, torch.from_numpy(image), layout="hwc")
    labels = _labels(q)
    save_label_png(args.output, labels)
    if args.save_q:
        buffer = io.BytesIO()
        np.save(buffer, q.cpu().numpy(), allow_pickle=False)
        write_atomic(args.save_q, buffer.getvalue())
    before = _labels(-unary)
    if args.figure:
        _save_figure(args.figure, image, before, labels)
    changed = float((before != labels).mean())
    print(f"{args.output}: {args.preset}, {crf.iterations} iterations, {changed:.2%} of the labels changed")
    return 0


def _device(name: str) -> torch.device:
    import torch

    from repro.errors import DeviceError

    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"--device {name}: {str(error).splitlines()[0]}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"--device {name}: torch sees no CUDA device")
    return device


def _labels(q: torch.Tensor) -> np.ndarray:
    import torch

    labels: np.ndarray = q.argmax(dim=0).to(torch.uint8).cpu().numpy()
    return labels


def _stepwise(crf: DenseCRF, unary: torch.Tensor, image: np.ndarray) -> tuple[torch.Tensor, list[np.ndarray]]:
    import torch

    from repro.report.overlay import overlay

    frames = []
    q = unary
    for state in crf.steps(unary, torch.from_numpy(image), layout="hwc"):
        q = state.q
        frames.append(overlay(image, _labels(q)))
    return q, frames


def _gif(frames: Sequence[np.ndarray]) -> bytes:
    from PIL import Image

    first, *rest = [Image.fromarray(frame) for frame in frames]
    buffer = io.BytesIO()
    # The last state stays for two seconds before it starts again.
    durations = [400] * len(rest) + [2000]
    first.save(buffer, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0)
    return buffer.getvalue()


def _save_figure(path: str, image: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
    from repro.report.overlay import montage, overlay, present, save_png

    row = [image, overlay(image, before), overlay(image, after)]
    size = (320, max(1, round(320 * image.shape[0] / image.shape[1])))
    captions = ["photograph", "unary", "dense CRF"]
    save_png(path, montage([row], captions, cell=size, classes=present(before, after)))
