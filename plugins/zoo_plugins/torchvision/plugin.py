"""The video classifiers of torchvision, under their own names and with their published weights."""

from zoo_registry import ClipSpec, Model, Weights, hookimpl

_BUILDERS = "zoo_plugins.torchvision.classifiers"
_TRAN_2018 = "https://arxiv.org/abs/1711.11248"
_SWIN_2021 = "https://arxiv.org/abs/2106.13230"

# Sizes, means and deviations are those of the weights' own transforms, frames and fps those at which torchvision
# measured them (`weights.meta`).
_RESNET_CLIP = ClipSpec(
    frames=16, fps=15, size=112, resize=(128, 171),
    mean=(0.43216, 0.394666, 0.37645), std=(0.22803, 0.22145, 0.216989),
)  # fmt: skip
_S3D_CLIP = ClipSpec(
    frames=128, fps=15, size=224, resize=(256, 256),
    mean=(0.43216, 0.394666, 0.37645), std=(0.22803, 0.22145, 0.216989),
)  # fmt: skip
_MVIT_CLIP = ClipSpec(frames=16, fps=7.5, size=224, resize=256)
_SWIN_CLIP = ClipSpec(
    frames=32, fps=15, size=224, resize=256, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)  # fmt: skip


def _kinetics(file: str, top1: float, top5: float, tag: str = "k400") -> Weights:
    """Weights on torchvision's own server; the file's suffix is the start of its sha256, top-1 and top-5 in 0..1."""
    return Weights(
        tag=tag,
        source=f"https://download.pytorch.org/models/{file}.pth",
        sha256=file.rpartition("-")[2],
        labels=400,
        metrics={"accuracy": top1, "top5": top5},
        licence="bsd-3-clause",
    )


def _model(
    name: str, builder: str, parameters: int, clip: ClipSpec, weights: tuple[Weights, ...], summary: str, paper: str
) -> Model:
    return Model(
        name,
        builder=f"{_BUILDERS}:{builder}",
        fixed={} if builder == name else {"architecture": name},
        summary=summary,
        clip=clip,
        weights=weights,
        parameters=parameters,
        licence="bsd-3-clause",
        source=paper,
    )


@hookimpl
def zoo_models() -> list[Model]:
    """All nine of `torchvision.models.video`."""
    return [
        _model("r3d_18", "resnet3d", 33_371_472, _RESNET_CLIP, (_kinetics("r3d_18-b3b3357e", 0.632, 0.83479),),
               "3-D ResNet-18: every convolution sees space and time.", _TRAN_2018),
        _model("mc3_18", "resnet3d", 11_695_440, _RESNET_CLIP, (_kinetics("mc3_18-a90a0ba3", 0.6396, 0.8413),),
               "ResNet-18 with 3-D convolutions below and 2-D ones above.", _TRAN_2018),
        _model("r2plus1d_18", "resnet3d", 31_505_325, _RESNET_CLIP,
               (_kinetics("r2plus1d_18-91a641e6", 0.67463, 0.86175),),
               "ResNet-18 with each 3-D convolution split into space and then time.", _TRAN_2018),
        _model("s3d", "s3d", 8_320_048, _S3D_CLIP, (_kinetics("s3d-d76dad2f", 0.68368, 0.8805),),
               "Inception with separable 3-D convolutions, for long clips.", "https://arxiv.org/abs/1712.04851"),
        _model("mvit_v1_b", "mvit", 36_610_672, _MVIT_CLIP, (_kinetics("mvit_v1_b-dbeb1030", 0.78477, 0.93582),),
               "Multiscale vision transformer, base.", "https://arxiv.org/abs/2104.11227"),
        _model("mvit_v2_s", "mvit", 34_537_744, _MVIT_CLIP, (_kinetics("mvit_v2_s-ae3be167", 0.80757, 0.94665),),
               "Multiscale vision transformer 2, small: relative positions, residual pooling.",
               "https://arxiv.org/abs/2112.01526"),
        _model("swin3d_t", "swin3d", 28_158_070, _SWIN_CLIP, (_kinetics("swin3d_t-7615ae03", 0.77715, 0.93519),),
               "Video Swin transformer, tiny.", _SWIN_2021),
        _model("swin3d_s", "swin3d", 49_816_678, _SWIN_CLIP, (_kinetics("swin3d_s-da41c237", 0.79521, 0.94158),),
               "Video Swin transformer, small.", _SWIN_2021),
        _model("swin3d_b", "swin3d", 88_048_984, _SWIN_CLIP,
               (_kinetics("swin3d_b_1k-24f7c7c6", 0.79427, 0.94386),
                _kinetics("swin3d_b_22k-7c6ae6fa", 0.81643, 0.95574, tag="k400_in22k")),
               "Video Swin transformer, base.", _SWIN_2021),
    ]  # fmt: skip
