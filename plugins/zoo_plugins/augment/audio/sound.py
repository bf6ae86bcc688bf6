"""Where the sound of a batch is."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Batch

AUDIO = "audio_bcn"


def sound_of(batch: Batch, name: str) -> Tensor:
    """The sound, (B, C, N) float in -1..1.

    Raises:
        ParameterError: the batch has none.
    """
    if AUDIO not in batch.inputs:
        raise ParameterError(
            f"{name} changes sound, and the batch has none: this model takes {', '.join(batch.inputs)}",
            hint=f"leave {name} out, or choose a model that takes {AUDIO}",
        )
    return batch.inputs[AUDIO]


def with_sound(batch: Batch, audio_bcn: Tensor) -> Batch:
    """The batch with another sound, cut off at -1 and 1."""
    return replace(batch, inputs={**batch.inputs, AUDIO: audio_bcn.clamp(-1, 1)})
