"""Tasks: what a model is trained and judged for."""

from __future__ import annotations

from collections.abc import Iterable

from zoo_registry import Task, hookimpl


@hookimpl
def zoo_tasks() -> Iterable[Task]:
    """The tasks of this project."""
    return [
        Task(
            "classification",
            builder="zoo_plugins.tasks.classification:classification",
            summary="One label for each clip: accuracy, top-5, precision, recall, F1, confusion matrix.",
            roles=("loss",),
            targets=("label_b",),
            pipeline_tag="video-classification",
            licence="apache-2.0",
        ),
        Task(
            "multilabel_classification",
            builder="zoo_plugins.tasks.multilabel_classification:multilabel_classification",
            summary="Any number of labels for each clip: mean average precision, average precision by class, F1.",
            roles=("loss",),
            targets=("label_bk",),
            pipeline_tag="video-classification",
            licence="apache-2.0",
        ),
        Task(
            "regression",
            builder="zoo_plugins.tasks.regression:regression",
            summary="One or several numbers for each clip: mean absolute error, RMSE, R2, Pearson's correlation.",
            roles=("loss",),
            targets=("value_b|value_bk",),
            licence="apache-2.0",
        ),
        Task(
            "distillation",
            builder="zoo_plugins.tasks.distillation:distillation",
            summary="One label for each clip, with a teacher: its answers, features or attention.",
            pipeline_tag="video-classification",
            source="Hinton et al. 2015, https://arxiv.org/abs/1503.02531",
            licence="apache-2.0",
        ),
        Task(
            "gan",
            builder="zoo_plugins.tasks.gan:gan",
            summary="A generator of clips and a critic of them, with n_critic, gradient penalty and two optimisers.",
            roles=(),
            targets=(),
            source="Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661",
            licence="apache-2.0",
        ),
        Task(
            "masked_autoencoder",
            builder="zoo_plugins.tasks.masked_autoencoder:masked_autoencoder",
            summary="Features without labels: paints masked patches, as VideoMAE is pre-trained.",
            roles=(),
            targets=(),
            source="Tong et al. 2022, https://arxiv.org/abs/2203.12602",
            licence="apache-2.0",
        ),
        Task(
            "contrastive",
            builder="zoo_plugins.tasks.contrastive:contrastive",
            summary="Features without labels: tells which two clips are of one film, as MoCo or SimCLR.",
            roles=(),
            targets=(),
            source="He et al. 2020, https://arxiv.org/abs/1911.05722; Chen et al. 2020, https://arxiv.org/abs/2002.05709",
            licence="apache-2.0",
        ),
        Task(
            "speed_prediction",
            builder="zoo_plugins.tasks.speed_prediction:speed_prediction",
            summary="Features without labels: tells how fast a clip is played.",
            roles=(),
            targets=(),
            source="Wang et al. 2020, https://arxiv.org/abs/2008.05861",
            licence="apache-2.0",
        ),
        Task(
            "super_resolution",
            builder="zoo_plugins.tasks.super_resolution:super_resolution",
            summary="Frames made 2, 3 or 4 times smaller are restored: PSNR and SSIM on luma, beside bicubic's.",
            roles=("loss",),
            targets=(),
            pipeline_tag="image-to-image",
            licence="apache-2.0",
        ),
    ]
