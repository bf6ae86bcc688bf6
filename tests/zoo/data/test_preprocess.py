"""What happens to pixels between the loader and the model."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms.functional import rgb_to_grayscale

from zoo.data import Preprocess
from zoo_registry import ClipSpec
from zoo_registry.errors import DataError
from zoo_registry.protocols import Batch

CLIP = ClipSpec(frames=2, size=(4, 6), mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.5))


def batch_of(clip_bcthw: torch.Tensor, /, **targets) -> Batch:
    rows = torch.arange(len(clip_bcthw))
    return Batch({"clip_bcthw": clip_bcthw}, targets, rows, torch.zeros_like(rows))


def random_pixels(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_pixels_become_multiples_of_the_deviation_from_the_mean() -> None:
    pixels = random_pixels(2, 3, 2, 4, 6)
    ready = Preprocess(CLIP)(batch_of(pixels)).inputs["clip_bcthw"]
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (CLIP.mean, CLIP.std))
    assert ready.dtype == torch.float32
    assert torch.allclose(ready, (pixels.double() / 255 - mean).div(std).float(), atol=1e-5)


def test_float_pixels_in_0_to_1_give_the_same_as_bytes() -> None:
    pixels, preprocess = random_pixels(1, 3, 2, 4, 6), Preprocess(CLIP)
    from_bytes = preprocess(batch_of(pixels)).inputs["clip_bcthw"]
    from_floats = preprocess(batch_of(pixels.float() / 255)).inputs["clip_bcthw"]
    assert torch.allclose(from_bytes, from_floats, atol=1e-5)


def test_a_model_of_one_channel_sees_the_brightness_of_colours() -> None:
    pixels = random_pixels(2, 3, 2, 4, 6)
    preprocess = Preprocess(ClipSpec(frames=2, size=(4, 6), mean=(0.4,), std=(0.2,)))
    theirs = rgb_to_grayscale(pixels.transpose(1, 2) / 255).transpose(1, 2)
    for given in (pixels, pixels.float() / 255):
        ready = preprocess(batch_of(given)).inputs["clip_bcthw"]
        assert torch.allclose(ready * 0.2 + 0.4, theirs, atol=1e-3)


def test_a_model_of_four_channels_is_not_shown_a_film() -> None:
    with pytest.raises(DataError, match=r"with 4 channels, these are .*\n.*leave out the model's in_channels"):
        Preprocess(ClipSpec(frames=2, size=4, mean=(0.4,) * 4, std=(0.2,) * 4))(batch_of(random_pixels(1, 3, 2, 4, 4)))


def test_larger_clips_are_cropped_at_the_centre_and_boxes_with_them() -> None:
    pixels = random_pixels(1, 3, 2, 8, 8)
    boxes = [torch.tensor([[0.0, 0, 8, 8], [3, 3, 5, 5]])]
    result = Preprocess(CLIP)(batch_of(pixels, boxes_n4=boxes))
    direct = Preprocess(CLIP)(batch_of(pixels[..., 2:6, 1:7]))
    assert torch.equal(result.inputs["clip_bcthw"], direct.inputs["clip_bcthw"])
    assert result.targets["boxes_n4"][0].tolist() == [[0, 0, 6, 4], [2, 1, 4, 3]]


@pytest.mark.parametrize("times", [1, 2])
def test_target_clips_are_cropped_alike_at_their_own_scale_and_stay_pictures(times: int) -> None:
    pixels = random_pixels(1, 3, 2, 8, 8)
    target = random_pixels(1, 3, 2, 8 * times, 8 * times)
    ready = Preprocess(CLIP)(batch_of(pixels, clip_bcthw=target)).targets["clip_bcthw"]
    assert torch.equal(ready, target[..., 2 * times : 6 * times, times : 7 * times].float() / 255)
    from_floats = Preprocess(CLIP)(batch_of(pixels, clip_bcthw=target.float() / 255)).targets["clip_bcthw"]
    assert torch.equal(from_floats, ready)


def test_masks_are_cropped_alike_and_stay_classes() -> None:
    pixels, masks = random_pixels(1, 3, 2, 8, 8), random_pixels(1, 2, 8, 8)
    ready = Preprocess(CLIP)(batch_of(pixels, mask_bthw=masks)).targets["mask_bthw"]
    assert torch.equal(ready, masks[..., 2:6, 1:7])


def test_the_batch_given_stays_as_it_was() -> None:
    pixels, boxes = random_pixels(1, 3, 2, 8, 8), [torch.tensor([[0.0, 0, 8, 8]])]
    batch = batch_of(pixels, boxes_n4=boxes)
    Preprocess(CLIP)(batch)
    assert torch.equal(batch.inputs["clip_bcthw"], random_pixels(1, 3, 2, 8, 8))
    assert batch.targets["boxes_n4"][0].tolist() == [[0, 0, 8, 8]]


def test_clips_smaller_than_the_size_are_an_error_with_both_sizes() -> None:
    with pytest.raises(DataError, match=r"clips of 4 x 5 pixels are smaller than the 4 x 6 .*1 x 3 x 2 x 4 x 5"):
        Preprocess(CLIP)(batch_of(random_pixels(1, 3, 2, 4, 5)))


def test_frames_before_channels_are_an_error_that_says_the_layout() -> None:
    with pytest.raises(DataError, match="should be B C T H W with 3 channels, these are 1 x 16 x 3 x 4 x 6"):
        Preprocess(CLIP)(batch_of(random_pixels(1, 16, 3, 4, 6)))


def test_whole_numbers_that_are_no_bytes_are_an_error() -> None:
    with pytest.raises(DataError, match=r"uint8 0\.\.255 or float 0\.\.1, these are torch\.int64"):
        Preprocess(CLIP)(batch_of(random_pixels(1, 3, 2, 4, 6).long()))


def test_models_without_pictures_get_their_batch_as_it_is() -> None:
    batch = Batch({"audio_bcn": torch.zeros(1, 1, 8)}, {}, torch.tensor([0]), torch.tensor([0]))
    assert Preprocess(None)(batch) is batch


def test_mean_and_deviation_are_no_part_of_a_checkpoint() -> None:
    assert not Preprocess(CLIP).state_dict()
