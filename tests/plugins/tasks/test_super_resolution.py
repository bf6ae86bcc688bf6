"""Frames are degraded as the field does it, and published weights restore the published PSNR of every picture."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import zoo
from zoo.data.preprocess import preprocess_for
from zoo.recipe import load_recipe
from zoo.runner.evaluate_saved import evaluate_saved
from zoo.runner.pipeline import assemble
from zoo.runner.stages import run
from zoo_plugins.enhance.vdsr import vdsr
from zoo_plugins.tasks.bicubic import resized
from zoo_plugins.tasks.restoration_metrics import psnr_b, ssim_b
from zoo_plugins.tasks.super_resolution import super_resolution
from zoo_registry.catalog import catalog
from zoo_registry.errors import DataError, PluginError, RecipeError
from zoo_registry.protocols import Batch

FILMS = ("bird", "butterfly", "head", "woman")

PUBLISHED = {
    2: (42.640, 34.722, 35.972, 36.096),
    3: (36.820, 30.025, 34.029, 32.518),
    4: (33.720, 27.369, 32.793, 30.008),
}
"""PSNR of the pictures with the weights of pytorch-vdsr, by its own evaluation."""

BICUBIC = {2: 32.835, 3: 29.526, 4: 27.582}
"""Their mean after bicubic enlargement alone."""


def mat(shared: Path, film: str, scale: int) -> dict[str, Any]:
    io = pytest.importorskip("scipy.io", reason="scipy reads MATLAB's files")
    found: dict[str, Any] = io.loadmat(shared / "sr" / "set5_mat" / f"{film}_GT_x{scale}.mat")
    return found


def set5(shared: Path, folder: Path, scale: int) -> Path:
    """The four pictures as PNGs, which lose nothing."""
    folder.mkdir()
    for film in FILMS:
        Image.fromarray(mat(shared, film, scale)["im_gt"]).save(folder / f"{film}.png")
    return folder


def of(clip_bcthw: Tensor, /, **targets: Any) -> Batch:
    rows = torch.arange(len(clip_bcthw))
    return Batch({"clip_bcthw": clip_bcthw}, targets, rows, torch.zeros_like(rows))


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("film", FILMS)
def test_the_degradation_is_matlabs(shared: Path, film: str, scale: int) -> None:
    found = mat(shared, film, scale)
    sharp = torch.from_numpy(found["im_gt_y"])[None, None, None]
    small = resized(sharp, Fraction(1, scale))
    enlarged = resized(small, Fraction(scale))
    assert np.abs(small[0, 0, 0].numpy() - found["im_l_y"]).max() < 1e-11  # of 255
    assert np.abs(enlarged[0, 0, 0].numpy() - found["im_b_y"]).max() < 1e-11


def test_luma_is_matlabs(shared: Path, tmp_path: Path) -> None:
    """From a PNG through decoding and the model's own clip spec."""
    found = mat(shared, "butterfly", 2)
    Image.fromarray(found["im_gt"]).save(tmp_path / "butterfly.png")
    pipeline = assemble(load_recipe("vdsr_evaluate", [f"data.val.params.path={tmp_path}", "model.weights=null"]))
    (batch,) = pipeline.loader("val").epoch(0)
    ready = preprocess_for(pipeline.task, pipeline.clip)(batch)
    for shown, wanted in ((ready.targets, "im_gt_y"), (ready.inputs, "im_b_y")):
        assert np.abs(shown["clip_bcthw"][0, 0, 0].numpy() * 255 - found[wanted]).max() < 1e-3


def test_a_line_stays_a_line_inside_and_a_constant_everywhere() -> None:
    ramp = torch.arange(24.0, dtype=torch.float64).expand(1, 1, 1, 8, 24)
    halved = resized(ramp, Fraction(1, 2))
    assert torch.allclose(halved[0, 0, 0, 0, 2:-2], 0.5 + 2 * torch.arange(2.0, 10, dtype=torch.float64))
    assert torch.allclose(resized(torch.full((1, 1, 1, 6, 7), 0.3), Fraction(3)), torch.full((1, 1, 1, 18, 21), 0.3))


@pytest.mark.parametrize("scale", [2, pytest.param(3, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)])
def test_published_weights_restore_every_picture_as_published(shared: Path, tmp_path: Path, scale: int) -> None:
    weights = f"file:{shared / 'sr' / 'vdsr_state_dict.pt'}"
    folder = set5(shared, tmp_path / "set5", scale)
    slots = [f"model.weights={weights}", f"data.val.params.path={folder}", f"task.params.scale={scale}"]
    result = run("vdsr_evaluate", overrides=slots, out=tmp_path / "run")
    summary = result.summary
    assert [summary[f"val/psnr/{film}"] for film in FILMS] == pytest.approx(PUBLISHED[scale], abs=0.01)
    assert summary["val/bicubic_psnr"] == pytest.approx(BICUBIC[scale], abs=0.001)
    only = tmp_path / "one"
    only.mkdir()
    (folder / "butterfly.png").rename(only / "butterfly.png")
    again = evaluate_saved(f"file:{tmp_path / 'run' / 'model'}", source="films", overrides=[f"path={only}"])
    assert again["psnr"] == pytest.approx(PUBLISHED[scale][1], abs=0.01)


@pytest.mark.parametrize(
    ("recipe", "needs"),
    [
        pytest.param("vdsr_int8", "pytorch_quantization", marks=pytest.mark.slow),
        ("vdsr_int8_qat", "pytorch_quantization"),
        ("vdsr_pruned", "torch_pruning"),
        pytest.param("vdsr_student", "torch_pruning", marks=pytest.mark.slow),
    ],
)
def test_a_recipe_compresses_and_its_model_is_worth_the_same_when_loaded(
    tmp_path: Path, recipe: str, needs: str
) -> None:
    pytest.importorskip(needs, reason=f"the recipe {recipe} compresses by it")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a", "b"):
        smooth = torch.nn.functional.interpolate(noise(1, 3, 25, 30), scale_factor=8, mode="bicubic").clamp(0, 1)
        Image.fromarray((smooth[0].permute(1, 2, 0) * 255).byte().numpy()).save(folder / f"{name}.png")
    slots = ["model.weights=null", "model.params={depth: 3, width: 16}", "data.workers=0", "run.batch=2"]
    slots += [f"data.{split}.params={{path: {folder}}}" for split in ("train", "val")]
    slots += ["compress.0.max_drop=100"] if recipe == "vdsr_int8" else ["compress.1.max_drop=100"]
    slots += [] if recipe == "vdsr_int8" else ["compress.1.params.batches=2"]
    result = run(recipe, slots, out=tmp_path / "run", quiet=True)
    again = evaluate_saved(f"file:{tmp_path / 'run' / 'model'}", source="films", overrides=[f"path={folder}"])
    assert again["psnr/a"] == pytest.approx(result.summary["compressed/psnr/a"], abs=1e-3)


def test_a_film_is_enlarged_where_nothing_is_compared(tmp_path: Path) -> None:
    Image.fromarray((noise(20, 30, 3) * 255).byte().numpy()).save(tmp_path / "small.png")
    model = zoo.load("enhance/vdsr", pretrained=False, params={"depth": 2, "width": 2})
    (row,) = model.predict(tmp_path / "small.png")
    assert (row["height"], row["width"]) == (40, 60)
    assert row["added"] > 0


def test_what_is_more_than_a_multiple_of_the_scale_is_cut_off_at_the_end() -> None:
    task = super_resolution(model=nn.Identity(), losses={}, scale=3)
    clip_bcthw = noise(1, 1, 2, 14, 20)
    shown = task.degraded(of(clip_bcthw))
    assert torch.equal(shown.targets["clip_bcthw"], clip_bcthw[..., :12, :18])
    assert shown.inputs["clip_bcthw"].shape == (1, 1, 2, 12, 18)


def test_the_border_does_not_count() -> None:
    task = super_resolution(model=nn.Identity(), losses={}, scale=2)
    shown = task.degraded(of(noise(1, 1, 1, 16, 16)))
    black = shown.targets["clip_bcthw"].clone()
    black[..., :2, :] = black[..., -2:, :] = black[..., :2] = black[..., -2:] = 0
    once, again = (
        task.predict(nn.Identity(), of(shown.inputs["clip_bcthw"], clip_bcthw=sharp))["psnr_b"]
        for sharp in (shown.targets["clip_bcthw"], black)
    )
    assert torch.equal(once, again)


def test_psnr_is_the_mean_over_frames() -> None:
    sharp = torch.zeros(1, 1, 2, 4, 4)
    restored = torch.stack([torch.full((4, 4), 0.1), torch.full((4, 4), 0.01)])[None, None]
    assert float(psnr_b(restored, sharp)) == pytest.approx((20 + 40) / 2, abs=1e-4)


def test_ssim_is_one_of_equal_frames_and_unknown_for_tiny_ones() -> None:
    assert float(ssim_b(noise(1, 1, 1, 16, 16), noise(1, 1, 1, 16, 16))) == pytest.approx(1)
    assert ssim_b(noise(1, 1, 1, 8, 16), noise(1, 1, 1, 8, 16)).isnan().all()


def test_views_are_averaged_and_films_told_apart() -> None:
    task = super_resolution(model=nn.Identity(), losses={"loss": nn.functional.mse_loss}, each=True)
    batch = task.degraded(of(noise(2, 1, 1, 24, 24), film=["a", "b"]))
    outputs = task.predict(task.result(), batch)
    other = {**outputs, "psnr_b": outputs["psnr_b"] + 2}
    metrics = task.metrics()
    metrics.update(task.merge([outputs, other]), batch)
    values = metrics.compute()
    a, b = (outputs["psnr_b"] + 1).tolist()
    assert (values["psnr/a"], values["psnr/b"], values["psnr"]) == pytest.approx((a, b, (a + b) / 2))
    wanted = nn.functional.mse_loss(batch.inputs["clip_bcthw"], batch.targets["clip_bcthw"])
    assert values["loss"] == pytest.approx(float(wanted))


def test_figures_show_three_pictures_a_clip() -> None:
    task = super_resolution(model=nn.Identity(), losses={})
    batch = task.degraded(of(noise(2, 1, 1, 16, 24)))
    (figure,) = task.figures(task.predict(task.result(), batch), batch)
    assert figure.columns == ("bicubic", "restored", "original")
    assert [picture.shape for picture in figure.rows[1]] == [(16, 24, 3)] * 3


def test_what_does_not_fit_is_said() -> None:
    task = super_resolution(model=nn.Identity(), losses={}, scale=4)
    with pytest.raises(DataError, match="the data bring target clips"):
        task.degraded(of(noise(1, 1, 1, 32, 32), clip_bcthw=noise(1, 1, 1, 32, 32)))
    with pytest.raises(DataError, match="12 x 32 pixels are too small to be made 4 times smaller"):
        task.degraded(of(noise(1, 1, 1, 12, 32)))
    with pytest.raises(PluginError, match="the model answered"):
        task.predict(lambda clip_bcthw: clip_bcthw[..., 1:], of(noise(1, 1, 1, 16, 16)))
    with pytest.raises(RecipeError, match="restores luma, one channel, and the model sees 3"):
        super_resolution(model=nn.Identity(), losses={}, clip=catalog().resolve("model", "basic/cnn2d").model.clip)
    with pytest.raises(RecipeError, match="no loss to train with"):
        task.objectives()[0].loss(task.degraded(of(noise(1, 1, 1, 32, 32))), {})


def test_a_network_learns_to_be_better_than_bicubic() -> None:
    torch.manual_seed(0)
    stripes = (torch.arange(48) // 3 % 2).float().expand(1, 1, 1, 48, 48)
    task = super_resolution(model=vdsr(depth=4, width=8), losses={"loss": nn.functional.mse_loss})
    batch = task.degraded(of(stripes))
    optimizer = torch.optim.Adam(task.state.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        task.objectives()[0].loss(batch, {})["total"].backward()
        optimizer.step()
    said = task.predict(task.result(), batch)
    assert said["psnr_b"].item() > said["bicubic_psnr_b"].item() + 3
