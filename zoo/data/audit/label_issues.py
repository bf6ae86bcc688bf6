"""Labels that are likely wrong, by confident learning (Northcutt, Jiang and Chuang, JAIR 2021) as in cleanlab."""

from __future__ import annotations

import importlib
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.data.audit.findings import Finding, Place
from zoo_registry.errors import MissingExtra

FOLDS = 5
"""Parts that samples are cut into when a classifier is trained here: each is judged by one that saw the others."""


@dataclass(frozen=True)
class LabelIssue:
    """One label that is likely wrong.

    Attributes:
        row: of the sample.
        suggested: the likeliest class.
        given_confidence: probability of the given class.
        suggested_confidence: probability of the suggested one.
    """

    row: int
    suggested: int
    given_confidence: float
    suggested_confidence: float


def find_label_issues(given_n: np.ndarray, probabilities_nk: np.ndarray) -> list[LabelIssue]:
    """Which labels are likely wrong, the likeliest mistake first.

    Args:
        given_n: int (N,), the class of every sample.
        probabilities_nk: (N, K), what a model that was not trained on the sample makes of it.

    Raises:
        MissingExtra: cleanlab is not installed.
    """
    rows = _extra("cleanlab.filter").find_label_issues(
        given_n, probabilities_nk, return_indices_ranked_by="self_confidence", n_jobs=1
    )
    return [_issue(int(row), given_n, probabilities_nk) for row in rows]


def find_disagreements(given_n: np.ndarray, probabilities_nk: np.ndarray) -> list[LabelIssue]:
    """Which labels are not the likeliest class, the largest difference first: more of the wrong ones, and more others.

    Args:
        given_n: int (N,), the class of every sample.
        probabilities_nk: (N, K), what a model that was not trained on the sample makes of it.

    Example:
        >>> [issue.row for issue in find_disagreements(np.array([0, 0, 1]), np.array([[0.4, 0.6], [1, 0], [0.9, 0.1]]))]
        [2, 0]
    """
    rows = np.flatnonzero(probabilities_nk.argmax(axis=1) != given_n)
    issues = [_issue(int(row), given_n, probabilities_nk) for row in rows]
    return sorted(issues, key=lambda issue: issue.given_confidence - issue.suggested_confidence)


def _issue(row: int, given_n: np.ndarray, probabilities_nk: np.ndarray) -> LabelIssue:
    return LabelIssue(
        row,
        suggested=int(probabilities_nk[row].argmax()),
        given_confidence=float(probabilities_nk[row, given_n[row]]),
        suggested_confidence=float(probabilities_nk[row].max()),
    )


def out_of_fold_probabilities(features_nd: np.ndarray, given_n: np.ndarray, groups_n: np.ndarray) -> np.ndarray:
    """Probabilities of every class by logistic regression that has not seen the sample, nor a copy of it.

    Args:
        features_nd: (N, D).
        given_n: int (N,), classes 0 to K - 1, each of at least two groups.
        groups_n: int (N,), copies share a number.

    Returns:
        (N, K).

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    selection = _extra("sklearn.model_selection")
    scaled = _extra("sklearn.preprocessing").StandardScaler()
    regression = _extra("sklearn.linear_model").LogisticRegression(max_iter=1000)
    smallest = min(Counter(given for given, _ in {*zip(given_n.tolist(), groups_n.tolist(), strict=True)}).values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # folds without one of the rare classes: their probability is then 0
        probabilities_nk: np.ndarray = selection.cross_val_predict(
            _extra("sklearn.pipeline").make_pipeline(scaled, regression),
            features_nd,
            given_n,
            groups=groups_n,
            cv=selection.StratifiedGroupKFold(n_splits=max(2, min(FOLDS, smallest)), shuffle=True, random_state=0),
            method="predict_proba",
        )
    return probabilities_nk


def label_findings(
    places: Sequence[Place], given_n: np.ndarray, probabilities_nk: np.ndarray, labels: Sequence[str]
) -> Iterator[Finding]:
    """Labels that are likely wrong, then others that the judge would not have given.

    Args:
        places: of the samples, in the order of the rows.
        given_n: int (N,), the class of every sample.
        probabilities_nk: (N, K).
        labels: names of the K classes.
    """
    issues = find_label_issues(given_n, probabilities_nk)
    known = {issue.row for issue in issues}
    others = [issue for issue in find_disagreements(given_n, probabilities_nk) if issue.row not in known]
    yield from _findings("label", issues, places, given_n, labels)
    yield from _findings("doubt", others, places, given_n, labels)


def _findings(
    kind: str, issues: Sequence[LabelIssue], places: Sequence[Place], given_n: np.ndarray, labels: Sequence[str]
) -> Iterator[Finding]:
    for rank, issue in enumerate(issues, start=1):
        place = places[issue.row]
        given, suggested = labels[given_n[issue.row]], labels[issue.suggested]
        message = f"{place.key} is labelled {given} ({issue.given_confidence:.0%})"
        message += f", looks like {suggested} ({issue.suggested_confidence:.0%})" if suggested != given else ""
        evidence = {
            "rank": rank,
            "given": given,
            "suggested": suggested,
            "given_confidence": round(issue.given_confidence, 4),
            "suggested_confidence": round(issue.suggested_confidence, 4),
        }
        yield Finding(kind, message, (place,), evidence)


def check_extra() -> None:
    """See that cleanlab is there, before films are read for hours.

    Raises:
        MissingExtra: it is not.
    """
    _extra("cleanlab.filter")


def _extra(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"looking for wrong labels needs {module.partition('.')[0]}, which is not installed",
            hint='pip install "videozoo[audit]"',
        ) from error
