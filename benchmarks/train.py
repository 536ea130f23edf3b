"""One training step of full-size DeconvNet, forward, backward and update, beside plain PyTorch.

    python benchmarks/train.py [--batch 8] [--precision float32 bfloat16] [--device cpu] [--threads N] [--turns 5]

Ours is what `repro train` runs (the solver's own step, Caffe's SGD); the peer is `train_peer.py`: nn.Conv2d,
BatchNorm2d, MaxPool2d with indices, MaxUnpool2d, ConvTranspose2d, torch.optim.SGD. Both start from the same weights,
see the same batch and take turns in one process; how far their first losses are apart stands beside the times. bfloat16
is `--amp` against torch.autocast. --profile prints where the time of our step goes instead.

Caffe has no time of this on our machine; what its authors and others published stands in the JSON under `published`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from harness import ROOT, Row, compare, conditions, write
from train_peer import PlainTraining

from repro.data.feeds import ArrayFeed
from repro.solver.build import build_solver
from repro.solver.solver import Solver

NET = ROOT / "prototxt" / "deconvnet" / "stage_1_train.prototxt"
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}
RATE = 1e-4
# as the papers say them; a step of 64 windows, forward, backward and update, is 7.4 images/s
PUBLISHED = {
    "Caffe fork, Titan X, whole training (the paper: 60,000 updates of 64 in 6 days)": "7.4 images/s",
    "Caffe fork, CPU, 2 AVX-512 cores: forward alone, one 224x224 window (measured by this project)": "1.00 s",
    "Caffe, Titan, one 360x480 picture, fc of 1024 (SegNet's table 6)": "forward 0.475 s, backward 0.602 s",
}


def batch_of(count: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = 50 * torch.randn(count, 3, 224, 224, generator=generator)
    labels = torch.randint(0, 21, (count, 1, 224, 224), generator=generator).float()
    labels[:, :, :8] = 255
    return {"data": images, "seg-label": labels}


def our_solver(count: int, device: str, autocast: torch.dtype | None) -> Solver:
    with tempfile.TemporaryDirectory() as folder:
        solver = Path(folder) / "solver.prototxt"
        solver.write_text(
            f'net: "{NET}" base_lr: {RATE} lr_policy: "fixed" momentum: 0.9 weight_decay: 0.0005\n'
            "max_iter: 1000000 random_seed: 1\n"
        )
        blobs = batch_of(count)
        return build_solver(
            solver,
            feeds=[ArrayFeed(blobs, count)],
            shapes={name: tuple(blob.shape) for name, blob in blobs.items()},
            device=device,
            autocast=autocast,
            fill_missing="msra",
        )


def rows(options: argparse.Namespace) -> Iterator[Row]:
    for precision in options.precision:
        for count in options.batch:
            solver = our_solver(count, options.device, PRECISIONS[precision])
            peer = PlainTraining(options.device, PRECISIONS[precision], RATE)
            # (layer, index, parameter, …) in the order of layers is the order of the peer's modules
            peer.start_as([entry[2].detach() for entry in solver.net.param_entries])
            images, labels = batch_of(count).values()
            first = solver.step(), peer.step(images, labels)
            row = compare(
                f"DeconvNet step, batch {count}, {precision}, {options.device}",
                solver.step,
                lambda: peer.step(images, labels),  # noqa: B023
                turns=options.turns,
                seconds=options.seconds,
            )
            row.extra.update(
                ours_images_per_s=count / row.ours_s,
                peer_images_per_s=count / row.peer_s,
                first_loss=first[0],
                first_loss_difference=abs(first[0] - first[1]),
            )
            yield row


def profile(options: argparse.Namespace) -> None:
    for precision in options.precision:
        solver = our_solver(options.batch[0], options.device, PRECISIONS[precision])
        solver.step()
        kinds = [torch.profiler.ProfilerActivity.CPU]
        kinds += [torch.profiler.ProfilerActivity.CUDA] if options.device.startswith("cuda") else []
        with torch.profiler.profile(activities=kinds) as found:
            solver.step()
        by = "self_cuda_time_total" if len(kinds) > 1 else "self_cpu_time_total"
        print(f"{precision}\n{found.key_averages().table(sort_by=by, row_limit=25, max_name_column_width=60)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", help="default 8; on a GPU 8 and 64")
    parser.add_argument("--precision", nargs="+", choices=list(PRECISIONS), default=list(PRECISIONS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=2.0, help="after five turns, how long to go on (default 2)")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--note", default="")
    options = parser.parse_args()
    on_gpu = options.device.startswith("cuda")
    options.batch = options.batch or ([8, 64] if on_gpu else [8])
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.profile:
        profile(options)
        return
    before = conditions()
    note = "; ".join([options.note] * bool(options.note) + [f"{what}: {time}" for what, time in PUBLISHED.items()])
    write("train" if not on_gpu else "train_gpu", before, list(rows(options)), note)


if __name__ == "__main__":
    main()
