"""One picture per network: ``python -m repro.papers.gallery PHOTO -o FILE.png [--network NAME …] [--seed 7]``.

Every network of the registry labels the photograph as `repro segment` does: with its own weights where they are in
weights/, else on stand-ins drawn from the seed, which the caption says. Networks with a pipeline of their own
(DeconvNet's proposals) are left out; `repro segment` draws them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repro.data.photograph import read_photograph
from repro.errors import InputError
from repro.papers import registry
from repro.papers.inference.label import label_image, net_scorer
from repro.papers.load import SEED, load_network
from repro.papers.system import Network
from repro.report.overlay import montage, overlay, save_png

COLUMNS = 4


def picture(network: Network, image: NDArray[np.uint8], seed: int) -> tuple[NDArray[np.uint8], str]:
    """The photograph with the network's labels over it, and a caption: its name and whose weights they are."""
    if network.inference is None:
        raise InputError(f"model '{network.name}' has a pipeline of its own; `repro segment --model {network.name}`")
    weights = None if network.status != "none" else f"{SEED}{seed}"
    loaded = load_network(network, weights)
    scorer = net_scorer(loaded.net, network.input, network.scores)
    labels = label_image(image, scorer, network.inference).labels
    shown = overlay(image, labels, colours=network.colours, background=network.background)
    return shown, f"{network.name} ({network.status if weights is None else f'seeded, {seed}'})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m repro.papers.gallery", description=__doc__)
    parser.add_argument("photograph")
    parser.add_argument("-o", "--output", required=True, metavar="FILE")
    parser.add_argument("--network", nargs="+", metavar="NAME", help="default: all without a pipeline of their own")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    known = [n for system in registry.systems() for n in system.networks if n.inference is not None]
    chosen = [registry.network(name)[1] for name in args.network] if args.network else known
    image = read_photograph(Path(args.photograph))
    pictures, captions = [image], ["photograph"]
    for network in chosen:
        print(network.name, file=sys.stderr, flush=True)
        shown, caption = picture(network, image, args.seed)
        pictures.append(shown)
        captions.append(caption)
    rows = [pictures[k : k + COLUMNS] for k in range(0, len(pictures), COLUMNS)]
    rows[-1] += [np.full_like(image, 255)] * (COLUMNS - len(rows[-1])) if len(rows) > 1 else []
    save_png(args.output, montage_of(rows, captions))


def montage_of(rows: list[list[NDArray[np.uint8]]], captions: list[str]) -> NDArray[np.uint8]:
    """The rows one below the other, each with its own captions."""
    columns = len(rows[0])
    strips = []
    for number, row in enumerate(rows):
        names = captions[number * columns : (number + 1) * columns]
        strips.append(montage([row], [*names, *[""] * (len(row) - len(names))]))
    return np.concatenate(strips)


if __name__ == "__main__":
    main()
