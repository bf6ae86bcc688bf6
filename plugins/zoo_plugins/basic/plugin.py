"""Small networks for learning and for quick runs."""

from zoo_registry import ClipSpec, Model, hookimpl


@hookimpl
def zoo_models() -> list[Model]:
    """The plain CNN for pictures, and its 3-D twin for clips."""
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
    ]
