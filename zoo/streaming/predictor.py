"""What a model says of windows that overlap; what it knows of a frame it need not find out again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.data.preprocess import Preprocess
from zoo_registry.errors import ArtefactError, DataError, ZooError
from zoo_registry.protocols import Batch, StreamingNetwork

if TYPE_CHECKING:
    from zoo.model import ZooModel
    from zoo.streaming.windows import Window
    from zoo_registry.entries import ClipSpec

CLIP = "clip_bcthw"


class Predictor:
    """Answers windows in the order of time.

    Every frame is normalised once. Where the network is a `zoo_registry.protocols.StreamingNetwork`, it also looks at
    each frame once, and only what it does over time is done for every window.

    Args:
        model: in eval mode, of one clip input.
        clip: its clip spec, with the size in force.
        reuse: False asks the network about whole clips whatever it is.

    Raises:
        DataError: the model takes something else than one clip.
    """

    def __init__(self, model: ZooModel, clip: ClipSpec, *, reuse: bool = True) -> None:
        if model.inputs != (CLIP,):
            raise DataError(
                f"{model.name} takes {' and '.join(model.inputs)}: a stream gives clips of pictures, and nothing else",
                hint="`zoo show NAME` says what a model takes",
            )
        self.model, self.clip = model, clip
        network = model.network
        self.reuses = reuse and isinstance(network, StreamingNetwork) and network.streams
        self._preprocess = Preprocess(clip).to(model.device)
        self._run = -1
        self._frames: dict[int, Tensor] = {}
        self._features = _Features(network) if self.reuses else None

    @torch.no_grad()  # what a network keeps from inference mode could not be trained with later
    def __call__(self, window: Window) -> dict[str, Any]:
        """The answer, as the model's task words it."""
        if window.run != self._run:
            self._run = window.run
            self.forget()
        clip_bcthw = self._normalised(window)
        batch = Batch({CLIP: clip_bcthw}, {}, torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))

        def network(given: Tensor) -> Any:
            # A task may ask about other clips besides, such as a mirrored one: of those nothing is known.
            if self._features is None or given is not clip_bcthw:
                return self.model(given)
            return self._features.answer(given, window.slots)

        reader = self.model.reader
        return dict(reader.readable(reader.predict(network, batch))[0])

    def forget(self) -> None:
        """Frames that follow have nothing to do with those before."""
        self._frames.clear()
        if self._features is not None:
            self._features.forget()

    def warm_up(self, times: int = 2) -> None:
        """Answer clips of nothing: the first answers of a network take several times as long.

        Raises:
            DataError: the network does not take clips of this size.
        """
        height, width = self.clip.height_width
        clip_bcthw = torch.zeros(1, len(self.clip.mean), self.clip.frames, height, width, device=self.model.device)
        with torch.no_grad():
            for _ in range(times):
                self.model(clip_bcthw)
                if self._features is not None:
                    slots = range(self.clip.frames)
                    self._features.answer(clip_bcthw, slots)
                    self._features.answer(clip_bcthw, [slot + 1 for slot in slots])
                    self._features.forget()

    def check_reader(self) -> None:
        """See that the model's task can read answers to clips, and asks about the clips that it is given.

        Raises:
            ArtefactError: it wants more of a network than that, or asks about something else, as one that makes clips.
        """
        height, width = self.clip.height_width
        shape = 1, len(self.clip.mean), self.clip.frames, height, width
        dark, bright = (self._asked_about(torch.full(shape, level, device=self.model.device)) for level in (0.0, 1.0))
        if len(dark) == len(bright) and all(map(torch.equal, dark, bright)):
            raise _unfit(self.model, "its task asks the network about clips of its own, not about those of a film")

    @torch.no_grad()
    def _asked_about(self, clip_bcthw: Tensor) -> list[Tensor]:
        """What the task asks the network about, to read a clip."""
        asked: list[Tensor] = []

        def network(given: Tensor) -> Any:
            asked.append(given.clone())
            return self.model(torch.zeros_like(given))

        batch = Batch({CLIP: clip_bcthw}, {}, torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
        reader = self.model.reader
        try:
            with torch.random.fork_rng():
                torch.manual_seed(0)  # what is drawn by chance is the same for every clip
                reader.readable(reader.predict(network, batch))
        except ZooError as error:
            raise _unfit(self.model, error.problems[0].message) from error
        except Exception as error:  # whatever a task raises that wants something else
            raise _unfit(self.model, f"its task cannot read it ({type(error).__name__}: {error})") from error
        return asked

    def _normalised(self, window: Window) -> Tensor:
        """The window as the network takes it."""
        slots = window.slots
        fresh = [at for at, slot in enumerate(slots) if slot not in self._frames]
        if fresh:
            pixels = torch.cat([window.frames_cthw[at] for at in fresh], 1)[None].to(self.model.device)
            batch = Batch({CLIP: pixels}, {}, torch.zeros(1), torch.zeros(1))
            frames = torch.split(self._preprocess(batch).inputs[CLIP], 1, dim=2)
            self._frames |= {slots[at]: frame for at, frame in zip(fresh, frames, strict=True)}
        _drop_before(self._frames, slots[0])
        return torch.cat([self._frames[slot] for slot in slots], 2)


def _unfit(model: ZooModel, reason: str) -> ArtefactError:
    return ArtefactError(
        f"{model.name} cannot answer to a stream: {reason}",
        hint="a stream needs a model whose task reads what the network says of a clip, such as one that tells labels",
    )


class _Features:
    """What a network saw in each frame that windows to come may show, and what it remembers of those before."""

    def __init__(self, network: Any) -> None:
        self._network = network
        self._known: dict[int, Tensor] = {}
        self._states: dict[int, tuple[int, Any]] = {}
        self._remembers = False

    def forget(self) -> None:
        self._known.clear()
        self._states.clear()

    def answer(self, clip_bcthw: Tensor, slots: Sequence[int]) -> Any:
        """What the network says of a clip whose frames fill these slots."""
        between = next((later - earlier for earlier, later in pairwise(slots)), 1)
        fresh = [at for at, slot in enumerate(slots) if slot not in self._known]
        if fresh:
            chain = slots[0] % between
            last, state = self._states.get(chain, (None, None))
            if self._remembers and last != slots[fresh[0]] - between:
                fresh, state = list(range(len(slots))), None  # frames were left out: it begins anew
            features, state = self._network.forward_frames(clip_bcthw[:, :, fresh], state)
            self._remembers = state is not None
            self._known |= {slots[at]: each for at, each in zip(fresh, torch.split(features, 1, dim=1), strict=True)}
            self._states[chain] = slots[-1], state
        _drop_before(self._known, slots[0])
        return self._network.forward_time(torch.cat([self._known[slot] for slot in slots], 1))


def _drop_before(kept: dict[int, Tensor], slot: int) -> None:
    """Windows come in the order of time: none shows an earlier frame any more."""
    for old in [each for each in kept if each < slot]:
        del kept[old]


def same_answers(model: ZooModel, other: ZooModel) -> bool:
    """Whether two models mean the same by what they answer."""
    tasks: list[Mapping[str, Any]] = [each.task or {} for each in (model, other)]
    return (model.labels, model.num_classes) == (other.labels, other.num_classes) and (
        tasks[0].get("name") == tasks[1].get("name")
    )
