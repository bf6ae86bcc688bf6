"""A network that has learnt already, and sees clips as it did then."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import interpolate

from zoo_plugins.tasks.backbone import shape_of
from zoo_plugins.tasks.pixels import normalised, unnormalised
from zoo_registry import ClipSpec
from zoo_registry.errors import RecipeError

TASK = "distillation"


class Teacher:
    """A frozen network, shown the student's clips as its weights want them.

    Args:
        network: built for the run's clip; `network.loaded_weights` says what its weights saw, where it has any.
        clip: what the student sees.
        classes: K, how many the student tells apart.

    Attributes:
        network: in eval mode, without gradients.
        clip: what it is shown.

    Raises:
        RecipeError: it takes clips of other channels, or answers for other classes.
    """

    def __init__(self, network: Module, clip: ClipSpec | None, classes: int) -> None:
        self.network = network.eval().requires_grad_(False)
        self.student_clip, self.clip = clip, self._seen(clip)
        try:
            shape = shape_of(network, network, _shape(self.clip))
        except Exception as error:  # whatever a network raises where a clip does not suit it
            raise RecipeError(
                f"the teacher, a {type(network).__name__}, does not take the clips of this run: {error}",
                hint="change data.clip, or take another teacher",
            ) from error
        if shape != (1, classes):
            raise RecipeError(
                f"the teacher, a {type(network).__name__}, answers {shape[1:]} to a clip, and the student tells "
                f"{classes} classes apart",
                hint="take a teacher that was trained on the student's classes",
            )

    @property
    def loaded(self) -> Any:
        """What `zoo.pretrained` says of its weights; None where it has none."""
        return getattr(self.network, "loaded_weights", None)

    def check_answers(self) -> None:
        """See that its classifier has learnt, too.

        Raises:
            RecipeError: its weights are for other classes, so that its last layer is random.
        """
        if self.loaded is not None and self.loaded.skipped:
            theirs = "have no classifier" if self.loaded.classes is None else f"are for {self.loaded.classes} classes"
            raise RecipeError(
                f"the teacher's weights {self.loaded.uri} {theirs}, the data has others: what it says would be random",
                hint="train the teacher on these classes first; or learn from its features alone: "
                "task.params.soft: 0, with hint or attention",
            )

    def say_if_untaught(self) -> None:
        """Warn where the teacher knows nothing."""
        if self.loaded is None:
            warnings.warn(
                "the teacher has no weights: what it says is random, unless a program gave it others; "
                "write task.params.teacher.weights",
                stacklevel=2,
            )

    def shown(self, clip_bcthw: Tensor) -> Tensor:
        """The student's normalised clips in the teacher's length, size, mean and deviation.

        Frames are picked evenly, not mixed; pictures are resized.
        """
        if self.clip is None or self.student_clip is None or _looks(self.clip) == _looks(self.student_clip):
            return clip_bcthw
        frames, size = self.clip.frames, self.clip.height_width
        clip01_bcthw = unnormalised(clip_bcthw, self.student_clip)
        if clip01_bcthw.shape[2] != frames:
            place = torch.linspace(0, clip01_bcthw.shape[2] - 1, frames, device=clip_bcthw.device)
            clip01_bcthw = clip01_bcthw[:, :, place.round().long()]
        if tuple(clip01_bcthw.shape[3:]) != size:
            frames_nchw = clip01_bcthw.transpose(1, 2).flatten(0, 1)
            frames_nchw = interpolate(frames_nchw, size=size, mode="bilinear", antialias=True)
            clip01_bcthw = frames_nchw.view(-1, frames, *frames_nchw.shape[1:]).transpose(1, 2)
        return normalised(clip01_bcthw, self.clip)

    @torch.no_grad()
    def logits(self, clip_bcthw: Tensor) -> Tensor:
        """What it says, (B, K), of clips as `shown` gives them."""
        logits_bk: Tensor = self.network(clip_bcthw)
        return logits_bk

    @torch.no_grad()
    def maps(self, clip_bcthw: Tensor) -> list[Tensor]:
        """The map of every stage that has one, of clips as `shown` gives them."""
        maps: list[Tensor] = self.network.forward_pyramid(clip_bcthw)  # type: ignore[operator]
        return maps

    def _seen(self, clip: ClipSpec | None) -> ClipSpec | None:
        """The clip of its weights; of the student's length and size where the network takes no other."""
        own: ClipSpec | None = self.loaded.clip if self.loaded is not None else clip
        if clip is None or own is None:
            return clip
        if len(own.mean) != len(clip.mean):
            raise RecipeError(f"the teacher's weights saw {len(own.mean)} channels, the student sees {len(clip.mean)}")
        # What decides which frames and pixels are read is the run's business; the rest is the network's.
        shown = replace(clip, frames=own.frames, size=own.size, resize=None, mean=own.mean, std=own.std)
        if _shape(shown) == _shape(clip):
            return shown
        try:
            shape_of(self.network, self.network, _shape(shown))
        except Exception as error:  # whatever a network raises that was built for the run's clip
            warnings.warn(
                f"the teacher's weights saw {own.frames} frames of {own.height_width[0]}x{own.height_width[1]}, and it "
                f"was built for the run's {clip.frames} of {clip.height_width[0]}x{clip.height_width[1]}, which it is "
                f"shown now; its own would need data.clip to be so ({type(error).__name__})",
                stacklevel=2,
            )
            return replace(clip, mean=own.mean, std=own.std)
        return shown


def _shape(clip: ClipSpec | None) -> tuple[int, ...]:
    """(C, T, H, W)."""
    return (3, 16, 224, 224) if clip is None else (len(clip.mean), clip.frames, *clip.height_width)


def _looks(clip: ClipSpec) -> tuple[object, ...]:
    """What of a spec can be seen in a clip."""
    return _shape(clip), clip.mean, clip.std
