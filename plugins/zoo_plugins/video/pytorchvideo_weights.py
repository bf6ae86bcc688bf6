"""The checkpoints of PyTorchVideo's model zoo, as its table lists them."""

from __future__ import annotations

from zoo_registry import ClipSpec, Weights

_ROOT = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo"
_TABLE = "PyTorchVideo's model zoo, https://github.com/facebookresearch/pytorchvideo/blob/main/docs/source/model_zoo.md"
_LICENCE = "apache-2.0"


def kinetics400(file: str, top1: float, top5: float, *, tag: str = "k400", clip: ClipSpec | None = None) -> Weights:
    """Trained on Kinetics-400.

    Args:
        file: name without ending.
        top1: claimed accuracy in percent, over 3 crops of 10 clips.
        top5: likewise.
        tag: what follows the model's name.
        clip: where it is not the model's own.
    """
    return Weights(
        tag=tag,
        source=f"{_ROOT}/kinetics/{file}.pyth",
        labels=400,
        label_file="zoo_plugins:labels/kinetics400.txt",
        metrics={"accuracy": round(top1 / 100, 4), "top5": round(top5 / 100, 4)},
        claimed_by=f"{_TABLE}, 3 crops of 10 clips",
        licence=_LICENCE,
        clip=clip,
        convert="pytorchvideo",
    )


def something_something_v2(file: str, top1: float, top5: float, *, clip: ClipSpec) -> Weights:
    """Fine-tuned on Something-Something v2 from Kinetics-400; whole films, blue before red."""
    return Weights(
        tag="ssv2",
        source=f"{_ROOT}/ssv2/{file}.pyth",
        labels=174,
        metrics={"accuracy": round(top1 / 100, 4), "top5": round(top5 / 100, 4)},
        claimed_by=f"{_TABLE}, 3 crops of a clip",
        licence=_LICENCE,
        clip=clip,
        convert="pytorchvideo_bgr",
    )


def charades(file: str, mean_average_precision: float, *, clip: ClipSpec | None = None) -> Weights:
    """Fine-tuned on Charades from Kinetics-400, for several labels a clip; blue before red."""
    return Weights(
        tag="charades",
        source=f"{_ROOT}/charades/{file}.pyth",
        labels=157,
        metrics={"map": round(mean_average_precision / 100, 4)},
        claimed_by=f"{_TABLE}, the largest of 3 crops of 10 clips",
        licence=_LICENCE,
        clip=clip,
        convert="pytorchvideo_bgr",
    )
