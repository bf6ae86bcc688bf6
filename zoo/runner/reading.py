"""What would stop a run at its first file, said before it starts, with its line in the recipe."""

from __future__ import annotations

from zoo.recipe import LoadedRecipe
from zoo_registry.errors import Problem, RecipeError, ZooError


def check_reading(loaded: LoadedRecipe) -> None:
    """See that this machine can decode as the recipe says.

    Raises:
        ZooError: what `data.decoder` or `data.workers` asks for cannot be had, with its place.
    """
    from zoo.data.decode.film import Decoder
    from zoo.data.decode.requirements import check_decoder

    data = loaded.schema.data
    try:
        decoder = Decoder(**data.decoder.model_dump())
        check_decoder(decoder)
    except ZooError as error:
        where = loaded.where(("data", "decoder"))
        raise type(error)([Problem(problem.message, where, problem.hint) for problem in error.problems]) from error
    if decoder.stays_on_device and data.workers not in ("auto", 0):
        raise RecipeError(
            f"clips that stay on a GPU cannot come from {data.workers} other processes",
            where=loaded.where(("data", "workers")),
            hint="write `data.workers: 0`, or leave `data.decoder.hardware` out",
        )
