"""Every registered system: sizes, exact parameters, the original's graph, a training step, its page."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from repro import manifest, paths
from repro.caffe import LayerSpec, load_net, load_solver
from repro.caffe.unknown import KeptFieldWarning
from repro.graph import build_graph
from repro.net import Net
from repro.papers import pages, registry
from repro.papers.system import Network, Original, System
from repro.seeded import KINDS, fixed_by_its_filler, seeded_layers
from repro.summary import LayerSummary, summarize
from repro.surgery import interpolating

ROOT = Path(__file__).resolve().parents[3]
SYSTEMS = {system.name: system for system in registry.systems()}
NETWORKS = {network.name: network for system in SYSTEMS.values() for network in system.networks}
ORIGINALS = {
    f"{network.name}-{original.ours.replace('/', '.')}-{original.file.split('__')[-1]}": (network, original)
    for network in NETWORKS.values()
    for original in network.originals
}
# networks of more parameters take seconds a pass
MANY = 5_000_000
# the aligning form of a layer, and the one with the offset typed into it (repro.crops holds them against each other);
# an older fork's dilated convolution
SAME = {"AutoCrop": "Crop", "HoleConvolution": "Convolution"}


def by_weight(networks: dict[str, Network]) -> list[object]:
    """Parameters of a test; the heavy ones in the slow run only."""
    return [
        pytest.param(network, id=name, marks=[pytest.mark.slow] if network.parameters > MANY else [])
        for name, network in networks.items()
    ]


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_system_is_complete(system: System) -> None:
    assert system.networks
    assert system.published
    assert (ROOT / system.docs).is_file(), f"{system.docs} is missing"
    names = {table.name: table for table in system.published}
    for measured in system.measured:
        assert measured.how
        if measured.table:
            assert measured.row in dict(names[measured.table].rows)
            assert measured.column in names[measured.table].columns


def test_names_are_given_once() -> None:
    names = [network.name for system in SYSTEMS.values() for network in system.networks]
    assert len(names) == len(set(names))
    assert list(SYSTEMS) == list(registry.SYSTEMS)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_weights_are_in_the_manifest(network: Network) -> None:
    listed = {entry.name: entry for entry in manifest.read()}
    if network.weights:
        assert network.weights in listed
        entry = listed[network.weights]
        assert network.prototxt in (entry.prototxt, *entry.also_fits)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_parameters_are_counted_exactly(network: Network) -> None:
    assert pages.count_parameters(network) == network.parameters


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_output_sizes(network: Network) -> None:
    assert len(network.sizes) > 1
    assert summarize(paths.prototxt(network.prototxt)).layers[0].shapes[0] == network.sizes[0][0]
    for given, expected in network.sizes:
        assert scores_shape(network, given) == expected
        if network.classes and not (network.inference and network.inference.scoring):
            assert len(network.classes) == expected[1]


def scores_shape(network: Network, given: tuple[int, ...]) -> tuple[int, ...]:
    others = {name: (given[0], *shape) for name, shape in network.more_inputs}
    found = summarize(paths.prototxt(network.prototxt), shapes={network.input: given, **others})
    read = {bottom for layer in found.layers for bottom in layer.bottoms}
    tops = {top: shape for layer in found.layers for top, shape in zip(layer.tops, layer.shapes, strict=True)}
    ends = [top for top in tops if top not in read] if not network.scores else [network.scores]
    # a blob that in-place layers end is read by them
    (end,) = ends or [found.layers[-1].tops[0]]
    return tops[end]


@pytest.mark.parametrize("network", by_weight(NETWORKS))
def test_deploy_runs_at_two_sizes(network: Network) -> None:
    net = Net(paths.prototxt(network.prototxt), seed=0)
    for given, expected in small_sizes(network):
        torch.manual_seed(0)
        with torch.inference_mode():
            others = {name: torch.rand(given[0], *shape) for name, shape in network.more_inputs}
            found = net(**{network.input: torch.randn(given), **others})
        scores = found[network.scores] if network.scores else next(iter(found.values()))
        assert scores.shape == expected
        assert torch.isfinite(scores).all()


def small_sizes(network: Network) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The two smallest of a network's sizes."""
    return sorted(network.sizes, key=lambda pair: pair[0][0] * pair[0][2] * pair[0][3])[:2]


def start(net: Net) -> None:
    """Values for what starts from zero because `repro surgery` would have set it; scores stay as they are filled."""
    zero = {name for name, blobs in net.params.items() if not any(p.any() for p in blobs)}
    drawn = {name: blobs for name, _, blobs in seeded_layers(net.spec, 5, net.inputs)} | interpolating(
        net.spec, net.inputs
    )
    net.load({name: blobs for name, blobs in drawn.items() if name in zero}, allow_missing=True)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_stand_in_weights_exist_for_every_layer(network: Network) -> None:
    layers = [step.layer for step in build_graph(load_net(paths.prototxt(network.prototxt))).steps]
    drawn = {layer.spec.type for layer in layers if layer.declared and not fixed_by_its_filler(layer)}
    assert drawn <= set(KINDS)


TRAINABLE = {name: network for name, network in NETWORKS.items() if network.train}


@pytest.mark.parametrize("network", by_weight(TRAINABLE))
def test_one_training_step_lowers_the_loss(network: Network) -> None:
    shapes = dict(network.train_shapes)
    net = Net(paths.prototxt(network.train), phase="TRAIN", shapes=shapes, seed=0)
    start(net)
    classes = network.sizes[0][1][1]
    torch.manual_seed(1)
    blobs = {
        name: torch.randn(shape) if name == network.input else torch.randint(0, classes, shape).float()
        for name, shape in shapes.items()
    }

    def loss() -> torch.Tensor:
        torch.manual_seed(2)  # the same units drop out
        net(**blobs)
        return net.loss

    before = loss()
    before.backward()
    entries = [(p, lr) for _, _, p, lr, _ in net.param_entries if lr and p.grad is not None]
    assert entries
    assert all(torch.isfinite(p.grad).all() for p, _ in entries if p.grad is not None)
    descent = sum(lr * float(p.grad.square().sum()) for p, lr in entries if p.grad is not None)
    assert descent > 0
    # to first order this lowers the loss by a hundredth, then by less where it bends sooner
    step = 0.01 * float(before.detach()) / descent
    found = []
    with torch.no_grad():
        for share in (1.0, -0.9, -0.09):
            for p, lr in entries:
                assert p.grad is not None
                p.sub_(share * step * lr * p.grad)
            found.append(float(loss()))
            if found[-1] < float(before):
                return
    pytest.fail(f"no step lowers the loss of {float(before)}: {found}")


@pytest.mark.parametrize("network", TRAINABLE.values(), ids=TRAINABLE)
def test_training_net_has_the_parameters_of_the_deploy_net(network: Network) -> None:
    shapes = dict(network.train_shapes)
    deploy = parameters(summarize(paths.prototxt(network.prototxt)).layers)
    train = parameters(summarize(paths.prototxt(network.train), "TRAIN", shapes=shapes).layers)
    assert {name: train.get(name) for name in deploy} == deploy


@pytest.mark.parametrize("network", TRAINABLE.values(), ids=TRAINABLE)
def test_solver_trains_that_net(network: Network) -> None:
    assert network.solver, "a training net needs a solver"
    solver = load_solver(paths.prototxt(network.solver))
    assert solver.message.max_iter
    assert Path(str(solver.load_train_net().source)).resolve() == paths.prototxt(network.train).resolve()


def parameters(layers: tuple[LayerSummary, ...]) -> dict[str, tuple[tuple[int, ...], ...]]:
    return {layer.name: layer.blob_shapes for layer in layers if layer.blob_shapes}


@pytest.fixture
def wild(shared: Path) -> Path:
    path = shared / "data" / "wild" / "prototxt"
    if not path.is_dir():
        pytest.skip(f"the real network definitions are not here ({path})")
    return path


@pytest.mark.parametrize(("network", "original"), ORIGINALS.values(), ids=ORIGINALS)
@pytest.mark.filterwarnings("ignore::repro.caffe.unknown.KeptFieldWarning")
def test_the_original_is_the_same_graph(network: Network, original: Original, wild: Path) -> None:
    assert not (original.renames or original.leaves_out or original.adds) or original.why
    define = dict(original.define)
    theirs = graph(wild / f"{original.file}.prototxt", original, define)
    ours = graph(paths.prototxt(original.ours), original, {}, adds=original.adds)
    renamed = dict(original.renames)

    def known(name: str) -> str:
        return renamed.get(name, name)

    expected = [
        (kind, known(name), [known(b) for b in bottoms], [known(t) for t in tops])
        for kind, name, bottoms, tops in theirs
        if name not in original.leaves_out
    ]
    assert ours == expected
    assert blobs_of(paths.prototxt(original.ours), network, original, {}) == {
        known(name): shapes
        for name, shapes in blobs_of(wild / f"{original.file}.prototxt", network, original, define).items()
        if name not in original.leaves_out
    }


def graph(
    path: Path, original: Original, define: dict[str, str], adds: tuple[str, ...] = ()
) -> list[tuple[str, str, list[str], list[str]]]:
    """Type, name, bottoms and tops of every layer that reads a blob, in order."""
    spec = load_net(path, phase=original.phase, dialect=original.dialect or None, define=define)
    layers: tuple[LayerSpec, ...] = spec.layers
    return [
        (SAME.get(layer.type, layer.type), layer.name, list(layer.bottoms), list(layer.tops))
        for layer in layers
        if layer.bottoms and layer.name not in adds
    ]


def blobs_of(path: Path, network: Network, original: Original, define: dict[str, str]) -> dict[str, tuple[object, ...]]:
    """Shapes of the tops and of the parameters of every layer that reads a blob, at one input size for both files."""
    given = dict(original.shapes or ((network.input, network.sizes[0][0]),))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KeptFieldWarning)
        found = summarize(path, original.phase, shapes=given, dialect=original.dialect or None, define=define)
    return {
        layer.name: (layer.shapes, layer.blob_shapes)
        for layer in found.layers
        if layer.bottoms and layer.name not in original.adds
    }
