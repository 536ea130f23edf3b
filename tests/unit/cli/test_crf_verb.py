"""`repro crf`: what it reads, writes and refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from repro.cli.main import main
from repro.crf import presets


@pytest.fixture
def picture(tmp_path: Path) -> tuple[Path, np.ndarray, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (20, 30, 3), generator=generator, dtype=torch.uint8).numpy()
    Image.fromarray(image).save(tmp_path / "photo.png")
    return tmp_path / "photo.png", image, torch.randn(5, 20, 30, generator=generator)


def test_every_file_kind_gives_the_labels_of_the_library(picture, tmp_path: Path) -> None:
    photo, image, scores = picture
    np.save(tmp_path / "s.npy", scores.numpy())
    np.savez(tmp_path / "s.npz", a=scores.numpy(), b=np.zeros(3))
    torch.save({"fc8": scores[None], "other": torch.zeros(2)}, tmp_path / "s.pt")
    np.save(tmp_path / "p.npy", scores.softmax(0).numpy())
    crf = presets.krahenbuhl_2011()
    crf.iterations = 3
    wanted = crf.map(-scores.log_softmax(0), image).numpy()
    for name, extra in (
        ("s.npy", []),
        ("s.npz", ["--key", "a"]),
        ("s.pt", ["--key", "fc8"]),
        ("p.npy", ["--kind", "probs"]),
    ):
        out = tmp_path / "labels.png"
        arguments = ["crf", str(photo), str(tmp_path / name), "-o", str(out), "--preset", "krahenbuhl_2011"]
        assert main([*arguments, "--iterations", "3", *extra]) == 0
        np.testing.assert_array_equal(np.array(Image.open(out)), wanted)


def test_probabilities_figure_and_animation(picture, tmp_path: Path) -> None:
    photo, image, scores = picture
    np.save(tmp_path / "u.npy", -scores.log_softmax(0).numpy())
    files = {flag: tmp_path / f"out{flag}" for flag in ("--save-q", "--figure", "--steps-gif")}
    extra = [text for flag, path in files.items() for text in (flag, str(path))]
    plain = ["crf", str(photo), str(tmp_path / "u.npy"), "--kind", "unary", "-o", str(tmp_path / "l.png")]
    assert main([*plain, *extra]) == 0
    wanted = presets.pydensecrf_readme()(-scores.log_softmax(0), image)
    np.testing.assert_array_equal(np.load(files["--save-q"]), wanted.numpy())
    assert Image.open(files["--steps-gif"]).n_frames > 1
    assert Image.open(files["--figure"]).size[0] > 900


@pytest.mark.parametrize(
    ("content", "name", "extra", "message"),
    [
        (np.zeros((3, 30, 20), np.float32), "s.npy", [], "expected labels×20×30"),
        (np.zeros((300, 20, 30), np.float32), "s.npy", [], "300 labels"),
        (np.full((3, 20, 30), np.nan, np.float32), "s.npy", [], "NaN"),
        (np.zeros((3, 20, 30), complex), "s.npy", [], "expected numbers"),
        (np.zeros((3, 20, 30), np.float32), "s.npy", ["--key", "a"], "no name 'a'"),
        (np.zeros((3, 20, 30), np.float32), "s.npy", ["--device", "nonsense"], "--device nonsense"),
        (np.zeros((3, 20, 30), np.float32), "s.npy", ["--iterations", "-1"], "--iterations -1"),
        (b"\x93NUMPY not", "s.npy", [], "not a NumPy file"),
        (b"\x80\x04garbage", "s.pt", [], "load safely"),
        (b"", "s.txt", [], "expected .npy, .npz, .mat or .pt"),
        (None, "s.npy", [], "no such file"),
    ],
)
def test_bad_scores(picture, tmp_path: Path, capsys, content, name: str, extra: list[str], message: str) -> None:
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    elif content is not None:
        np.save(tmp_path / name, content)
    arguments = ["crf", str(picture[0]), str(tmp_path / name), "-o", str(tmp_path / "l.png"), *extra]
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "l.png").exists()


def test_a_pickle_is_not_executed(picture, tmp_path: Path) -> None:
    marker = tmp_path / "executed"

    class Trap:
        def __reduce__(self):
            return (Path.touch, (marker,))

    torch.save(Trap(), tmp_path / "s.pt")
    assert main(["crf", str(picture[0]), str(tmp_path / "s.pt"), "-o", str(tmp_path / "l.png")]) == 2
    assert not marker.exists()
