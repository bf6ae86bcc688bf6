"""Which stage of a student learns from which of its teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch.nn import Module

from zoo_registry.errors import Problem, RecipeError
from zoo_registry.names import nearest
from zoo_registry.protocols import Stage


@dataclass(frozen=True)
class Pair:
    """A stage of the student and one of the teacher.

    Attributes:
        name: of the student's.
        index, teacher_index: of their maps in `forward_pyramid`.
        channels, teacher_channels: of their maps.
    """

    name: str
    index: int
    teacher_index: int
    channels: int
    teacher_channels: int


def pairs_of(student: Module, teacher: Module, names: Mapping[str, str] | None) -> list[Pair]:
    """The stages that are compared.

    Args:
        student: a `StagedNetwork`.
        teacher: likewise.
        names: a stage of the teacher for each of the student's; those of one name, but for the stem, when None.

    Raises:
        RecipeError: stages that one of them does not have, or none in common.
    """
    ours, theirs = _stages_with_maps(student), _stages_with_maps(teacher)
    if names is None:
        names = {name: name for name in ours if name in theirs and name != "stem"}
    problems = [
        *(_unknown(name, ours, "student") for name in names if name not in ours),
        *(_unknown(name, theirs, "teacher") for name in names.values() if name not in theirs),
    ]
    if not names:
        problems.append(
            Problem(
                f"no stage of the student ({', '.join(ours)}) has the name of one of the teacher ({', '.join(theirs)})",
                hint="say which belong together: task.params.stages: {STUDENT_STAGE: TEACHER_STAGE}",
            )
        )
    if problems:
        raise RecipeError(problems)
    return [Pair(name, ours[name][0], theirs[name_of][0], ours[name][1], theirs[name_of][1])
            for name, name_of in names.items()]  # fmt: skip


def _stages_with_maps(network: Module) -> dict[str, tuple[int, int]]:
    """Place of the map and its channels, by name of the stage."""
    stages: list[Stage] = [stage for stage in network.stages() if stage.stride is not None]  # type: ignore[operator]
    return {stage.name: (index, stage.channels or 0) for index, stage in enumerate(stages)}


def _unknown(name: str, known: Mapping[str, object], whose: str) -> Problem:
    near = nearest(name, known, limit=1)
    return Problem(
        f"the {whose} has no stage {name!r}",
        hint=f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}",
    )
