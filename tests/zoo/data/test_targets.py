"""Targets as sources write them become tensors as tasks read them."""

from __future__ import annotations

import pytest
import torch

from zoo.data.clips.placement import Placement
from zoo.data.targets import BadTarget, UnknownClass, class_names, collate, encode, shape_of

CLASSES = {"cat": 0, "dog": 1, "owl": 2}


def test_a_class_name_becomes_its_index() -> None:
    target = encode({"label_b": "owl"}, CLASSES, None)["label_b"]
    assert target.dtype == torch.int64
    assert target.item() == 2


def test_several_class_names_become_a_multi_hot_row() -> None:
    assert encode({"label_bk": ["owl", "cat"]}, CLASSES, None)["label_bk"].tolist() == [1.0, 0.0, 1.0]
    assert encode({"label_bk": []}, CLASSES, None)["label_bk"].tolist() == [0.0, 0.0, 0.0]


def test_numbers_keep_their_kind() -> None:
    encoded = encode({"score_b": 0.5, "age_b": 7, "flow_b2": [1.0, 2.0]}, CLASSES, None)
    assert encoded["score_b"].dtype == torch.float32
    assert encoded["age_b"].dtype == torch.int64
    assert encoded["flow_b2"].tolist() == [1.0, 2.0]


def test_boxes_follow_the_frame_into_the_clip_and_are_clipped() -> None:
    # 100 x 200 pixels, of which the clip shows columns 50 to 150.
    placement = Placement(scaled=(100, 200), window=(100, 100), corner=(0, 50))
    boxes = encode({"boxes_n4": [[0.3, 0.2, 0.5, 0.4], [0.0, 0.0, 0.5, 1.0]]}, CLASSES, placement)["boxes_n4"]
    assert torch.allclose(boxes, torch.tensor([[10.0, 20, 50, 40], [0, 0, 50, 100]]))


def test_no_boxes_are_an_empty_tensor_of_four_columns() -> None:
    assert encode({"boxes_n4": []}, CLASSES, None)["boxes_n4"].shape == (0, 4)


def test_only_keys_whose_shape_begins_with_b_are_stacked() -> None:
    rows = [
        encode({"label_b": name, "boxes_n4": [[0, 0, 1, 1]] * count, "classes_n": ["cat"] * count}, CLASSES, None)
        for name, count in [("cat", 2), ("dog", 1)]
    ]
    batch = collate(rows)
    assert batch["label_b"].tolist() == [0, 1]
    assert [boxes.shape for boxes in batch["boxes_n4"]] == [(2, 4), (1, 4)]
    assert [classes.tolist() for classes in batch["classes_n"]] == [[0, 0], [0]]


@pytest.mark.parametrize(("key", "shape"), [("label_b", "b"), ("boxes_n4", "n4"), ("film_budget", ""), ("caption", "")])
def test_the_last_part_of_a_key_is_its_shape_when_it_can_be_one(key: str, shape: str) -> None:
    assert shape_of(key) == shape


def test_free_text_stays_as_it_is() -> None:
    assert collate([encode({"caption": "a cat"}, CLASSES, None)]) == {"caption": ["a cat"]}


def test_values_are_floats_also_when_written_as_whole_numbers() -> None:
    rows = [encode({"value_b": value, "value_bk": [value, 1]}, {}, None) for value in (3, 0.5)]
    batch = collate(rows)
    assert (batch["value_b"].dtype, batch["value_b"].tolist()) == (torch.float32, [3.0, 0.5])
    assert (batch["value_bk"].dtype, batch["value_bk"].tolist()) == (torch.float32, [[3.0, 1.0], [0.5, 1.0]])


def test_probabilities_of_classes_are_floats_also_when_written_as_whole_numbers() -> None:
    row = encode({"label_bk": [0, 1, 0]}, CLASSES, None)["label_bk"]
    assert (row.dtype, row.tolist()) == (torch.float32, [0.0, 1.0, 0.0])


def test_class_names_of_every_box_become_a_row_each() -> None:
    encoded = encode({"label_nk": [["cat", "owl"], [], ["dog"]]}, CLASSES, None)["label_nk"]
    assert encoded.tolist() == [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert encode({"label_nk": []}, CLASSES, None)["label_nk"].shape == (0, 3)
    assert [tuple(rows.shape) for rows in collate([{"label_nk": encoded}, {"label_nk": encoded[:1]}])["label_nk"]] == [
        (3, 3),
        (1, 3),
    ]


def test_names_are_found_in_lists_of_lists_and_not_in_paths_and_captions() -> None:
    targets = {"label_nk": [["cat"], ["dog", "cat"]], "mask_bthw": "m.png", "clip_bcthw": "c.mp4", "caption": "an owl"}
    assert sorted(class_names(targets)) == ["cat", "cat", "dog"]


def test_paths_of_films_and_masks_stay_paths() -> None:
    assert encode({"mask_bthw": "m.png", "clip_bcthw": "c.mp4"}, CLASSES, None) == {
        "mask_bthw": "m.png",
        "clip_bcthw": "c.mp4",
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("flow_b2", [1.0]), ("flow_b2", [[1.0, 2.0]]), ("score_b", [1.0]), ("map_bhw", [1.0]),
        ("value_b", float("nan")), ("boxes_n4", [[0.1, 0.2, 0.3]]), ("boxes_n4", [0.1, 0.2, 0.3, 0.4]),
        ("boxes_n4", [[0, 0, float("nan"), 1]]), ("value_b", 2**70), ("label_bk", ["cat", 1]),
    ],
)  # fmt: skip
def test_a_target_has_the_shape_that_its_key_says(key: str, value: object) -> None:
    with pytest.raises(BadTarget, match=f"its {key} should be .*, not "):
        encode({key: value}, CLASSES, None)


@pytest.mark.parametrize("value", ["fox", 3, -1])
def test_a_class_outside_the_training_classes_is_none(value: object) -> None:
    with pytest.raises(UnknownClass, match=f"its class {value!r} is not among the training classes"):
        encode({"label_b": value}, CLASSES, None)


def test_boxes_may_lie_a_rounding_error_outside() -> None:
    boxes_n4 = encode({"boxes_n4": [[-1e-6, 0, 1 + 1e-6, 1]]}, CLASSES, None)["boxes_n4"]
    assert boxes_n4.shape == (1, 4)
