"""Small networks for learning and for quick runs."""

from zoo_registry import ClipSpec, Model, hookimpl

_TANH = ClipSpec(frames=16, size=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
"""Clips in -1..1."""


@hookimpl
def zoo_models() -> list[Model]:
    """The plain CNN for pictures, its 3-D twin for clips, and a generator of clips with its critic."""
    return [
        Model(
            "cnn2d",
            builder="zoo_plugins.basic.cnn2d:cnn2d",
            summary="The textbook's picture classifier: conv 32, pool, conv 64, pool, fc 128, out; one 32x32 frame.",
            clip=ClipSpec(frames=1, size=32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
            parameters=595_408,
            gmacs=0.006179,
            licence="apache-2.0",
        ),
        Model(
            "cnn3d",
            builder="zoo_plugins.basic.cnn3d:cnn3d",
            summary="The same with 3-D convolutions and batch norm: learns simple motions in seconds on a CPU.",
            clip=ClipSpec(frames=16, size=32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
            parameters=240_880,
            gmacs=0.03911,
            licence="apache-2.0",
        ),
        Model(
            "clip_generator",
            builder="zoo_plugins.basic.clip_generator:clip_generator",
            summary="Makes clips of noise by transposed 3-D convolutions, as VideoGAN's one-stream generator.",
            task="gan",
            clip=_TANH,
            parameters=3_544_515,
            gmacs=0.54605,
            source="https://arxiv.org/abs/1609.02612",
            licence="apache-2.0",
        ),
        Model(
            "clip_discriminator",
            builder="zoo_plugins.basic.clip_discriminator:clip_discriminator",
            summary="Scores how real clips look by 3-D convolutions, as VideoGAN's discriminator without batch norm.",
            task="gan",
            clip=_TANH,
            parameters=2_757_857,
            gmacs=0.54526,
            source="https://arxiv.org/abs/1609.02612",
            licence="apache-2.0",
        ),
    ]
