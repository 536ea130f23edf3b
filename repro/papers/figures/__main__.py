"""``python -m repro.papers.figures [NAME …] [-o docs/images]`` draws the figures of the systems' pages anew."""

from __future__ import annotations

import argparse
from pathlib import Path

from repro.papers.figures.catalogue import FIGURES


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m repro.papers.figures", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(FIGURES)}")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/images"), metavar="DIR")
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in FIGURES]
    if unknown:
        parser.error(f"no figure '{unknown[0]}'; there are {', '.join(FIGURES)}")
    for name in args.names or FIGURES:
        path = args.output / f"{name}.png"
        FIGURES[name](path)
        print(path)


if __name__ == "__main__":
    main()
