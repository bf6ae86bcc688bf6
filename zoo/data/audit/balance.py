"""How many samples every class has in every split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from zoo.data.audit.findings import Finding
from zoo.data.audit.spans import label_names

if TYPE_CHECKING:
    from zoo.data.split import Split

UNEVEN = 10.0
"""Times that the largest class of a split is larger than its smallest before it is worth a note."""

_NAMED = 10


def class_counts(splits: Mapping[str, Split]) -> dict[str, dict[str, int]]:
    """Samples by class and split; empty where targets are no classes.

    Example:
        >>> from zoo.data import Split
        >>> from zoo_registry.protocols import Sample
        >>> class_counts({"val": Split("val", [Sample("a.mp4", {"label_b": "dog"})], ("cat", "dog"))})
        {'cat': {'val': 0}, 'dog': {'val': 1}}
    """
    counts = {name: Counter(_names(split)) for name, split in splits.items()}
    if not any(counts.values()):
        return {}
    classes = dict.fromkeys(label for split in splits.values() for label in split.labels)
    return {label: {name: counts[name][label] for name in splits} for label in classes}


def _names(split: Split) -> Iterator[str]:
    for sample in split.samples:
        yield from label_names(sample.targets, split.labels)


def imbalance(counts: Mapping[str, Mapping[str, int]], split: str) -> float | None:
    """How many times larger the largest class of a split is than the smallest that has samples."""
    sizes = [of_class[split] for of_class in counts.values() if of_class.get(split)]
    return max(sizes) / min(sizes) if len(sizes) > 1 else None


def balance_findings(counts: Mapping[str, Mapping[str, int]]) -> Iterator[Finding]:
    """Classes that a split lacks, and splits with very uneven classes."""
    splits = list(next(iter(counts.values()), {}))
    for split in splits:
        missing = [label for label, of_class in counts.items() if not of_class[split]]
        if missing and len(missing) < len(counts):
            named = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
            message = f"{split} has no sample of {len(missing)} of {len(counts)} classes: {named}"
            yield Finding("missing_class", message, evidence={"split": split, "classes": missing})
        ratio = imbalance(counts, split)
        if ratio is not None and ratio >= UNEVEN:
            message = f"the largest class of {split} has {ratio:.3g} times the samples of the smallest"
            yield Finding("imbalance", message, evidence={"split": split, "ratio": round(ratio, 2)})
