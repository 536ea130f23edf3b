"""Time of the dense CRF beside pydensecrf, the reference's own C++ behind Cython.

    python benchmarks/crf.py [--threads 1 2] [--repeats 5] [--image F.jpg] [--peer-python PY] [--json F]
                             [--device cpu|cuda] [--batch 8]

500×375 pixels, 21 labels, 10 iterations, symmetric normalisation as pydensecrf's default, with DeconvNet's (20, 3) and
the README's (80, 13) bilateral kernel. Without --image a made picture of flat and shaded patches with noise stands in.
Times depend on how many lattice vertices the colours spread over, which is shown.
The peer is imported in --peer-python (this Python unless given: `pip install pydensecrf2==1.1`), and never uses more
than one thread. A batch of `--batch` copies gives the time per image. `--device cuda` times a GPU beside the peer, at
batch 1, 8 and 32, each with and without a CUDA graph; that has not been run yet. Medians of the repeats, and the
fastest; the clock is the wall's.

The floor is what an iteration cannot go below: the bytes it must move, each once (`floor_bytes`), over the bandwidth at
which a tensor that no cache holds is copied into memory that is there already. Caches that keep a lattice from one pass
to the next go below it.
"""

from __future__ import annotations

import argparse
import functools
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

HEIGHT, WIDTH, LABELS, ITERATIONS = 375, 500, 21, 10
SETTINGS: dict[str, tuple[float, float, float, float, float]] = {
    "deconvnet (20, 3)": (3, 3, 20, 3, 5),
    "readme (80, 13)": (3, 3, 80, 13, 10),
}
Setting = tuple[float, float, float, float, float]  # sxy, weight; sxy, srgb, weight
Times = dict[str, float]


def made_picture(rng: np.random.Generator) -> np.ndarray:
    """A picture of patches, some flat, some shaded, all with a camera's worth of noise."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    picture = np.full((HEIGHT, WIDTH, 3), 128, np.float32)
    for _ in range(60):
        cy, cx, ry, rx = rng.uniform(0, HEIGHT), rng.uniform(0, WIDTH), rng.uniform(15, 120), rng.uniform(15, 120)
        inside = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        shade = rng.uniform(-0.6, 0.6) * (x - cx) + rng.uniform(-0.6, 0.6) * (y - cy)
        picture[inside] = (rng.uniform(0, 255, 3) + shade[..., None])[inside]
    return np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


def inputs(path: str | None) -> tuple[np.ndarray, np.ndarray]:
    """The image H×W×3 uint8 and its unary labels×H×W float32."""
    rng = np.random.default_rng(0)
    if path is None:
        image = made_picture(rng)
    else:
        import cv2

        read = cv2.imread(path)
        if read is None:
            raise SystemExit(f"cannot read the image {path}")
        image = cv2.resize(read[..., ::-1], (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    label = (image.astype(np.int64).sum(axis=2) * LABELS // 766)[None]
    unary = rng.gamma(2.0, 1.5, (LABELS, HEIGHT, WIDTH)) - 2.0 * (label == np.arange(LABELS)[:, None, None])
    return np.ascontiguousarray(image), unary.astype(np.float32)


def timed(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median and fastest of the repeats in seconds, after one run that does not count."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), min(seconds)


def peer(folder: Path, repeats: int) -> None:
    """Runs in the peer's Python: reads in.npz, writes out.npz and times.json."""
    import pydensecrf.densecrf as dcrf

    data = np.load(folder / "in.npz")
    image, unary = data["image"], data["unary"].reshape(LABELS, -1)
    times: dict[str, Times] = {}
    answers = {}

    def run(setting: Setting, iterations: int) -> np.ndarray:
        sxy, weight, bilateral_sxy, srgb, bilateral_weight = setting
        crf = dcrf.DenseCRF2D(WIDTH, HEIGHT, LABELS)
        crf.setUnaryEnergy(unary)
        crf.addPairwiseGaussian(sxy=sxy, compat=weight)
        crf.addPairwiseBilateral(sxy=bilateral_sxy, srgb=srgb, rgbim=image, compat=bilateral_weight)
        return np.array(crf.inference(iterations))

    for name, setting in SETTINGS.items():
        build = timed(functools.partial(run, setting, 0), repeats)
        times[name] = row(build, timed(functools.partial(run, setting, ITERATIONS), repeats))
        answers[name] = run(setting, ITERATIONS).argmax(axis=0).astype(np.uint8)
    np.savez(folder / "out.npz", **answers)
    (folder / "times.json").write_text(json.dumps(times))


def row(build: tuple[float, float], total: tuple[float, float]) -> Times:
    """One line of the table; the build is a run of no iterations."""
    return {
        "build_ms": 1e3 * build[0],
        "iteration_ms": 1e3 * (total[0] - build[0]) / ITERATIONS,
        "total_s": total[0],
        "fastest_s": total[1],
    }


def floor_bytes(points: int, labels: int, lattices: Sequence[tuple[int, int]], item: int = 4) -> int:
    """Bytes that one mean-field iteration moves at least, of kernels given as (vertices, dimensions).

    Q is read by every kernel and written once, the unary read once. A kernel reads an index and a weight per point and
    corner when it splats and again when it slices; its lattice is written by the splat, read and written by each blur,
    read by the slice; a blur reads two neighbours per vertex.
    """
    total = points * labels * item * (len(lattices) + 2)
    for vertices, dimensions in lattices:
        corners = dimensions + 1
        total += 2 * points * corners * (4 + item) + 2 * (corners + 1) * vertices * labels * item
        total += 8 * corners * vertices
    return total


def copy_bandwidth(device: str, repeats: int) -> float:
    """Bytes a second read and written by a copy of 512 MiB; not `clone`, which would pay for new pages."""
    import torch

    source = torch.ones(128 << 20, device=device)
    target = torch.zeros_like(source)

    def copy() -> None:
        target.copy_(source)
        if device != "cpu":
            torch.cuda.synchronize()

    return 2 * source.numel() * source.element_size() / timed(copy, repeats)[0]


def ours(
    image: np.ndarray, unary: np.ndarray, repeats: int, device: str = "cpu", batch: int = 1, graph: bool = False
) -> tuple[dict[str, Times], dict[str, np.ndarray]]:
    """Our times per image and labels in this process, at the current number of threads."""
    import torch

    from repro.crf import Bilateral, DenseCRF, Gaussian

    energies = torch.from_numpy(unary).to(device).repeat(batch, 1, 1, 1)
    images = torch.from_numpy(image).to(device).repeat(batch, 1, 1, 1)

    def run(crf: DenseCRF) -> None:
        with torch.no_grad():
            crf(energies, images, layout="hwc")
        if device != "cpu":
            torch.cuda.synchronize()

    times, answers = {}, {}
    for name, (sxy, weight, bilateral_sxy, srgb, bilateral_weight) in SETTINGS.items():
        kernels = (Gaussian(sxy, weight), Bilateral(bilateral_sxy, srgb, bilateral_weight))
        full, none = (DenseCRF(kernels, iterations=count, cuda_graph=graph) for count in (ITERATIONS, 0))
        build, total = timed(functools.partial(run, none), repeats), timed(functools.partial(run, full), repeats)
        times[name] = row((build[0] / batch, build[1] / batch), (total[0] / batch, total[1] / batch))
        answers[name] = full.map(energies[:1], images[:1], layout="hwc").cpu().numpy().reshape(-1)
    return times, answers


def run_peer(python: str, image: np.ndarray, unary: np.ndarray, repeats: int):
    """The peer's times and labels, or the reason there are none."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "in.npz", image=image, unary=unary)
        command = [python, __file__, "--as-peer", str(folder), "--repeats", str(repeats)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return None, (done.stderr.strip().splitlines() or ["no message"])[-1]
        return json.loads((folder / "times.json").read_text()), dict(np.load(folder / "out.npz"))


def show(who: str, times: dict[str, Times]) -> None:
    """One table line per setting."""
    for name, t in times.items():
        print(
            f"{name:18} {who:26} build {t['build_ms']:7.1f} ms   iteration {t['iteration_ms']:7.1f} ms   "
            f"total {t['total_s']:6.3f} s   fastest {t['fastest_s']:6.3f} s"
        )


def main() -> None:
    """Print the table; --json writes it with what it was measured on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--image")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--as-peer", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.as_peer:
        peer(arguments.as_peer, arguments.repeats)
        return

    import torch

    from repro.ops.lattice import PermutohedralLattice

    image, unary = inputs(arguments.image)
    print(
        f"{WIDTH}×{HEIGHT}×{LABELS}, {ITERATIONS} iterations, {arguments.image or 'made picture'}, {platform.machine()}"
    )
    from repro.crf import Bilateral, Gaussian

    moved = {}
    for name, (near, _, sxy, srgb, weight) in SETTINGS.items():
        found = []
        for kernel in (Gaussian(near, 1), Bilateral(sxy, srgb, weight)):
            lattice = PermutohedralLattice(kernel.features(torch.from_numpy(image), 0, HEIGHT, WIDTH))
            found.append((lattice.vertices, lattice.dimensions))
        moved[name] = floor_bytes(HEIGHT * WIDTH, LABELS, found)
        print(f"{name:18} {found[1][0]} vertices, {moved[name] / 1e6:.0f} MB an iteration")
    result: dict[str, object] = {"machine": platform.platform(), "torch": torch.__version__}
    theirs, labels = run_peer(arguments.peer_python, image, unary, arguments.repeats)
    if theirs is None:
        print(f"pydensecrf is not to be had in {arguments.peer_python}: {labels}")
    else:
        show("pydensecrf", theirs)
    result["pydensecrf"] = theirs
    if arguments.device == "cpu":
        runs = [(threads, batch, False) for threads in arguments.threads for batch in (1, arguments.batch)]
    else:
        runs = [(1, batch, graph) for batch in (1, 8, 32) for graph in (False, True)]
    for threads, batch, graph in runs:
        torch.set_num_threads(threads)
        times, answers = ours(image, unary, arguments.repeats, arguments.device, batch, graph)
        where = f"{threads} thread{'s' * (threads > 1)}" if arguments.device == "cpu" else arguments.device
        where += (f", batch {batch}" if batch > 1 else "") + (", graph" if graph else "")
        show(f"ours, {where}", times)
        key = f"ours_{threads}" if arguments.device == "cpu" else f"ours_{arguments.device}"
        result[key + (f"_batch{batch}" if batch > 1 else "") + ("_graph" if graph else "")] = times
        if batch == 1 and not graph:
            bandwidth = copy_bandwidth(arguments.device, arguments.repeats)
            for name, t in times.items():
                floor = 1e3 * moved[name] / bandwidth
                t |= {"floor_ms": floor, "copy_gb_s": bandwidth / 1e9, "bytes": moved[name]}
                print(
                    f"{name:18} floor {floor:.2f} ms at {bandwidth / 1e9:.1f} GB/s: "
                    f"an iteration takes {t['iteration_ms'] / floor:.2f} times that"
                )
        if theirs is None:
            continue
        for name in SETTINGS:
            wrong = int((answers[name] != labels[name]).sum())
            ratio = theirs[name]["total_s"] / times[name]["total_s"]
            print(f"{name:18} {ratio:.2f} times as fast; {wrong} of {HEIGHT * WIDTH} labels differ")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
