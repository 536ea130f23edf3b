"""Forward passes of whole networks beside plain PyTorch and, where it can run the net, real BVLC Caffe.

    python benchmarks/forward.py [--net deconvnet fcn8s] [--batch 1 4 8 50] [--threads 2] [--layers] [--note TEXT]
                                 [--caffe-python PY]

Seconds are per image (of DeconvNet: per 224x224 proposal), inputs and weights are drawn from a seed, and all ways take
turns in one process. Peers: the same layers in torch.nn.functional, NCHW and channels_last. --caffe-python: a Python
that imports BVLC Caffe 1.0, which runs beside in a process of its own; it has no Unpooling and so runs fcn8s only.
--layers prints where the time goes instead. Peak memory is that of a process of its own which does nothing else.
"""

from __future__ import annotations

import argparse
import collections
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from forward_peers import CaffePeer, TorchPeer
from harness import ROOT, Row, compare, conditions, write

from repro import Net
from repro.seeded import seeded_layers

NETS = {
    "deconvnet": (ROOT / "prototxt/deconvnet/deploy.prototxt", (3, 224, 224)),
    "fcn8s": (ROOT / "prototxt/fcn/fcn8s_deploy.prototxt", (3, 500, 500)),
}
LAYOUTS = {"torch": torch.contiguous_format, "torch channels_last": torch.channels_last}


def build(name: str) -> Net:
    path, _ = NETS[name]
    net = Net(path, seed=0)
    try:
        net.load({layer: blobs for layer, _, blobs in seeded_layers(net.spec, 6000)})
    except Exception as error:
        print(f"{name}: the fillers' weights ({error})")
    return net


def picture(name: str, batch: int) -> torch.Tensor:
    return 50 * torch.randn((batch, *NETS[name][1]), generator=torch.Generator().manual_seed(1))


def per_image(row: Row, batch: int) -> Row:
    quartiles = row.ratio_quartiles
    return Row(row.name, row.ours_s / batch, row.peer_s / batch, row.ratio, quartiles, row.turns, row.extra)


def measure(name: str, batches: list[int], seconds: float, caffe_python: str | None, threads: int) -> Iterator[Row]:
    net = build(name)
    macs = sum(step.layer.macs(step.bottom_shapes) for step in net.graph.steps)
    peers: dict[str, Callable[..., Any]] = {label: TorchPeer(net, layout) for label, layout in LAYOUTS.items()}
    caffe = CaffePeer(caffe_python, NETS[name][0], threads) if caffe_python and name == "fcn8s" else None
    for batch in batches:
        x = picture(name, batch)
        ours = next(iter(net(data=x).values()))
        for label, peer in peers.items():
            theirs = next(iter(peer(data=x).values()))
            apart = float((ours - theirs).abs().max() / theirs.abs().max())
            row = compare(f"{name}, batch {batch}, {label}", lambda: net(data=x), lambda: peer(data=x), seconds=seconds)  # noqa: B023
            row.extra.update(gflops=2e-9 * macs * batch / row.ours_s, difference=apart)
            yield per_image(row, batch)
        if caffe is not None:
            row = compare(
                f"{name}, batch {batch}, BVLC Caffe",
                lambda: net(data=x),  # noqa: B023
                lambda: caffe(tuple(x.shape)),  # noqa: B023
                seconds=seconds,
            )
            yield per_image(row, batch)
    if caffe is not None:
        caffe.close()


def memory(name: str, batch: int) -> Iterator[Row]:
    """Peak resident memory of ours and of plain torch, a process each; times are of one cold pass."""
    peaks, times = [], []
    for way in ("ours", "torch"):
        command = [sys.executable, __file__, "--as-memory", way, "--net", name, "--batch", str(batch)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peak, seconds = map(float, done.stdout.split()[-2:])
        peaks.append(peak)
        times.append(seconds / batch)
    extra = {"peak_mb": peaks[0], "peer_peak_mb": peaks[1]}
    ratio = times[1] / times[0]
    yield Row(f"{name}, batch {batch}, first pass, torch", times[0], times[1], ratio, (ratio, ratio), 1, extra)


def as_memory(name: str, batch: int, way: str) -> None:
    net = build(name)
    run = net if way == "ours" else TorchPeer(net, torch.contiguous_format)
    x = picture(name, batch)
    begin = time.perf_counter()
    run(data=x)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, time.perf_counter() - begin)


def layers(name: str, batch: int, turns: int = 5) -> None:
    """Milliseconds per image of every layer; with ours a convolution does the BN and ReLU after it as well."""
    import repro.net as runner

    net, x = build(name), picture(name, batch)
    peer = TorchPeer(net, torch.contiguous_format)
    found: dict[str, dict[str, list[float]]] = {w: collections.defaultdict(list) for w in ("ours", "torch")}

    def timed(way: str, label: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            begin = time.perf_counter()
            result = act(*arguments)
            found[way][label].append(time.perf_counter() - begin)
            return result

        return run

    peer.steps = [(label, timed("torch", label, run), drop) for label, run, drop in peer.steps]
    plain, following = runner._run, runner._run_with_following
    runner._run = lambda step, *rest: timed("ours", step.layer.spec.name, plain)(step, *rest)  # type: ignore[assignment]

    def with_following(step: Any, *rest: Any) -> Any:
        begin = time.perf_counter()
        result = following(step, *rest)
        if result is not None:
            found["ours"][step.layer.spec.name].append(time.perf_counter() - begin)
        return result

    runner._run_with_following = with_following
    for _ in range(turns):
        net(data=x)
        peer(data=x)
    print(f"{'layer':18} {'type':14} {'GMAC':>7} {'ours ms':>9} {'torch ms':>9} {'ours GFLOP/s':>13}")
    totals = [0.0, 0.0]
    for step in net.graph.steps:
        label = step.layer.spec.name
        ours, torchs = (1e3 * statistics.median(found[w][label] or [0.0]) / batch for w in ("ours", "torch"))
        totals = [totals[0] + ours, totals[1] + torchs]
        gmac = step.layer.macs(step.bottom_shapes) / 1e9
        rate = f"{2e3 * gmac / ours:13.0f}" if gmac and ours else ""
        print(f"{label:18} {step.layer.spec.type:14} {gmac:7.3f} {ours:9.2f} {torchs:9.2f} {rate}")
    print(f"{'all':33} {'':7} {totals[0]:9.2f} {totals[1]:9.2f}")


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 8, 50])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=20, help="about how long one comparison may take")
    parser.add_argument("--layers", action="store_true")
    parser.add_argument("--caffe-python")
    parser.add_argument("--note", default="")
    parser.add_argument("--as-memory", choices=("ours", "torch"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.as_memory:
        as_memory(options.net[0], options.batch[0], options.as_memory)
        return
    if options.layers:
        for name in options.net:
            for batch in options.batch:
                print(f"\n{name}, batch {batch}, {options.threads} threads")
                layers(name, batch)
        return
    before = conditions()
    rows: list[Row] = []
    for name in options.net:
        # an image of FCN-8s is five proposals
        batches = options.batch if name == "deconvnet" else [b for b in options.batch if b <= 4] or options.batch[:1]
        rows += measure(name, batches, options.seconds, options.caffe_python, options.threads)
        for batch in batches[:2]:
            rows += memory(name, batch)
    write("forward", before, rows, options.note)


if __name__ == "__main__":
    main()
