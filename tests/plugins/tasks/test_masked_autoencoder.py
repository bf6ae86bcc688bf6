"""Painting masked patches: what transformers computes, what is masked, and what is made of the encoder."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from tests.plugins.tasks.training import assembled, recipe_of, train
from zoo.build import build
from zoo_registry import ClipSpec
from zoo_registry.catalog import catalog
from zoo_registry.errors import RecipeError
from zoo_registry.protocols import Batch

transformers = pytest.importorskip("transformers", reason="the extra videozoo[transformers] is not installed")

from zoo_plugins.tasks.masked_autoencoder import masked_autoencoder  # noqa: E402
from zoo_plugins.transformers.videomae import VideoMAEPretraining, tubes, videomae_pretraining  # noqa: E402

SPEC = ClipSpec(frames=4, size=(32, 48), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
TINY = {"width": 32, "blocks": 2, "heads": 2, "mlp_width": 64}
DECODER = {"decoder_width": 16, "decoder_blocks": 1, "decoder_heads": 2}
PRETRAINING = {
    "name": "transformers/videomae_s_pretraining", "params": {**TINY, **DECODER, "mask_ratio": 0.5},
}  # fmt: skip


def network(**params) -> VideoMAEPretraining:
    torch.manual_seed(0)
    return videomae_pretraining(size="s", clip=SPEC, **{**TINY, **DECODER, "mask_ratio": 0.67, **params})


def films(count: int = 2) -> tuple[Tensor, Batch]:
    """Pixels in 0..1, and the batch that a run makes of them."""
    clip01_bcthw = torch.rand(count, 3, 4, 32, 48, generator=torch.Generator().manual_seed(5))
    mean, std = (torch.tensor(each).view(3, 1, 1, 1) for each in (SPEC.mean, SPEC.std))
    inputs = {"clip_bcthw": (clip01_bcthw - mean) / std}
    return clip01_bcthw, Batch(inputs, {}, torch.arange(count), torch.zeros(count, dtype=torch.int64))


def library_of(ours: VideoMAEPretraining):
    """The library's own class with the same weights."""
    config = transformers.VideoMAEConfig(
        image_size=[32, 48], num_frames=4, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, decoder_hidden_size=16, decoder_num_hidden_layers=1, decoder_num_attention_heads=2,
        decoder_intermediate_size=64, use_mean_pooling=False,
    )  # fmt: skip
    theirs = transformers.VideoMAEForPreTraining(config)
    theirs.load_state_dict(ours.state_dict())
    return theirs


def test_the_loss_of_a_step_is_the_librarys(monkeypatch):
    """Same weights, same mask: the same logits and the same loss."""
    ours = network()
    theirs, (_, batch) = library_of(ours), films()
    mask_bn = ours.draw_mask(2, "cpu")
    monkeypatch.setattr(ours, "draw_mask", lambda count, device: mask_bn)
    clip_bcthw = batch.inputs["clip_bcthw"]
    expected = theirs(clip_bcthw.transpose(1, 2), bool_masked_pos=mask_bn)
    (objective,) = masked_autoencoder(model=ours, clip=SPEC).objectives()
    torch.testing.assert_close(ours(clip_bcthw, mask_bn), expected.logits, rtol=1e-5, atol=1e-5)
    total = objective.loss(batch, {})["total"]
    assert total.item() == pytest.approx(expected.loss.item(), rel=1e-5, abs=1e-5)


def test_the_error_in_evaluation_is_the_librarys():
    ours = network().eval()
    task, (_, batch) = masked_autoencoder(model=ours, clip=SPEC), films()
    with torch.no_grad():
        outputs = task.predict(task.result(), batch)
        expected = library_of(ours).eval()(
            batch.inputs["clip_bcthw"].transpose(1, 2), bool_masked_pos=ours.mask_1n.expand(2, -1)
        )
    metrics = task.metrics()
    metrics.update(outputs, batch)
    assert metrics.compute()["error"] == pytest.approx(expected.loss.item(), rel=1e-5)


def test_the_published_number_of_parameters():
    """94,209,408 in the base model, and two vectors of 768 in the norm that published encoders end in."""
    listed = catalog().resolve("model", "transformers/videomae_b_pretraining")
    with torch.device("meta"):
        base = build(listed, {"final_norm": False}, {"clip": listed.model.clip})
    assert sum(parameter.numel() for parameter in base.parameters()) == 94_209_408


def test_tubes_hide_the_same_patches_of_every_frame_and_others_of_every_clip():
    masks = tubes(64, (4, 3, 5), masked=4 * 13, generator=torch.Generator().manual_seed(0)).unflatten(1, (4, 15))
    assert torch.equal(masks, masks[:, :1].expand(-1, 4, -1))
    assert (masks.sum(2) == 13).all()
    assert len({tuple(row) for row in masks[:, 0].tolist()}) > 32


def test_nine_of_ten_patches_are_masked_where_nothing_else_is_said():
    base = videomae_pretraining(size="s", clip=ClipSpec(frames=2, size=160), **TINY, **DECODER)
    assert (base.masked, base.mask_1n.shape) == (90, (1, 100))


def test_masks_differ_in_training_and_stay_in_evaluation():
    ours, (_, batch) = network().eval(), films()
    task = masked_autoencoder(model=ours, clip=SPEC)
    (objective,) = task.objectives()
    with torch.no_grad():
        torch.manual_seed(1)
        drawn = {objective.loss(batch, {})["total"].item() for _ in range(4)}
        measured = {task.predict(ours, batch)["error_b"].mean().item() for _ in range(4)}
    assert len(drawn) == 4
    assert len(measured) == 1


def test_a_perfect_answer_paints_the_clip_and_no_answer_paints_grey():
    ours, (clip01_bcthw, _) = network(), films()
    mask_bn = ours.draw_mask(2, "cpu")
    painted = ours.painted(clip01_bcthw, mask_bn, ours.target(clip01_bcthw, mask_bn))
    torch.testing.assert_close(painted, clip01_bcthw)
    grey = ours.painted(clip01_bcthw, mask_bn)
    assert ((grey == 0.5).all(1).float().mean()).item() == pytest.approx(4 / 6)
    shown = (grey == clip01_bcthw).all(1)  # B T H W, whole patches
    assert torch.equal(shown[:, ::2, ::16, ::16].flatten(1), ~mask_bn)


def test_a_network_that_paints_nothing_is_refused():
    with pytest.raises(RecipeError, match="a network that paints masked patches, which a Flatten does not"):
        masked_autoencoder(model=nn.Flatten(), clip=SPEC)


@pytest.mark.filterwarnings("ignore:positions are a fixed table")
def test_its_encoder_starts_a_classifier_with_a_new_head(tmp_path):
    """One epoch without labels; then another recipe names the run, and trains on."""
    import zoo

    clip = {"frames": 2, "size": 32}
    recipe = recipe_of("masked_autoencoder", PRETRAINING, clip=clip, epochs=1)
    recipe["data"] |= {"train": "shapes", "val": "shapes"}
    recipe["run"] |= {"batch": 64, "checkpoint": {}}
    zoo.run(recipe, out=tmp_path / "pretrained", quiet=True)
    taught = zoo.load(tmp_path / "pretrained").network
    begun = {
        "name": "transformers/videomae_s", "params": TINY,
        "weights": f"file:{tmp_path / 'pretrained' / 'model'}",
    }  # fmt: skip
    recipe = recipe_of("classification", begun, clip=clip, loss="cross_entropy", epochs=1)
    pipeline = assembled(recipe)
    encoder = pipeline.network.videomae.state_dict()
    assert encoder
    assert all(torch.equal(value, taught.videomae.state_dict()[name]) for name, value in encoder.items())
    assert pipeline.skipped == ("classifier.weight", "classifier.bias")
    (row,) = train(recipe, tmp_path / "finetuned").rows("val")
    assert math.isfinite(row["loss"])


@pytest.mark.filterwarnings("ignore:positions are a fixed table")
def test_a_saved_run_says_how_well_it_paints_a_film(tmp_path):
    import zoo

    recipe = recipe_of("masked_autoencoder", PRETRAINING, clip={"frames": 8, "size": 32}, epochs=1)
    zoo.run(recipe, out=tmp_path / "run", quiet=True)
    film = assembled(recipe).splits["val"].samples[0].media
    (row,) = zoo.load(tmp_path / "run").predict(film, views=2)
    assert row["error"] > 0
    assert len(row["features"]) == 32
