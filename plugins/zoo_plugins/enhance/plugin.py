"""Networks that make pictures better: one clip in, one clip of the same size out."""

from zoo_registry import ClipSpec, Model, hookimpl

LUMA = {"mean": (-16 / 219,), "std": (255 / 219,)}
"""One channel, from grey in 0..1 to the luma of ITU-R BT.601 in studio range over 255: 16 / 255 is black."""


@hookimpl
def zoo_models() -> list[Model]:
    """The networks of this namespace."""
    return [
        Model(
            "vdsr",
            builder="zoo_plugins.enhance.vdsr:vdsr",
            summary="Super-resolution by 20 convolutions that add the detail an enlarged frame lacks, on its luma.",
            task="super_resolution",
            clip=ClipSpec(frames=1, size="native", **LUMA),
            layouts={"pytorch_vdsr": "zoo_plugins.enhance.pytorch_vdsr:of_vdsr"},
            parameters=664_704,
            gmacs=43.562,
            source="https://arxiv.org/abs/1511.04587",
            licence="apache-2.0",
        ),
    ]
