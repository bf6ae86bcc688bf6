"""Every error a user can cause, as one tree.

    ZooError                    what is wrong, where, what to do next; the command line exits with 2
    ├── RecipeError             a recipe that cannot be read, merged or checked
    ├── NameProblem             a name that breaks the grammar of `zoo_registry.names`
    │   ├── UnknownName         nothing of that kind is called so
    │   └── AmbiguousName       several plugins offer it
    ├── ParameterError          a value that a builder's signature, or a spec, does not admit; also a ValueError
    ├── PluginError             a plugin whose component cannot be used
    │   └── MissingExtra        the component is there, the packages it wants are not
    ├── DataError               media, labels or manifests that cannot serve
    │   └── UndecodableMedia    one file that cannot be decoded
    ├── ArtefactError           a model folder or weights file that cannot be trusted or does not fit
    ├── HubError                a store that cannot be reached, read or written
    ├── ExportError             an exported file that cannot be written or differs from its model
    └── RunError                a run that cannot start or go on
        ├── NonFiniteLoss       the loss became NaN or infinite
        └── Interrupted         Ctrl-C or SIGTERM, after a checkpoint was written (exit 130 or 143)

Example:
    >>> error = RecipeError([Problem("unknown key 'epoch'", Location("r.yaml", 3, 5), hint="did you mean 'epochs'?")])
    >>> print(error)
    r.yaml:3:5: unknown key 'epoch'
      did you mean 'epochs'?
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Location:
    """A place in a file that a person can go to.

    Attributes:
        file: path as the user wrote it, or a word such as `--set` for values that came from elsewhere.
        line: first line is 1; 0 when the place has no lines.
        column: first column is 1; 0 when the place has no columns.
    """

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        message: what is wrong, in one sentence without a full stop.
        where: the place, when there is one.
        hint: what to do next.
    """

    message: str
    where: Location | None = None
    hint: str | None = None

    def __str__(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        return f"{head}\n  {self.hint}" if self.hint else head


class ZooError(Exception):
    """An error that the user can understand and act on. Holds every problem found, not the first.

    Args:
        problems: one message, one `Problem`, or all problems of the input.
        where: place of a single message.
        hint: what to do about a single message.
    """

    exit_code = 2
    silent = False
    """Whether another process of the same run says it."""

    def __init__(
        self, problems: str | Problem | Iterable[Problem], *, where: Location | None = None, hint: str | None = None
    ) -> None:
        if isinstance(problems, str):
            problems = Problem(problems, where, hint)
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[ZooError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class RecipeError(ZooError):
    """A recipe that cannot be read, merged or checked."""


class NameProblem(ZooError):
    """A name that breaks the grammar of `zoo_registry.names`."""


class UnknownName(NameProblem):
    """Nothing of that kind is called so; the hint has the nearest names and who provides them."""


class AmbiguousName(NameProblem):
    """Several plugins offer the name; the hint lists the qualified ones."""


class ParameterError(ZooError, ValueError):
    """A value that a builder's signature, or a spec, does not admit."""


class PluginError(ZooError):
    """A plugin whose component cannot be used; the message names plugin and component."""


class MissingExtra(PluginError):
    """The component is there, the packages it wants are not; the hint is the pip line."""


class DataError(ZooError):
    """Media, labels or manifests that cannot serve."""


class UndecodableMedia(DataError):
    """One file that cannot be decoded; it goes to quarantine."""


class ArtefactError(ZooError):
    """A model folder or weights file that cannot be trusted or does not fit."""


class HubError(ZooError):
    """A store that cannot be reached, read or written."""


class ExportError(ZooError):
    """An exported file that cannot be written or differs from its model."""


class RunError(ZooError):
    """A run that cannot start or go on."""


class NonFiniteLoss(RunError):
    """The loss became NaN or infinite; says at which step, keeps the last good checkpoint."""


class Interrupted(RunError):
    """The run was asked to stop and wrote a checkpoint first.

    Attributes:
        exit_code: 130 after Ctrl-C, 143 after SIGTERM.
    """

    exit_code = 130
