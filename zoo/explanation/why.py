"""`zoo.explain`: why a model answers a film as it does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from zoo.data.preprocess import Preprocess
from zoo.explanation.explanation import Explanation
from zoo.explanation.film_clip import FilmClip, read_film_clip
from zoo.explanation.methods import check_method, explained
from zoo.explanation.question import Question
from zoo.model import ZooModel, load
from zoo_registry.errors import ArtefactError, DataError, ParameterError
from zoo_registry.names import nearest
from zoo_registry.protocols import Batch

if TYPE_CHECKING:
    from zoo.data.decode.film import Media
    from zoo_registry.entries import ClipSpec

MOST_LISTED = 10
"""Labels that are listed where none is near what was asked for."""

CLIP, AUDIO = "clip_bcthw", "audio_bcn"

_WHICH = "`zoo models` lists models with the task that they are meant for: those that tell labels can be explained"


def explain(
    model: ZooModel | str | os.PathLike[str],
    video: Media,
    *,
    label: str | int | None = None,
    method: str = "auto",
    start: float | None = None,
) -> Explanation:
    """Say which places and moments of a film a recognition model's answer rests on.

    Args:
        model: what `zoo.load` returned, or what it takes.
        video: a film or picture: a path, an address, its bytes, or a file object, which has to stay open as long as
            the explanation is written.
        label: which answer to explain, by name or index; by default the likeliest.
        method: one of `zoo.explanation.METHODS`: `grad_cam`, `grad_cam_plus_plus`, `gradient_rollout`,
            `attention_rollout`, `integrated_gradients` (needs captum, the extra `explain`), `occlusion`; or `auto`,
            the first that the network allows of gradient roll-out, Grad-CAM and occlusion.
        start: where the clip begins, in seconds; by default it lies in the middle of the film, as in prediction.

    Returns:
        The map over space and time, which writes itself as a film and as a strip.

    Raises:
        ArtefactError: the model, or the task that reads it, does not tell labels.
        ParameterError: no such label or method, or one that this network does not allow; a start that is no number.
        UndecodableMedia: the film cannot be decoded.
        MissingExtra: the method needs a package that is not installed.

    Example:
        >>> explanation = zoo.explain("runs/quickstart", "film.mp4", label="left")           # doctest: +SKIP
        >>> explanation.write_strip("why.png")                                                # doctest: +SKIP
        PosixPath('why.png')
    """
    check_method(method)
    if start is not None and not isinstance(start, Real):
        raise ParameterError(f"start is {start!r}, not a number of seconds")
    loaded = model if isinstance(model, ZooModel) else load(model)
    spec = _clip_spec(loaded)
    labels = _labels(loaded)
    wanted = None if label is None else _index_of(label, labels)
    clip = read_film_clip(video, spec, start)
    training = loaded.training
    loaded.eval()
    try:
        batch = _batch(loaded, spec, clip)
        logits_k, scores = _answer(loaded, batch, labels)
        index = int(logits_k.argmax()) if wanted is None else wanted
        inputs = tuple(batch.inputs[name] for name in loaded.inputs)
        question = Question(loaded.network, inputs, loaded.inputs.index(CLIP), index, loaded.name)
        map_thw, used = explained(question, method)
    finally:
        loaded.train(training)
    return Explanation(
        map_thw.detach().cpu().numpy(), labels[index], float(scores[index]), used, loaded.name, clip,
        np.stack(clip.frames()),
    )  # fmt: skip


def _clip_spec(model: ZooModel) -> ClipSpec:
    """The model's clip spec, if clips (and sound) are all it takes.

    Raises:
        ArtefactError: it takes something else.
    """
    if model.clip is None or CLIP not in model.inputs or not set(model.inputs) <= {CLIP, AUDIO}:
        raise ArtefactError(
            f"{model.name} is no recognition model of films: it takes {', '.join(model.inputs)}",
            hint=_WHICH,
        )
    if len(model.clip.mean) not in (1, 3):
        raise ArtefactError(
            f"{model.name} sees {len(model.clip.mean)} channels, and films have three",
            hint="only models that see the pictures of a film can be explained on one",
        )
    return model.clip


def _labels(model: ZooModel) -> Sequence[str]:
    return model.labels or [f"class {index}" for index in range(model.num_classes or 0)]


def _index_of(label: str | int, labels: Sequence[str]) -> int:
    """Which output a label is.

    Raises:
        ParameterError: none.
    """
    if isinstance(label, str) and label in labels:
        return labels.index(label)
    if not isinstance(label, str | Integral):
        raise ParameterError(f"the label is {label!r}", hint="give its name, or its number counted from 0")
    if isinstance(label, Integral) or label.isdecimal():
        if 0 <= int(label) < len(labels):
            return int(label)
        raise ParameterError(f"there is no label {label}: the model has {len(labels)}, counted from 0")
    near = nearest(label, labels)
    listed = ", ".join([*labels[:MOST_LISTED], *(["..."] if len(labels) > MOST_LISTED else [])])
    raise ParameterError(
        f"the model knows no label {label!r}",
        hint=f"did you mean {' or '.join(map(repr, near))}?" if near else f"it knows {listed}",
    )


def _batch(model: ZooModel, spec: ClipSpec, clip: FilmClip) -> Batch:
    """The clip, and the sound that goes with it, as the model takes them."""
    from zoo.data.decode.audio import read_audio

    inputs: dict[str, Tensor] = {CLIP: clip.pixels_cthw[None]}
    if AUDIO in model.inputs and model.audio is not None:
        inputs[AUDIO] = read_audio(clip.media, model.audio, start=clip.start, end=clip.end)[None]
    zero = torch.zeros(1, dtype=torch.int64)
    return Preprocess(spec).to(model.device)(Batch(inputs, {}, zero, zero).to(model.device))


@torch.no_grad()
def _answer(model: ZooModel, batch: Batch, labels: Sequence[str]) -> tuple[Tensor, Tensor]:
    """The logits (K,) of the clip, and what they mean as scores.

    Raises:
        ArtefactError: the model's answer is not a number for each label, or its task makes something else of it.
    """
    answer = model(*(batch.inputs[name] for name in model.inputs))
    if not isinstance(answer, Tensor) or answer.shape != (1, len(labels)):
        raise ArtefactError(
            f"{model.name} is no recognition model: it does not answer with a number for each label", hint=_WHICH
        )
    told = _told(model.reader.readable(model.reader.predict(model, batch))[0])
    if told is None:
        task = model.task["name"] if model.task else "no task"
        raise ArtefactError(
            f"this {model.name} was made for another task than telling labels: {task}",
            hint="fine-tune it on labels first, or take a run whose task tells them",
        )
    if not answer.isfinite().all():
        raise DataError(f"{model.name} answers this clip with numbers that are not finite")
    return answer[0], _scores(answer[0].float(), told, labels)


def _told(row: Mapping[str, Any]) -> dict[str, float] | None:
    """The labels with their scores that a task lists for a film; None where it speaks of no labels."""
    for value in row.values():
        if isinstance(value, list) and all(
            isinstance(item, Mapping) and {"label", "score"} <= {*item} for item in value
        ):
            return {item["label"]: item["score"] for item in value}
    return None


def _scores(logits_k: Tensor, told: Mapping[str, float], labels: Sequence[str]) -> Tensor:
    """What the task would say of every label, of which it lists only some: found by what it says of those.

    A task that lists nothing holds every label for unlikely, so these do not share one probability.
    """
    for scores_k in ([logits_k.softmax(0)] if told else []) + [logits_k.sigmoid()]:
        if all(abs(float(scores_k[labels.index(label)]) - score) < 1e-3 for label, score in told.items()):
            return scores_k
    return logits_k
