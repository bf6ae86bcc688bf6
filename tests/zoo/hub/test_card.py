"""The model card, read back by the Hub's own reader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from zoo.artefact import Manifest, read_manifest
from zoo.hub import model_card
from zoo_registry import ClipSpec


@pytest.fixture
def manifest(saved: Path) -> Manifest:
    return read_manifest(saved)


def test_the_hub_reads_the_metadata(manifest: Manifest) -> None:
    card = ModelCard(model_card(manifest.model_copy(update={"licence": "MIT"}), "hf://me/waves"))
    assert card.data.library_name == "videozoo"
    assert card.data.license == "mit"
    assert card.data.tags == ["videozoo", "video", "cnn3d"]
    (result,) = card.data.eval_results
    assert (result.dataset_split, result.metric_name, result.metric_value) == ("val", "accuracy", 0.875)
    assert card.data.model_name == "waves"


def test_the_task_says_what_the_hub_calls_it(manifest: Manifest) -> None:
    assert ModelCard(model_card(manifest, "hf://me/waves")).data.pipeline_tag == "video-classification"


def test_a_model_without_a_task_has_no_pipeline_tag(manifest: Manifest) -> None:
    card = ModelCard(model_card(manifest.model_copy(update={"task": None}), "hf://me/waves"))
    assert card.data.pipeline_tag is None


def test_the_card_says_how_to_load_and_feed_the_model(manifest: Manifest) -> None:
    clip = replace(ClipSpec(frames=16, size=32), stride=2, fps=25.0)
    text = model_card(manifest.model_copy(update={"clip": clip}), "hf://me/waves@v1")
    assert "model = zoo.load('hf://me/waves@v1')" in text
    assert "clips of 16 frames, one of every 2 at 25 frames/s, 32x32, RGB" in text
    assert "| val/accuracy | 0.875 |" in text
    assert manifest.weights.sha256 in text


def test_pictures_and_report_are_shown_when_they_are_there(manifest: Manifest) -> None:
    files = ["figures/curves.png", "report.html", "recipe.resolved.yaml", "zoo.lock"]
    text = model_card(manifest, "hf://me/waves", files=files)
    assert "![curves](<figures/curves.png>)" in text
    assert "[report.html](report.html)" in text
    assert "report.html" not in model_card(manifest, "hf://me/waves")


def test_class_names_cannot_write_markdown_or_metadata(manifest: Manifest) -> None:
    labels = ("---\nlicense: evil\n---", "<script>alert(1)</script>")
    text = model_card(manifest.model_copy(update={"labels": labels}), "hf://me/waves")
    assert "<script>" not in text
    assert ModelCard(text).data.license == "unknown"


def test_the_card_says_on_what_and_from_what_the_model_was_made(manifest: Manifest) -> None:
    lock = {
        "packages": {"videozoo": "0.1.0", "torch": "2.15.0", "av": "18.1.0"},
        "hardware": "NVIDIA H200",
        "platform": "Linux x86_64",
        "weights": {"uri": "hf://lab/big@0123", "sha256": "00"},
    }
    text = model_card(manifest, "hf://me/waves", lock=lock)
    assert "- made on NVIDIA H200, Linux x86\\_64, videozoo 0.1.0, torch 2.15.0" in text
    assert "- began with hf://lab/big@0123" in text
    assert ModelCard(text).data.base_model == "lab/big"
    assert "base_model" not in model_card(manifest, "hf://me/waves", lock={"weights": {"uri": "file:big"}})
    assert "- Whatever it is shown, it answers in terms of its 2 classes." in text


ENERGY = {"energy/kwh": 0.25, "energy/kwh_per_1000_clips": 0.01, "energy/co2_g": 100.0, "energy/method": "measured"}


def test_the_card_and_the_hub_know_what_training_took(manifest: Manifest) -> None:
    text = model_card(manifest, "hf://me/waves", summary=ENERGY, lock={"hardware": "NVIDIA H200"})
    assert "- training took 0.25 kWh (measured), 0.01 kWh for 1,000 clips, 100 g of CO2" in text
    assert ModelCard(text).data.to_dict()["co2_eq_emissions"] == {
        "emissions": 100.0, "source": "videozoo", "hardware_used": "NVIDIA H200",
    }  # fmt: skip


def test_emissions_of_an_earlier_version_go_and_those_written_by_hand_stay(manifest: Manifest) -> None:
    earlier = model_card(manifest, "hf://me/waves", summary=ENERGY)
    assert "co2_eq_emissions" not in model_card(manifest, "hf://me/waves", earlier=earlier)
    by_hand = earlier.replace("source: videozoo", "source: a meter on the wall")
    assert "a meter on the wall" in model_card(manifest, "hf://me/waves", earlier=by_hand)


@pytest.mark.parametrize("kwh", [None, "much", -1.0, float("nan"), True])
def test_energy_that_is_no_number_is_left_out(manifest: Manifest, kwh: object) -> None:
    text = model_card(manifest, "hf://me/waves", summary={**ENERGY, "energy/kwh": kwh, "energy/co2_g": kwh})
    assert "training took" not in text
    assert "co2_eq_emissions" not in text


def test_what_strangers_wrote_as_method_stays_on_its_line(manifest: Manifest) -> None:
    text = model_card(manifest, "hf://me/waves", summary={**ENERGY, "energy/method": "<b>\n# Evil"})
    assert "(\\<b\\>\\# Evil)" in text


def test_a_lock_that_is_none_writes_nothing(manifest: Manifest) -> None:
    text = model_card(manifest, "hf://me/waves", lock={"packages": 3, "weights": "no", "hardware": "<b>|x"})
    assert "made on \\<b\\>\\|x" in text
    assert "began with" not in text
