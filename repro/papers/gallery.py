"""One picture per network: ``python -m repro.papers.gallery PHOTO -o FILE.png [--network NAME …] [--seed 7]``.

Every network of the registry labels the photograph as `repro segment` does: with its own weights where they are in
weights/, else on stand-ins drawn from the seed, which the caption says. Networks with a pipeline of their own
(DeconvNet's proposals) are left out; `repro segment` draws them. With --parts DIR each picture is kept as it is made,
and a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from repro import paths
from repro.data.photograph import read_photograph
from repro.errors import InputError
from repro.papers import registry
from repro.papers.inference.label import label_image, network_scorer
from repro.papers.inference.scales import MultiScale
from repro.papers.inference.settings import Inference
from repro.papers.load import SEED, load_network
from repro.papers.system import Network
from repro.report.canvas import save_flat
from repro.report.overlay import montage, overlay, save_png

Picture = NDArray[np.uint8]
COLUMNS = 4


def caption(network: Network, seed: int) -> str:
    """The network's name, and whose weights it has: "original", "trained", "mini" or seeded ones."""
    return f"{network.name} ({network.status if network.status != 'none' else f'seeded, {seed}'})"


def cheapest(inference: Inference) -> Inference:
    """With the smallest of several scales alone: PSPNet's six and their mirror images take minutes."""
    strategy = inference.strategy
    if not isinstance(strategy, MultiScale):
        return inference
    return replace(inference, strategy=replace(strategy, scales=(min(strategy.scales),), flip=False))


def picture(network: Network, image: Picture, seed: int, one_scale: bool = False) -> Picture:
    """The photograph with the network's labels over it. one_scale: `cheapest` of what the network is declared to do."""
    if network.inference is None:
        raise InputError(f"model '{network.name}' has a pipeline of its own; `repro segment --model {network.name}`")
    weights = None if network.status != "none" else f"{SEED}{seed}"
    loaded = load_network(network, weights)
    inference = cheapest(network.inference) if one_scale else network.inference
    scorer = network_scorer(network, inference, loaded.net)
    labels = label_image(image, scorer, inference).labels
    return overlay(image, labels, colours=network.colours, background=network.background)


def kept(folder: Path | None, network: Network, image: Picture, seed: int, one_scale: bool) -> Picture:
    """`picture`, from the folder where it lies there, else made and put there; its name tells what it was made of."""
    if folder is None:
        return picture(network, image, seed, one_scale)
    own = paths.weights(network.weights).read_bytes() if network.status != "none" else b""
    digest = hashlib.sha256(image.tobytes() + f"{image.shape} {caption(network, seed)} {one_scale}".encode() + own)
    path = folder / f"{network.name}-{digest.hexdigest()[:12]}.png"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        save_png(path, picture(network, image, seed, one_scale))
    return read_photograph(path)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m repro.papers.gallery", description=__doc__)
    parser.add_argument("photograph")
    parser.add_argument("-o", "--output", required=True, metavar="FILE")
    parser.add_argument("--network", nargs="+", metavar="NAME", help="default: all without a pipeline of their own")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--side", type=int, metavar="N", help="make the photograph smaller, to this longer side")
    parser.add_argument(
        "--one-scale", action="store_true", help="the smallest of several scales alone (PSPNet, DeepLab)"
    )
    parser.add_argument("--parts", type=Path, metavar="DIR", help="keep each picture there, and take it from there")
    args = parser.parse_args()
    known = [n for system in registry.systems() for n in system.networks if n.inference is not None]
    chosen = [registry.network(name)[1] for name in args.network] if args.network else known
    image = smaller(read_photograph(Path(args.photograph)), args.side)
    pictures, captions = [image], ["photograph"]
    for network in chosen:
        print(network.name, file=sys.stderr, flush=True)
        pictures.append(kept(args.parts, network, image, args.seed, args.one_scale))
        captions.append(caption(network, args.seed))
    rows = [pictures[k : k + COLUMNS] for k in range(0, len(pictures), COLUMNS)]
    rows[-1] += [np.full_like(image, 255)] * (COLUMNS - len(rows[-1])) if len(rows) > 1 else []
    save_flat(args.output, montage_of(rows, captions))


def smaller(image: Picture, side: int | None) -> Picture:
    """The photograph with its longer side at most `side` pixels long; None leaves it."""
    scale = 1.0 if side is None else side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def montage_of(rows: list[list[Picture]], captions: list[str]) -> Picture:
    """The rows one below the other, each with its own captions."""
    columns = len(rows[0])
    strips = []
    for number, row in enumerate(rows):
        names = captions[number * columns : (number + 1) * columns]
        strips.append(montage([row], [*names, *[""] * (len(row) - len(names))]))
    return np.concatenate(strips)


if __name__ == "__main__":
    main()
