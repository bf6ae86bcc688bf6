"""Wrong labels: what cleanlab says is what is reported, and no sample is judged by a classifier that saw it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.zoo.data.faulty_films import moving_texture
from zoo.data import Split
from zoo.data.audit import Judge, Place, audit_splits
from zoo.data.audit.label_issues import label_findings, out_of_fold_probabilities
from zoo_registry.errors import DataError, MissingExtra
from zoo_registry.protocols import Sample

cleanlab = pytest.importorskip("cleanlab.filter", reason='needs cleanlab: pip install "videozoo[audit]"')

CLASSES = ("red", "green", "blue")
WRONG = (4, 17, 30)


def noisy(samples: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Classes, a tenth of them wrong, and the probabilities of a good but unsure model."""
    random = np.random.default_rng(0)
    true_n = random.integers(0, 3, samples)
    scores_nk = random.normal(0, 1, (samples, 3)) + 2.5 * np.eye(3)[true_n]
    given_n = np.where(random.random(samples) < 0.1, (true_n + 1) % 3, true_n)
    return given_n, np.exp(scores_nk) / np.exp(scores_nk).sum(axis=1, keepdims=True)


def test_findings_are_the_issues_of_cleanlab_in_its_order() -> None:
    given_n, probabilities_nk = noisy()
    places = [Place("train", row, f"{row}.mp4", f"{row}.mp4") for row in range(len(given_n))]
    findings = [
        finding for finding in label_findings(places, given_n, probabilities_nk, CLASSES) if finding.kind == "label"
    ]
    expected = cleanlab.find_label_issues(given_n, probabilities_nk, return_indices_ranked_by="self_confidence")
    assert len(expected) > 5
    assert [finding.places[0].index for finding in findings] == expected.tolist()
    assert [finding.evidence["rank"] for finding in findings] == list(range(1, len(expected) + 1))
    row, evidence = expected[0], findings[0].evidence
    assert evidence["given"] == CLASSES[given_n[row]]
    assert evidence["suggested"] == CLASSES[probabilities_nk[row].argmax()]
    assert evidence["given_confidence"] == pytest.approx(probabilities_nk[row, given_n[row]], abs=1e-4)


def test_no_sample_is_judged_by_a_classifier_that_saw_it_or_a_copy() -> None:
    """Each of 20 films, three times, has a feature of its own and a random class: who saw a copy knows the class."""
    random = np.random.default_rng(1)
    given_n, groups_n = random.permutation(np.arange(20) % 2).repeat(3), np.arange(20).repeat(3)
    features_nd = np.eye(20).repeat(3, axis=0)
    apart = out_of_fold_probabilities(features_nd, given_n, groups_n)
    together = out_of_fold_probabilities(features_nd, given_n, np.arange(60))
    rows = np.arange(60)
    assert apart[rows, given_n].mean() < 0.6
    assert together[rows, given_n].mean() > 0.8


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a model that was not trained: random features tell colours apart well enough."""
    from zoo.runner.stages import run

    folder = tmp_path_factory.mktemp("untrained")
    recipe = folder / "recipe.yaml"
    recipe.write_text("zoo: 1\ntask: classification\nmodel: cnn3d\ndata: {val: motions}\nrun: {epochs: 0}\n")
    return run(recipe, ["data.val.params.count=6"], out=folder / "run", quiet=True).folder


def test_every_other_label_that_is_not_the_likeliest_class_is_a_note_the_largest_difference_first() -> None:
    given_n, probabilities_nk = noisy()
    places = [Place("train", row, f"{row}.mp4", f"{row}.mp4") for row in range(len(given_n))]
    findings = list(label_findings(places, given_n, probabilities_nk, CLASSES))
    disagreeing = {row for row, likeliest in enumerate(probabilities_nk.argmax(axis=1)) if likeliest != given_n[row]}
    likely = {finding.places[0].index for finding in findings if finding.kind == "label"}
    doubts = [finding for finding in findings if finding.kind == "doubt"]
    assert {finding.places[0].index for finding in doubts} == disagreeing - likely
    assert len(doubts) > 1
    margins = [finding.evidence["suggested_confidence"] - finding.evidence["given_confidence"] for finding in doubts]
    assert margins == sorted(margins, reverse=True)
    assert {finding.severity for finding in doubts} == {"note"}


@pytest.fixture(scope="module")
def mislabelled(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """36 films of three colours, three of them under the next one's name."""
    folder = tmp_path_factory.mktemp("colours")
    samples = []
    for number in range(36):
        film = moving_texture(folder / f"{number}.mp4", number, colour=number % 3, frames=16)
        label = CLASSES[(number + (number in WRONG)) % 3]
        samples.append(Sample(str(film), {"label_b": label}, key=film.name))
    return Split("train", samples, CLASSES)


def test_wrong_labels_are_found_with_the_right_ones(untrained: Path, mislabelled: Split) -> None:
    result = audit_splits({"train": mislabelled}, judge=Judge(embed=f"file:{untrained}", workers=0), workers=0)
    suggested = {finding.places[0].index: finding.evidence["suggested"] for finding in result.of("label")}
    assert {number: suggested.get(number) for number in WRONG} == {number: CLASSES[number % 3] for number in WRONG}
    assert len(suggested) <= len(WRONG) + 2, "random features may doubt a film more"
    assert result.labels is not None
    assert result.labels.judged == 36
    assert "out-of-fold" in result.labels.method


def test_a_model_of_other_classes_is_refused(untrained: Path, mislabelled: Split) -> None:
    with pytest.raises(DataError, match="knows 6 classes, which are not the 3 of the data") as error:
        audit_splits({"train": mislabelled}, judge=Judge(model=f"file:{untrained}", workers=0), workers=0)
    assert "--embed" in str(error.value)


def test_only_one_judge_is_taken() -> None:
    with pytest.raises(DataError, match="a model and an embedding were given"):
        Judge(model="a", embed="b")


def test_without_cleanlab_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)  # what Python takes for not installed
    with pytest.raises(MissingExtra, match=r'pip install "videozoo\[audit\]"'):
        Judge(model="runs/mine")
