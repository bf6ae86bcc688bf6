"""`zoo convert`: checkpoints of other projects become model folders, every key explained or nothing written."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import video

import zoo
from zoo.cli import main
from zoo.pretrained.convert import convert
from zoo_registry.catalog import Catalog, Listed
from zoo_registry.errors import ArtefactError, ParameterError, UnknownName


def network(classes: int = 7, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return video.mc3_18(num_classes=classes).eval()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """What a training script leaves: weights among other things."""
    path = tmp_path / "mc3.pyth"
    torch.save({"model_state": network().state_dict(), "epoch": 3, "cfg": "LR: 0.1"}, path)
    return path


def with_prefix(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """A converter as plugins write them; it passes on what it does not know."""
    return {key.removeprefix("backbone."): value for key, value in state.items()}


@pytest.fixture
def layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets torchvision/mc3_18 read checkpoints whose keys begin with `backbone.`."""
    resolve = Catalog.resolve

    def resolved(self: Catalog, kind: str, *args: Any, **options: Any) -> Listed:
        listed = resolve(self, kind, *args, **options)
        if listed.name != "torchvision/mc3_18":
            return listed
        entry = dataclasses.replace(listed.model, layouts={"prefixed": f"{__name__}:with_prefix"})
        return dataclasses.replace(listed, entry=entry)

    monkeypatch.setattr(Catalog, "resolve", resolved)


def test_a_checkpoint_becomes_a_model_folder_with_the_same_answers(checkpoint: Path, tmp_path: Path) -> None:
    done = convert(checkpoint, "torchvision/mc3_18", tmp_path / "out", licence="mit", labels=list("abcdefg"))
    assert (done.layout, done.classes, done.labels) == ("videozoo", 7, 7)
    model = zoo.load(f"file:{tmp_path / 'out'}")
    clip_bcthw = torch.randn(1, 3, 4, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(clip_bcthw), network()(clip_bcthw))
    assert (model.labels, model.licence) == (tuple("abcdefg"), "mit")


def test_a_checkpoint_of_a_distributed_run_is_read(tmp_path: Path) -> None:
    torch.save({f"module.{key}": value for key, value in network().state_dict().items()}, tmp_path / "ddp.pth")
    assert convert(tmp_path / "ddp.pth", "torchvision/mc3_18", tmp_path / "out").classes == 7


def test_safetensors_and_folders_with_shards_are_read(tmp_path: Path) -> None:
    state = network().state_dict()
    keys = list(state)
    folder = tmp_path / "sharded"
    folder.mkdir()
    shards = {"model-1-of-2.safetensors": keys[:50], "model-2-of-2.safetensors": keys[50:]}
    for name, part in shards.items():
        save_file({key: state[key] for key in part}, folder / name)
    weight_map = {key: name for name, part in shards.items() for key in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    save_file(state, tmp_path / "whole.safetensors")
    for source in (folder, tmp_path / "whole.safetensors"):
        convert(source, "torchvision/mc3_18", tmp_path / "out")
        converted = zoo.load(tmp_path / "out").network.state_dict()
        assert all(torch.equal(converted[key], value) for key, value in state.items())


def test_an_index_that_leaves_its_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"fc.weight": "../secret"}}))
    with pytest.raises(ArtefactError, match="names no shards beside it"):
        convert(tmp_path, "torchvision/mc3_18", tmp_path / "out")


@pytest.mark.usefixtures("layout")
def test_the_layout_that_explains_every_key_is_found(tmp_path: Path) -> None:
    save_file({f"backbone.{key}": value for key, value in network().state_dict().items()}, tmp_path / "x.safetensors")
    assert convert(tmp_path / "x.safetensors", "torchvision/mc3_18", tmp_path / "out").layout == "prefixed"


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.update({"backbone.extra": torch.zeros(3)}), r"'extra' \(3,\) is not in the model"),
        (lambda state: state.pop("backbone.stem.0.weight"), r"'stem\.0\.weight' .* is missing from the file"),
        (lambda state: state.update({"backbone.stem.0.weight": torch.zeros(2, 2)}), r"\(2, 2\) in the file"),
    ],
)
def test_what_is_left_over_or_missing_is_named_and_nothing_is_written(change: Any, said: str, tmp_path: Path) -> None:
    state = {f"backbone.{key}": value for key, value in network().state_dict().items()}
    change(state)
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(ArtefactError, match=said):
        convert(tmp_path / "x.safetensors", "torchvision/mc3_18", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_another_architecture_is_called_by_its_name(tmp_path: Path) -> None:
    torch.save(video.r3d_18(num_classes=400).state_dict(), tmp_path / "r3d.pth")
    with pytest.raises(ArtefactError, match="their keys are those of torchvision/r3d_18"):
        convert(tmp_path / "r3d.pth", "torchvision/mc3_18", tmp_path / "out")


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("boom",)


def test_a_pickle_with_code_in_it_is_refused_without_running_it(tmp_path: Path, capsys: Any) -> None:
    torch.save({"model_state": network().state_dict(), "hook": Bomb()}, tmp_path / "bomb.pyth")
    with pytest.raises(ArtefactError, match="not a plain file of weights"):
        convert(tmp_path / "bomb.pyth", "torchvision/mc3_18", tmp_path / "out")
    assert "boom" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"weight": torch.zeros(1).expand(10**13)}, "holds no state dict"),  # 40 TB, in a file of 1 kB
        ({"weight": torch.eye(3).to_sparse()}, "holds no state dict"),
        ({"state_dict": {}}, "holds no state dict"),
        ([1, 2], "holds no state dict"),
        (nn.Linear(1, 1), r"not a plain file of weights: it asks for code, torch\.nn\.modules\.linear\.Linear"),
    ],
)
def test_what_is_no_state_dict_is_refused(held: Any, said: str, tmp_path: Path) -> None:
    torch.save(held, tmp_path / "held.pth")
    with pytest.raises(ArtefactError, match=said):
        convert(tmp_path / "held.pth", "torchvision/mc3_18", tmp_path / "out")


@pytest.mark.parametrize("data", [b"", b"hello", bytes(1000)])
def test_what_is_no_pickle_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(data)
    with pytest.raises(ArtefactError, match="it is damaged, or torch did not write it"):
        convert(tmp_path / "x.pth", "torchvision/mc3_18", tmp_path / "out")


def test_a_head_without_outputs_is_refused(tmp_path: Path) -> None:
    state = {**network().state_dict(), "fc.weight": torch.zeros(0, 512), "fc.bias": torch.zeros(0)}
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(ArtefactError, match=r"'fc\.weight' is \(0, 512\) in the file"):
        convert(tmp_path / "x.safetensors", "torchvision/mc3_18", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_truncated_file_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    with pytest.raises(ArtefactError, match="not a plain file of weights"):
        convert(checkpoint, "torchvision/mc3_18", tmp_path / "out")


def test_what_users_get_wrong_is_said(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="mc3"):
        convert(checkpoint, "torchvision/mc3_19", tmp_path / "out")
    with pytest.raises(ArtefactError, match="there is no such file"):
        convert(tmp_path / "absent.pth", "torchvision/mc3_18", tmp_path / "out")
    with pytest.raises(ParameterError, match="reads no layout 'pyslowfast'"):
        convert(checkpoint, "torchvision/mc3_18", tmp_path / "out", layout="pyslowfast")
    with pytest.raises(ParameterError, match="names weights, not an architecture"):
        convert(checkpoint, "torchvision/mc3_18.k400", tmp_path / "out")
    with pytest.raises(ParameterError, match="the licence is empty"):
        convert(checkpoint, "torchvision/mc3_18", tmp_path / "out", licence=" ")
    with pytest.raises(ParameterError, match="2 labels for 7 classes"):
        convert(checkpoint, "torchvision/mc3_18", tmp_path / "out", labels=["a", "b"])
    convert(checkpoint, "torchvision/mc3_18", tmp_path / "out")
    with pytest.raises(ArtefactError, match="is a model folder already"):
        convert(tmp_path / "out", "torchvision/mc3_18", tmp_path / "again")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    state = network().state_dict()
    state["layer1.0.conv1.0.weight"][0, 0, 0, 0, 0] = value
    torch.save(state, tmp_path / "mc3.pth")
    with pytest.raises(ArtefactError, match=r"mc3.pth: not finite: layer1.0.conv1.0.weight"):
        convert(tmp_path / "mc3.pth", "torchvision/mc3_18", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("layout")
def test_another_layout_than_the_one_asked_for_is_named(tmp_path: Path) -> None:
    torch.save({f"backbone.{key}": value for key, value in network().state_dict().items()}, tmp_path / "mc3.pth")
    with pytest.raises(ArtefactError, match="its keys are those of the layout prefixed: leave --layout out"):
        convert(tmp_path / "mc3.pth", "torchvision/mc3_18", tmp_path / "out", layout="videozoo")


def test_the_command_says_what_it_read_and_how_to_load_it(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.txt").write_text("\n".join("abcdefg"))
    for words, code in (
        ([], 0),
        ([], 2),
        (["--out", "mc3", "--labels", "names.txt"], 0),
        (["--out", "x", "--labels", "k4"], 2),
        (["--out", "x", "--labels", str(checkpoint)], 2),
        (["--out", "x", "--to", "slowfast_r50", "--labels", "ssv2"], 2),
    ):
        with pytest.raises(SystemExit) as end:
            main(["convert", str(checkpoint), "--to", "mc3_18", *words])
        assert (end.value.code or 0) == code
    said = capsys.readouterr()
    parameters = sum(parameter.numel() for parameter in network().parameters())
    assert f"torchvision/mc3_18, {parameters:,} parameters, 7 classes, read as videozoo" in said.out
    assert "the classes have no names" in said.out
    assert 'zoo.load("file:mc3")' in said.out
    assert "there is a mc3 already; say --out" in said.err
    assert "'k4' is neither a file nor a tag" in said.err
    assert "not a file of names" in said.err
    assert "nobody says the names of the classes of video/slowfast_r50.ssv2" in said.err
    assert zoo.load("file:mc3").labels == tuple("abcdefg")
