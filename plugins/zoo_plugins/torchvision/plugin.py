"""The video classifiers of torchvision, under their own names and with their published weights."""

from zoo_registry import ClipSpec, Model, Weights, hookimpl

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


def _kinetics(
    file: str, top1: float, top5: float, *, clips: int, clip: ClipSpec, tag: str = "k400", convert: str | None = None
) -> Weights:
    """Weights on torchvision's own server; the file's suffix is the start of its sha256, top-1 and top-5 in 0..1."""
    return Weights(
        tag=tag,
        source=f"https://download.pytorch.org/models/{file}.pth",
        sha256=file.rpartition("-")[2],
        labels=400,
        label_file="zoo_plugins:labels/kinetics400.txt",
        metrics={"accuracy": top1, "top5": top5},
        claimed_by=f"torchvision, of whole films by {clips} clips of {clip.frames} frames at {clip.fps:g} frames/s",
        licence="bsd-3-clause",
        convert=convert,
    )


def _resnet(name: str, parameters: int, gmacs: float, file: str, top1: float, top5: float, summary: str) -> Model:
    return Model(
        name,
        builder="zoo_plugins.torchvision.resnet:resnet3d",
        fixed={"architecture": name},
        summary=summary,
        clip=_RESNET_CLIP,
        weights=(_kinetics(file, top1, top5, clips=5, clip=_RESNET_CLIP),),
        parameters=parameters,
        gmacs=gmacs,
        licence="bsd-3-clause",
        source="https://arxiv.org/abs/1711.11248",
    )


def _mvit(
    name: str, parameters: int, gmacs: float, file: str, top1: float, top5: float, summary: str, paper: str
) -> Model:
    fit_positions = "zoo_plugins.torchvision.mvit:fit_positions"
    return Model(
        name,
        builder="zoo_plugins.torchvision.mvit:mvit",
        fixed={"architecture": name},
        summary=summary,
        clip=_MVIT_CLIP,
        weights=(_kinetics(file, top1, top5, clips=5, clip=_MVIT_CLIP, convert=fit_positions),),
        parameters=parameters,
        gmacs=gmacs,
        licence="bsd-3-clause",
        source=paper,
    )


def _swin(name: str, parameters: int, gmacs: float, weights: tuple[Weights, ...], summary: str) -> Model:
    return Model(
        name,
        builder="zoo_plugins.torchvision.swin3d:swin3d",
        fixed={"architecture": name},
        summary=summary,
        clip=_SWIN_CLIP,
        weights=weights,
        parameters=parameters,
        gmacs=gmacs,
        licence="bsd-3-clause",
        source="https://arxiv.org/abs/2106.13230",
    )


def _swin_weights(file: str, top1: float, top5: float, tag: str = "k400") -> Weights:
    return _kinetics(file, top1, top5, clips=12, clip=_SWIN_CLIP, tag=tag)


@hookimpl
def zoo_models() -> list[Model]:
    """All nine of `torchvision.models.video`."""
    return [
        _resnet("r3d_18", 33_371_472, 40.697, "r3d_18-b3b3357e", 0.632, 0.83479,
                "3-D ResNet-18: every convolution sees space and time."),
        _resnet("mc3_18", 11_695_440, 43.343, "mc3_18-a90a0ba3", 0.6396, 0.8413,
                "ResNet-18 with 3-D convolutions below and 2-D ones above."),
        _resnet("r2plus1d_18", 31_505_325, 40.519, "r2plus1d_18-91a641e6", 0.67463, 0.86175,
                "ResNet-18 with each 3-D convolution split into space and then time."),
        Model(
            "s3d",
            builder="zoo_plugins.torchvision.s3d:s3d",
            summary="Inception with separable 3-D convolutions, for long clips.",
            clip=_S3D_CLIP,
            weights=(_kinetics("s3d-d76dad2f", 0.68368, 0.8805, clips=1, clip=_S3D_CLIP),),
            parameters=8_320_048,
            gmacs=143.833,
            licence="bsd-3-clause",
            source="https://arxiv.org/abs/1712.04851",
        ),
        _mvit("mvit_v1_b", 36_610_672, 70.599, "mvit_v1_b-dbeb1030", 0.78477, 0.93582,
              "Multiscale vision transformer, base.", "https://arxiv.org/abs/2104.11227"),
        _mvit("mvit_v2_s", 34_537_744, 64.224, "mvit_v2_s-ae3be167", 0.80757, 0.94665,
              "Multiscale vision transformer 2, small: relative positions, residual pooling.",
              "https://arxiv.org/abs/2112.01526"),
        _swin("swin3d_t", 28_158_070, 87.764, (_swin_weights("swin3d_t-7615ae03", 0.77715, 0.93519),),
              "Video Swin transformer, tiny."),
        _swin("swin3d_s", 49_816_678, 165.682, (_swin_weights("swin3d_s-da41c237", 0.79521, 0.94158),),
              "Video Swin transformer, small."),
        _swin("swin3d_b", 88_048_984, 281.333,
              (_swin_weights("swin3d_b_1k-24f7c7c6", 0.79427, 0.94386),
               _swin_weights("swin3d_b_22k-7c6ae6fa", 0.81643, 0.95574, tag="k400_in22k")),
              "Video Swin transformer, base."),
    ]  # fmt: skip
