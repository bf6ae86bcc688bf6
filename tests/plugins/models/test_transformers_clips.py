"""The namespace `transformers`: its entries, other clips, channels and classes, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.build import build
from zoo.data.preprocess import Preprocess
from zoo_registry import ClipSpec
from zoo_registry.catalog import Listed, catalog
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Batch, StagedNetwork

transformers = pytest.importorskip("transformers", reason="the extra videozoo[transformers] is not installed")

from zoo_plugins.transformers.published import from_transformers  # noqa: E402

NAMES = [each.entry.name for each in catalog().list("model", "transformers/*")]


def listed(name: str) -> Listed:
    return catalog().resolve("model", f"transformers/{name}")


def built(
    name: str, classes: int = 400, device: str = "cpu", clip: dict[str, Any] | None = None, **params
) -> nn.Module:
    spec = replace(listed(name).model.clip, **(clip or {}))
    with torch.device(device):
        return build(listed(name), params, {"num_classes": classes, "clip": spec})


def parameters(network: nn.Module) -> int:
    return sum(value.numel() for value in network.parameters())


def test_listing_them_does_not_import_the_library():
    code = "import sys, zoo_plugins.transformers.plugin as plugin; plugin.zoo_models(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("name", NAMES)
def test_stages_name_every_parameter_once_and_their_maps_are_as_they_say(name):
    clip = listed(name).model.clip
    network = built(name, device="meta")
    with torch.device("meta"):
        maps = network.forward_pyramid(torch.empty(1, 3, clip.frames, *clip.height_width))
    assert isinstance(network, StagedNetwork)
    stages = network.stages()
    assert [stage.name for stage in stages] == ["stem", *(f"block{n}" for n in range(1, len(stages) - 1)), "head"]
    names = [each for stage in stages for layer in stage.layers for each in layer]
    for key, _ in network.named_parameters():
        assert len([each for each in names if key == each or key.startswith(f"{each}.")]) == 1, key
    assert len(maps) == len(stages) - 1
    for stage, found in zip(stages, maps, strict=False):
        whole = (clip.frames, *clip.height_width)
        assert found.shape[1] == stage.channels
        assert tuple(found.shape[2:]) == tuple(side // step for side, step in zip(whole, stage.stride, strict=True))


def test_v_jepa_2_has_as_many_parameters_as_the_library_counts():
    """Without a classifier, and with the one for the 174 classes of Something-Something v2."""
    bare = built("vjepa2_l", device="meta")
    assert parameters(bare) - parameters(bare.classifier) == 325_971_328
    assert parameters(built("vjepa2_l_attentive", classes=174, device="meta")) == 375_485_998


def test_pretraining_has_as_many_parameters_as_the_library_counts():
    """Its defaults leave out the norm after the encoder that the published weights have."""
    assert parameters(built("videomae_b_pretraining", device="meta", final_norm=False)) == 94_209_408
    assert parameters(built("videomae_b_pretraining", device="meta")) == 94_209_408 + 2 * 768


# ------------------------------------------------------------------------------------------------------ other clips


def ramp(grid: tuple[int, int, int], scale: tuple[float, float, float] = (1, 1, 1)) -> Tensor:
    """Rows (N, 1) that grow evenly along each side of a grid, at the centres of cells `scale` as long as one."""
    sides = [(torch.arange(side) + 0.5) * step - 0.5 for side, step in zip(grid, scale, strict=True)]
    time, row, column = torch.meshgrid(*sides, indexing="ij")
    return (100 * time + 10 * row + column).reshape(-1, 1)


@pytest.mark.parametrize(
    ("name", "key", "published", "special", "clip", "grid"),
    [
        ("vivit_b_16x2", "vivit.embeddings.position_embeddings", (16, 14, 14), 1, {"frames": 16, "size": 112},
         (8, 7, 7)),
        ("timesformer_b", "timesformer.embeddings.position_embeddings", (1, 14, 14), 1, {"size": 112}, (1, 7, 7)),
        ("timesformer_b", "timesformer.embeddings.time_embeddings", (8, 1, 1), 0, {"frames": 4}, (4, 1, 1)),
        ("xclip_b_32", "mit.position_embedding", (8, 1, 1), 0, {"frames": 4}, (4, 1, 1)),
        ("videoprism_b", "vision_model.spatial_embeddings.position_embeddings", (1, 16, 16), 0, {"size": 144},
         (1, 8, 8)),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:the weights are of the encoder alone")
def test_positions_are_interpolated_to_the_grid_of_the_clip(name, key, published, special, clip, grid):
    """A table that grows evenly still does, away from its edges."""
    network = built(name, clip=clip, device="meta")
    width = network.state_dict()[key].shape[-1]
    rows = torch.cat([torch.full((special, 1), -7.0), ramp(published)]).expand(-1, width)
    with pytest.warns(UserWarning, match=f"positions interpolated for the clip: {'x'.join(map(str, published))} to"):
        fitted = from_transformers({key: rows[None]}, network)[key]
    assert fitted.shape == network.state_dict()[key].shape
    assert torch.equal(fitted[0, :special], rows[:special])
    scale = tuple(of / to for of, to in zip(published, grid, strict=True))
    expected, found = (each.expand(-1, width)[:, 0].view(grid) for each in (ramp(grid, scale), fitted[0, special:]))
    inside = tuple(slice(2, -2) if side > 4 else slice(None) for side in grid)
    torch.testing.assert_close(found[inside], expected[inside], rtol=0, atol=1e-3)


def test_positions_of_an_embedding_are_interpolated_too():
    key = "vision_model.embeddings.position_embedding.weight"
    network = built("xclip_b_32", clip={"size": 448}, device="meta")
    rows = torch.cat([torch.full((1, 1), -7.0), ramp((1, 7, 7))]).expand(-1, 768)
    with pytest.warns(UserWarning, match="1x7x7 to 1x14x14"):
        fitted = from_transformers({key: rows}, network)[key]
    inside = fitted[1:, 0].view(14, 14)[4:-4, 4:-4]
    expected = ramp((1, 14, 14), (1, 0.5, 0.5)).view(14, 14)[4:-4, 4:-4]
    # Between cells torch's cubic (a = -0.75) bends a straight line by 3/64 of a step; a step is 10 down and 1 across.
    torch.testing.assert_close(inside, expected, rtol=0, atol=11 * 3 / 64 + 1e-3)


def test_fixed_positions_are_said_to_be_counted_anew():
    with pytest.warns(UserWarning, match="counted anew for the clip: from 8x14x14 to 4x7x7 patches"):
        from_transformers({}, built("videomae_s", clip={"frames": 8, "size": 112}, device="meta"))


SHORT = {
    "videomae_s": {"frames": 4, "size": (32, 48)},
    "timesformer_b_space": {"frames": 2, "size": 32},
    "vivit_b_16x2": {"frames": 4, "size": (32, 48)},
    "videoprism_b": {"frames": 2, "size": (36, 54)},
    "xclip_b_32": {"frames": 2, "size": 64},
    "vjepa2_l": {"frames": 4, "size": 32},
}


@pytest.mark.parametrize("name", [*list(SHORT)[:-1], pytest.param("vjepa2_l", marks=pytest.mark.slow)])
def test_a_network_for_another_clip_and_other_channels_answers(name):
    network = built(name, classes=6, clip=SHORT[name], in_channels=2).eval()
    spec = replace(listed(name).model.clip, **SHORT[name])
    with torch.no_grad():
        assert network(torch.randn(1, 2, spec.frames, *spec.height_width)).shape == (1, 6)


@pytest.mark.parametrize(
    ("name", "clip", "said"),
    [
        ("videomae_b", {"frames": 15}, r"multiples of 2, and sides in multiples of 16.*15 of 224x224\n.*16 of 224"),
        ("vivit_b_16x2", {"size": 230}, r"multiples of 16 pixels; the clip has 32 of 230x230"),
        ("videoprism_b", {"size": 224}, r"multiples of 18 pixels; the clip has 16 of 224x224"),
        ("timesformer_b", {"size": (224, 320)}, r"square frames; the clip has 8 of 224x320"),
        ("vjepa2_l", {"size": (256, 320)}, r"square frames; the clip has 64 of 256x320"),
        ("xclip_b_32", {"size": (224, 256)}, r"square frames; the clip has 8 of 224x256"),
    ],
)
def test_a_clip_that_a_network_cannot_take_is_refused_when_it_is_built(name, clip, said):
    with pytest.raises(ParameterError, match=said):
        built(name, clip=clip, device="meta")


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(("vjepa2", "videomae_l"))])
def test_a_clip_of_twice_the_length_is_refused_and_not_taken_for_two(name):
    clip = listed(name).model.clip
    network = built(name, device="meta")
    said = f"was built for clips of {clip.frames} frames of .* this one has {2 * clip.frames} of"
    rest = [torch.empty(1, 1568, dtype=torch.bool, device="meta")] if "pretraining" in name else []
    with pytest.raises(ParameterError, match=said):
        network(torch.empty(1, 3, 2 * clip.frames, *clip.height_width, device="meta"), *rest)
    with pytest.raises(ParameterError, match=r"takes clips of shape \(B, C, T, H, W\), not \(3, 8"):
        network.forward_pyramid(torch.empty(3, 8, *clip.height_width, device="meta"))


@pytest.mark.parametrize("ratio", [0.001, 0.2])
def test_a_mask_has_to_leave_something_seen_and_something_to_paint(ratio):
    with pytest.raises(ParameterError, match=r"masks \d+ of the 4 patches of a frame\n.*change mask_ratio"):
        built("videomae_b_pretraining", device="meta", clip={"size": 32}, mask_ratio=ratio)


def test_names_have_to_be_as_many_as_outputs():
    network = built("xclip_b_32", classes=3, device="meta")
    with pytest.raises(ParameterError, match=r"2 names for 3 outputs\n.*num_classes=2"):
        network.set_labels(torch.zeros(2, 77, dtype=torch.long))


# --------------------------------------------------------------------------------------------------------- pixels


def normalised(clip: ClipSpec, grey: int) -> Tensor:
    """What our preprocessing makes of a grey value."""
    pixels = torch.full((1, 3, clip.frames, *clip.height_width), grey, dtype=torch.uint8)
    batch = Batch({"clip_bcthw": pixels}, {}, torch.zeros(1), torch.zeros(1))
    return Preprocess(clip)(batch).inputs["clip_bcthw"]


@pytest.mark.parametrize(
    ("name", "processor"),
    [("vivit_b_16x2", "VivitVideoProcessor"), ("vjepa2_l", "VJEPA2VideoProcessor"),
     ("vjepa2_l_attentive", "VJEPA2VideoProcessor")],
)  # fmt: skip
def test_pixels_enter_as_the_librarys_processor_prepares_them(name, processor):
    clip = replace(listed(name).model.clip, frames=2)
    theirs = getattr(transformers, processor)()
    for grey in (0, 100, 255):
        films = [torch.full((2, 3, 300, 400), grey, dtype=torch.uint8)]
        (expected,) = theirs(films, return_tensors="pt").values()
        torch.testing.assert_close(normalised(clip, grey), expected.transpose(1, 2), rtol=1e-4, atol=1e-4)
    assert theirs.size["shortest_edge"] == clip.resize


@pytest.mark.parametrize("name", ["videomae_b", "videomae_b_pretraining"])
def test_videomaes_pixels_are_those_that_its_pretraining_takes_back(name):
    from transformers.utils.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

    clip = listed(name).model.clip
    assert (list(clip.mean), list(clip.std)) == (list(IMAGENET_DEFAULT_MEAN), list(IMAGENET_DEFAULT_STD))


def test_videomae_gives_the_published_logits():
    """The numbers of the library's conversion script, for its film of somebody eating spaghetti."""
    import numpy as np
    from huggingface_hub import try_to_load_from_cache

    import zoo

    film = try_to_load_from_cache("hf-internal-testing/spaghetti-video", "eating_spaghetti.npy", repo_type="dataset")
    weights = try_to_load_from_cache("MCG-NJU/videomae-base-finetuned-kinetics", "model.safetensors")
    if not isinstance(film, str) or not isinstance(weights, str):
        pytest.skip("the published weights and eating_spaghetti.npy are not in the Hugging Face cache")
    frames = [torch.from_numpy(frame).permute(2, 0, 1) for frame in np.load(film, allow_pickle=True)]
    processor = transformers.VideoMAEVideoProcessor(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
    clip_btchw = processor([torch.stack(frames)], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        logits_k = zoo.load("transformers/videomae_b.k400")(clip_btchw.transpose(1, 2))[0]
    torch.testing.assert_close(logits_k[:3], torch.tensor([0.3669, -0.0688, -0.2421]), rtol=0, atol=1e-4)
