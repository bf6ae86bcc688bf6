"""The other components of a stranger's plugin: each works, and is found and built as one of ours."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.build import build
from zoo_registry.catalog import catalog
from zoo_registry.errors import ArtefactError
from zoo_registry.protocols import Batch

try:
    importlib.metadata.distribution("zoo-acme")
except importlib.metadata.PackageNotFoundError:
    pytest.skip("needs pip install tests/fixtures/zoo_acme, as make test does it", allow_module_level=True)


def make(kind: str, name: str, **params: Any) -> Any:
    provided = {"num_classes": 4, "cache": params.pop("cache", None), "split": "val"}
    return build(catalog().resolve(kind, name), params, provided)


def test_the_plugin_is_a_project_of_its_own() -> None:
    """Its declarations import the registry and nothing else of ours, and nothing heavy."""
    code = """
import sys, zoo_acme
hooks = [each for name, each in vars(zoo_acme).items() if name.startswith("zoo_")]
print(sum(len(hook()) for hook in hooks), [name for name in ("torch", "zoo", "zoo_plugins") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, timeout=60)
    assert done.stdout.strip() == "18 []", done.stderr


def test_its_names_are_found_bare_and_qualified() -> None:
    for name in ("tiny3d", "tiny", "acme/tiny3d", "acme/tiny"):
        assert catalog().resolve("model", name).name == "acme/tiny3d"


# --------------------------------------------------------------------------------------- temporal_flip


def counting(samples: int) -> Batch:
    """Frame t of every clip is t, and so is the t-th moment of its sound."""
    frames = torch.arange(5.0)
    clip_bcthw = frames.view(1, 1, 5, 1, 1).repeat(samples, 3, 1, 2, 2)
    index = torch.arange(samples)
    return Batch(
        {"clip_bcthw": clip_bcthw, "audio_bcn": frames.repeat(samples, 1, 1)}, {"label_b": index}, index, index
    )


def test_a_film_is_played_backwards_with_its_sound() -> None:
    batch = make("augmentation", "temporal_flip", p=1)(counting(2), torch.Generator())
    assert batch.inputs["clip_bcthw"][1, 0, :, 0, 0].tolist() == [4, 3, 2, 1, 0]
    assert batch.inputs["audio_bcn"][1, 0].tolist() == [4, 3, 2, 1, 0]
    assert batch.targets["label_b"].tolist() == [0, 1]


def test_about_half_of_the_films_are_flipped_and_the_given_batch_stays() -> None:
    given = counting(1000)
    batch = make("augmentation", "temporal_flip")(given, torch.Generator().manual_seed(0))
    flipped = int((batch.inputs["clip_bcthw"][:, 0, 0, 0, 0] == 4).sum())
    assert 440 < flipped < 560  # 500 expected, standard deviation 15.8
    assert (given.inputs["clip_bcthw"][:, 0, 0, 0, 0] == 0).all()


def test_films_are_flipped_on_any_device_by_the_same_draws() -> None:
    batch = make("augmentation", "temporal_flip")(counting(8).to("meta"), torch.Generator().manual_seed(0))
    assert batch.inputs["clip_bcthw"].device.type == "meta"


# --------------------------------------------------------------------------------------- focal


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    logits_bk, label_b = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 4
    assert make("loss", "focal", gamma=0)(logits_bk, label_b) == pytest.approx(
        torch.nn.functional.cross_entropy(logits_bk, label_b).item()
    )


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_focal_loss_of_two_classes_is_that_of_torchvision(alpha: float | None) -> None:
    """Softmax over (0, x) is sigmoid of x."""
    from torchvision.ops import sigmoid_focal_loss

    x_b, label_b = torch.randn(16, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 2
    theirs = sigmoid_focal_loss(x_b, label_b.float(), alpha=-1 if alpha is None else alpha, gamma=2, reduction="mean")
    loss = make("loss", "focal", gamma=2, alpha=None if alpha is None else [1 - alpha, alpha])
    assert loss(torch.stack([torch.zeros_like(x_b), x_b], dim=1), label_b).item() == pytest.approx(theirs.item())


def test_focal_loss_takes_probabilities() -> None:
    logits_bk, label_b = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 4
    loss, rows_bk = make("loss", "focal"), torch.nn.functional.one_hot(label_b, 4).float()
    assert loss(logits_bk, rows_bk).item() == pytest.approx(loss(logits_bk, label_b).item())


# --------------------------------------------------------------------------------------- low_rank


def compressed(model: torch.nn.Module, ratio: float) -> tuple[torch.nn.Module, dict[str, Any]]:
    return make("compression", "acme/low_rank", ratio=ratio)(model, None)


def test_a_quarter_of_the_rank_takes_the_parameters_that_arithmetic_says() -> None:
    """A layer of a x b weights and rank r has r (a + b): the hidden one 16 of 64, the head 1 of 4."""
    model = make("model", "tiny3d")
    smaller, record = compressed(model, 0.25)
    assert record == {"ranks": {"hidden": 16, "head": 1}}
    saved = (256 * 64 - 16 * (256 + 64)) + (64 * 4 - (64 + 4))
    assert count(model) - count(smaller) == saved


def count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_a_layer_of_low_rank_is_split_without_loss() -> None:
    layer = torch.nn.Linear(32, 32)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(32, 3) @ torch.randn(3, 32))
    smaller, record = compressed(torch.nn.Sequential(layer), 0.1)
    x_bn = torch.randn(4, 32)
    assert record == {"ranks": {"0": 3}}
    torch.testing.assert_close(smaller(x_bn), layer(x_bn), rtol=1e-4, atol=1e-4)


def test_the_given_model_stays_as_it_is() -> None:
    model = make("model", "tiny3d")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    compressed(model, 0.25)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_model_rebuilt_on_meta_from_its_record_answers_the_same() -> None:
    smaller, record = compressed(make("model", "tiny3d").eval(), 0.25)
    with torch.device("meta"):
        fresh = make("model", "tiny3d")
    restored = catalog().resolve("compression", "acme/low_rank").resolve_builder("restore")(fresh, record)
    restored.load_state_dict(smaller.state_dict(), strict=True, assign=True)
    clip_bcthw = torch.randn(2, 3, 8, 32, 32)
    assert torch.equal(restored.eval()(clip_bcthw), smaller(clip_bcthw))


@pytest.mark.parametrize(
    "record",
    [{}, {"ranks": 3}, {"ranks": {"nowhere": 1}}, {"ranks": {"features.0": 1}}, {"ranks": {"hidden": 10**9}},
     {"ranks": {"hidden": 0}}, {"ranks": {"hidden": True}}, {"ranks": {"hidden": "1"}}],
)  # fmt: skip
def test_a_record_that_does_not_fit_is_refused(record: dict[str, Any]) -> None:
    restore = catalog().resolve("compression", "acme/low_rank").resolve_builder("restore")
    with pytest.raises(ArtefactError, match="record of acme/low_rank"):
        restore(make("model", "tiny3d"), record)


# --------------------------------------------------------------------------------------- models and sources


def test_the_model_has_the_parameters_that_it_declares() -> None:
    """By hand: 648 + 8 and 3,456 + 16 in convolutions, 16 + 32 in norms, 256 * 64 + 64 and 64 * 400 + 400."""
    listed = catalog().resolve("model", "tiny3d")
    assert count(build(listed, {}, {"num_classes": 400})) == listed.model.parameters == 46_624


def test_a_source_writes_films_that_others_can_read(tmp_path: Path) -> None:
    import av

    source = make("source", "tones", films=2, cache=tmp_path)
    with av.open(source.samples[1].media) as film:
        assert film.streams.video[0].codec_context.name == "h264"
        assert film.streams.audio[0].codec_context.name == "aac"
        assert (film.streams.video[0].width, film.streams.video[0].height) == (32, 32)
        assert len(list(film.decode(video=0))) == 8


def test_a_source_writes_its_films_once(tmp_path: Path) -> None:
    first = make("source", "boxes", films=3, cache=tmp_path)
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "acme").iterdir()}
    assert make("source", "boxes", films=3, cache=tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "acme").iterdir()} == written
    assert len(written) == 3
