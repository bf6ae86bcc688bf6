"""Super-resolution goes through the kit that plugin authors use: the network, the task, its data and its recipes."""

# ruff: noqa: RUF012  (attributes are given as plugin authors give them)

from __future__ import annotations

import torch
from torch import nn

from zoo.testing import ComponentConformance, ModelConformance, RecipeConformance, TaskConformance
from zoo_plugins.enhance.vdsr import VDSR
from zoo_plugins.tasks.super_resolution import super_resolution
from zoo_registry.protocols import Batch


class TestVdsr(ModelConformance):
    name = "enhance/vdsr"
    clip = {"frames": 3, "size": 32}
    output = (2, 1, 3, 32, 32)


class TestSuperResolution(TaskConformance):
    name = "tasks/super_resolution"
    params = {"scale": 3}

    def network(self) -> nn.Module:
        return VDSR(depth=3, width=4)

    def example(self) -> Batch:
        clip_bcthw = torch.rand(4, 1, 2, 24, 32, generator=torch.Generator().manual_seed(0))
        batch = Batch({"clip_bcthw": clip_bcthw}, {}, torch.arange(4), torch.zeros(4, dtype=torch.int64))
        return super_resolution(model=nn.Identity(), losses={}, scale=3).degraded(batch)

    def losses(self):
        return {"loss": nn.functional.mse_loss}


class TestFilms(ComponentConformance):
    kind = "source"
    name = "sources/films"
    params = {"path": "films"}


class TestVdsrEvaluate(RecipeConformance):
    name = "recipes/vdsr_evaluate"


class TestVdsrInt8(RecipeConformance):
    name = "recipes/vdsr_int8"


class TestVdsrInt8Qat(RecipeConformance):
    name = "recipes/vdsr_int8_qat"


class TestVdsrPruned(RecipeConformance):
    name = "recipes/vdsr_pruned"


class TestVdsrStudent(RecipeConformance):
    name = "recipes/vdsr_student"
