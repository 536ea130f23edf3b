"""Recordings of mean-field inference: their own tensors, room for more vertices, forgetting, and what stops them.

The recorder here calls the op again at every replay, as a CUDA graph would run its kernels again; all the rest is
what a GPU uses.
"""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch

from repro.crf import Bilateral, DenseCRF, Gaussian
from repro.ops.crf_graph import InferenceGraphs, Replay, room_for


class Tape:
    def __init__(self) -> None:
        self.recorded = 0

    def __call__(self, run: Callable[[], torch.Tensor]) -> Replay:
        self.recorded += 1
        out = run()

        def replay() -> torch.Tensor:
            return out.copy_(run())

        return replay


def model(compat: object = 5.0, graphs: InferenceGraphs | None = None, **settings: object) -> DenseCRF:
    crf = DenseCRF((Gaussian(3, 3), Bilateral(20, 13, compat)), iterations=3, **settings)
    crf.graphs = graphs
    return crf


def scene(seed: int, size: tuple[int, int] = (30, 41), colours: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, colours, (*size, 3), generator=generator, dtype=torch.uint8)
    return torch.randn(7, *size, generator=generator) * 3, image


@pytest.mark.parametrize("compat", [5.0, [-1.0] * 7, torch.eye(7) * -3])
@pytest.mark.parametrize("relaxation", [1.0, 0.7])
def test_one_recording_serves_images_of_different_lattices_with_their_bits(compat: object, relaxation: float) -> None:
    tape = Tape()
    crf = model(compat, InferenceGraphs(record=tape), relaxation=relaxation)
    plain = model(compat, relaxation=relaxation)
    kept = []
    for seed in (0, 1, 2, 0):
        unary, image = scene(seed)
        kept.append((crf(unary, image), plain(unary, image)))
    assert tape.recorded == 1
    # All at the end: a later image must not write into an earlier result.
    assert all(torch.equal(found, wanted) for found, wanted in kept)


def test_another_size_lattice_or_setting_is_another_recording_and_the_oldest_goes() -> None:
    tape = Tape()
    graphs = InferenceGraphs(limit=2, record=tape)
    crf = model(graphs=graphs)
    for number, case in enumerate([scene(0), scene(0, (30, 40)), scene(0, colours=4)], start=1):
        assert torch.equal(crf(*case), model()(*case))
        assert tape.recorded == number
    assert len(graphs) == 2
    crf(*scene(0))  # forgotten
    assert tape.recorded == 4
    crf.iterations = 4
    crf(*scene(0))
    assert tape.recorded == 5


def test_what_cannot_be_recorded_is_computed_all_the_same_and_says_why() -> None:
    def refuse(run: Callable[[], torch.Tensor]) -> Replay:
        raise RuntimeError("operation not permitted when stream is capturing")

    graphs = InferenceGraphs(record=refuse)
    crf = model(graphs=graphs)
    case = scene(0)
    with pytest.warns(UserWarning, match="not permitted when stream is capturing"):
        found = crf(*case)
    assert torch.equal(found, model()(*case))
    assert graphs.refusal == "operation not permitted when stream is capturing"
    assert torch.equal(crf(*case), found)  # and no second warning, which would be an error


def test_on_the_cpu_and_where_gradients_are_asked_for_nothing_is_recorded() -> None:
    crf = DenseCRF((Gaussian(3, 3),), iterations=2, cuda_graph=True)
    unary, image = scene(0)
    crf(unary, image)
    assert crf.graphs is not None
    assert len(crf.graphs) == 0
    tape = Tape()
    learning = model(graphs=InferenceGraphs(record=tape))
    learning(unary.requires_grad_(), image).sum().backward()
    assert tape.recorded == 0


def test_a_copy_makes_its_own_recordings() -> None:
    crf = DenseCRF((Gaussian(3, 3),), cuda_graph=True)
    for other in (copy.deepcopy(crf), pickle.loads(pickle.dumps(crf))):
        assert isinstance(other.graphs, InferenceGraphs)
        assert other.graphs is not crf.graphs
    assert DenseCRF((Gaussian(3, 3),)).graphs is None


@pytest.mark.parametrize("vertices", [1, 1024, 1025, 8902, 177_592, 517_140])
def test_room_is_at_most_an_eighth_more(vertices: int) -> None:
    assert vertices <= room_for(vertices) <= max(vertices * 9 / 8, vertices + 1023)
