"""The names of optimisers: those of torch, and those of timm that torch does not have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from zoo.build.signature_cache import released_names

TORCH = {
    name.lower(): f"torch.optim:{name}"
    for name in (
        "Adadelta", "Adafactor", "Adagrad", "Adam", "Adamax", "AdamW", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop",
        "SGD",
    )
}  # fmt: skip
"""Optimisers by their torch.optim name in lower case: those that step on one gradient of a dense parameter."""

OURS = {**TORCH, "muon": "zoo.optim.muon:muon"}
"""Names that are looked up without timm; torch's Muon takes matrices only, so ours gives the rest to AdamW."""

TIMM = "timm.optim:"
"""Before the name that `timm.optim.create_optimizer_v2` takes, in the import strings of timm's optimisers."""

NOT_RESUMABLE = ("kron",)
"""Beginnings of the names of timm's optimisers that draw from a generator which is no part of their state."""


class Optimizers(Mapping[str, str]):
    """Import strings by the name that a recipe writes; timm is asked only for a name that is not torch's.

    Example:
        >>> Optimizers()["adamw"]
        'torch.optim:AdamW'
    """

    def __getitem__(self, name: str) -> str:
        if name in OURS:
            return OURS[name]
        if name in timm_names():
            return TIMM + name
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        yield from OURS
        yield from timm_names()

    def __len__(self) -> int:
        return len(OURS) + len(timm_names())


def timm_names() -> list[str]:
    """Optimisers of timm's registry that are timm's own, step on one gradient, and may be saved and gone on with."""
    return released_names(TIMM, "timm", _read_timm_names)


def _read_timm_names() -> list[str]:
    from timm.optim import get_optimizer_info, list_optimizers

    names = []
    for name in list_optimizers():
        known = get_optimizer_info(name)
        own = not isinstance(known.opt_class, str) and known.opt_class.__module__.startswith("timm.")
        if own and not known.second_order and name not in OURS and not name.startswith(NOT_RESUMABLE):
            names.append(name)
    return names
