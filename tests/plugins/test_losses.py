from __future__ import annotations

import doctest
import math

import pytest
import torch

from zoo_plugins.losses import binary_cross_entropy as binary_cross_entropy_module
from zoo_plugins.losses import cross_entropy as cross_entropy_module
from zoo_plugins.losses import l1 as l1_module
from zoo_plugins.losses import mse as mse_module
from zoo_plugins.losses.binary_cross_entropy import binary_cross_entropy
from zoo_plugins.losses.cross_entropy import cross_entropy
from zoo_plugins.losses.l1 import l1, smooth_l1
from zoo_plugins.losses.mse import mse
from zoo_registry.errors import ParameterError

# softmax of (0, log 2, log 5) is (1, 2, 5) / 8
LOGITS = torch.tensor([[0.0, math.log(2), math.log(5)], [0.0, math.log(2), math.log(5)]])


def test_cross_entropy_of_indices_is_the_mean_surprise():
    assert float(cross_entropy()(LOGITS, torch.tensor([0, 2]))) == pytest.approx((math.log(8) + math.log(8 / 5)) / 2)


def test_cross_entropy_of_probabilities_is_their_mean_surprise():
    target = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    first, second = (math.log(8) + math.log(4)) / 2, math.log(8 / 5)
    assert float(cross_entropy()(LOGITS, target)) == pytest.approx((first + second) / 2)


@pytest.mark.parametrize("as_probabilities", [False, True])
def test_label_smoothing_spreads_a_part_of_the_target(as_probabilities):
    label = torch.tensor([2, 2])
    target = torch.nn.functional.one_hot(label, 3).float() if as_probabilities else label
    surprise = [math.log(8), math.log(4), math.log(8 / 5)]
    expected = 0.7 * surprise[2] + 0.3 * sum(surprise) / 3
    assert float(cross_entropy(label_smoothing=0.3)(LOGITS, target)) == pytest.approx(expected)


def test_class_weights_weigh_the_mean():
    loss = cross_entropy(class_weights=[3.0, 1.0, 1.0])(LOGITS, torch.tensor([0, 2]))
    assert float(loss) == pytest.approx((3 * math.log(8) + math.log(8 / 5)) / 4)


def test_class_weights_must_fit_the_model():
    with pytest.raises(ParameterError, match="cross_entropy has 2 class_weights, the model has 3 classes"):
        cross_entropy(class_weights=[1.0, 2.0])(LOGITS, torch.tensor([0, 2]))


def test_class_weights_go_to_a_device_once(monkeypatch):
    loss, label_b = cross_entropy(class_weights=[3.0, 1.0, 1.5]), torch.tensor([0, 2])
    with torch.inference_mode():
        evaluated = loss(LOGITS, label_b)
    monkeypatch.delattr(torch, "tensor")
    trained = loss(LOGITS.clone().requires_grad_(), label_b)
    trained.backward()  # weights made by an evaluation serve training too
    assert trained.item() == evaluated.item()


def test_mse_is_the_mean_square():
    assert float(mse()(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.0, 0.0]))) == pytest.approx(13 / 3)


def test_mse_broadcasts_nothing():
    with pytest.raises(ParameterError, match=r"not \(4, 1\) with \(4,\)"):
        mse()(torch.zeros(4, 1), torch.zeros(4))


# sigmoid of -log 3 is 1/4, of log 3 it is 3/4
ODDS = torch.tensor([[-math.log(3), math.log(3)], [math.log(3), 0.0]])


def test_binary_cross_entropy_is_the_mean_surprise_over_samples_and_classes():
    target = torch.tensor([[1.0, 1.0], [0.0, 0.5]])
    expected = [math.log(4), math.log(4 / 3), math.log(4), math.log(2)]
    assert float(binary_cross_entropy()(ODDS, target)) == pytest.approx(sum(expected) / 4)


def test_positive_weights_weigh_what_is_there():
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    expected = [3 * math.log(4), math.log(4), math.log(4), 5 * math.log(2)]
    assert float(binary_cross_entropy(positive_weights=[3.0, 5.0])(ODDS, target)) == pytest.approx(sum(expected) / 4)


def test_smoothed_labels_are_less_than_sure():
    said = math.log(4), math.log(4 / 3)  # surprise of yes and no where the probability is 1/4
    loss = binary_cross_entropy(label_smoothing=0.2)(ODDS[:1, :1], torch.tensor([[1.0]]))
    assert float(loss) == pytest.approx(0.9 * said[0] + 0.1 * said[1])


def test_binary_cross_entropy_wants_rows_and_weights_that_fit():
    with pytest.raises(
        ParameterError, match=r"not \(2, 2\) with \(2,\)\n.*`label_bk`; class indices want cross_entropy"
    ):
        binary_cross_entropy()(ODDS, torch.tensor([0, 1]))
    with pytest.raises(ParameterError, match="has 3 positive_weights, the model has 2 classes"):
        binary_cross_entropy(positive_weights=[1.0, 2.0, 3.0])(ODDS, torch.zeros(2, 2))


def test_l1_is_the_mean_absolute_difference():
    assert float(l1()(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.0, 7.0]))) == pytest.approx(6 / 3)


def test_smooth_l1_is_a_parabola_up_to_beta_and_straight_beyond():
    difference = torch.tensor([0.0, 1.0, -2.0, 5.0])
    expected = [0, 1 / 4, 4 / 4, 5 - 1]
    assert float(smooth_l1(beta=2.0)(difference, torch.zeros(4))) == pytest.approx(sum(expected) / 4)


@pytest.mark.parametrize(("name", "loss"), [("l1", l1()), ("smooth_l1", smooth_l1())])
def test_absolute_differences_broadcast_nothing(name, loss):
    with pytest.raises(ParameterError, match=rf"{name} compares tensors of one shape, not \(4, 1\) with \(4,\)"):
        loss(torch.zeros(4, 1), torch.zeros(4))


@pytest.mark.parametrize(
    "loss",
    [cross_entropy(), mse(), binary_cross_entropy(), l1(), smooth_l1()],
    ids=["cross_entropy", "mse", "binary_cross_entropy", "l1", "smooth_l1"],
)
def test_half_precision_is_summed_in_full(loss):
    prediction = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_()
    value = loss(prediction, torch.rand(8, 3, generator=torch.Generator().manual_seed(1)))
    value.backward()
    assert value.dtype == torch.float32
    assert prediction.grad.isfinite().all()


@pytest.mark.parametrize("module", [cross_entropy_module, mse_module, binary_cross_entropy_module, l1_module])
def test_examples_run(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


ALL = {
    "cross_entropy": cross_entropy(),
    "binary_cross_entropy": binary_cross_entropy(),
    "mse": mse(),
    "l1": l1(),
    "smooth_l1": smooth_l1(),
}


@pytest.mark.parametrize("name", ALL)
def test_a_target_that_is_missing_is_told_in_words(name):
    with pytest.raises(ParameterError, match=f"{name} got no target") as caught:
        ALL[name](torch.zeros(2, 3), None)
    assert caught.value.problems[0].hint
    with pytest.raises(ParameterError, match=f"{name} got a target of type list"):
        ALL[name](torch.zeros(2, 3), [0, 1])


@pytest.mark.parametrize(
    ("prediction", "target", "said"),
    [
        (torch.zeros(2, 3), torch.zeros(3).long(), r"class indices of shape \(3,\) for logits .*\(2, 3\), not \(2,\)"),
        (torch.zeros(2, 3), torch.zeros(2), r"probabilities of shape \(2,\) for logits .*, not \(2, 3\)"),
        (torch.zeros(2, 3), torch.zeros(2, 3).long(), r"class indices of shape \(2, 3\)"),
        (torch.zeros(2, 3), torch.tensor([0, 3]), "a class outside the 3 that the model has"),
        (torch.zeros(3), torch.tensor(1), r"takes logits \(B, K\), not a prediction of shape \(3,\)"),
    ],
)
def test_cross_entropy_tells_what_target_it_wants(prediction, target, said):
    with pytest.raises(ParameterError, match=said) as caught:
        cross_entropy()(prediction, target)
    assert caught.value.problems[0].hint


def test_cross_entropy_of_pixels_is_their_mean_surprise():
    logits_bkhw = LOGITS.reshape(2, 3, 1, 1).expand(2, 3, 4, 5)
    mask_bhw = torch.tensor([0, 2], dtype=torch.uint8).reshape(2, 1, 1).expand(2, 4, 5)
    assert float(cross_entropy()(logits_bkhw, mask_bhw)) == pytest.approx((math.log(8) + math.log(8 / 5)) / 2)
