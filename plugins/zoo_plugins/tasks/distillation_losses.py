"""What a student has to have in common with its teacher."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate, kl_div, log_softmax, mse_loss, normalize


def soft_label_loss(student_bk: Tensor, teacher_bk: Tensor, temperature: float) -> Tensor:
    """How far softened answers are apart: the Kullback-Leibler divergence times the squared temperature, in float32.

    The factor keeps gradients as large as they are without softening (Hinton et al. 2015, section 2).

    Args:
        student_bk: logits (B, K).
        teacher_bk: likewise, without gradients.
        temperature: both are divided by it.

    Returns:
        Mean over the batch of `T^2 sum_k p_k (log p_k - log q_k)`, p the teacher's and q the student's.

    Example:
        >>> teacher_bk = torch.tensor([[100.0, 0.0]])                      # 1 and 0, for sure
        >>> round(float(soft_label_loss(torch.zeros(1, 2), teacher_bk, temperature=1.0)), 4)    # log 2
        0.6931
    """
    said_bk = log_softmax(student_bk.float() / temperature, dim=1)
    taught_bk = log_softmax(teacher_bk.float() / temperature, dim=1)
    return kl_div(said_bk, taught_bk, log_target=True, reduction="batchmean") * temperature**2


def hint_loss(student_bcthw: Tensor, teacher_bcthw: Tensor) -> Tensor:
    """Half the mean squared difference of two maps (Romero et al. 2015, equation 3), in float32.

    Args:
        student_bcthw: map (B, C, T', H', W'), projected to the teacher's channels; brought to the teacher's size.
        teacher_bcthw: map of those channels.

    Example:
        >>> float(hint_loss(torch.zeros(1, 2, 1, 1, 1), torch.full((1, 2, 4, 4, 4), 2.0)))
        2.0
    """
    return mse_loss(sized_as(student_bcthw.float(), teacher_bcthw), teacher_bcthw.float()) / 2


def attention_loss(student_bcthw: Tensor, teacher_bcthw: Tensor) -> Tensor:
    """How far apart two maps of attention are (Zagoruyko and Komodakis 2017, equation 2 without beta / 2), in float32.

    Attention is the sum of squares over channels, taken as one vector of every cell of space and time and brought to
    length 1; the loss is the Euclidean distance of the student's from the teacher's.

    Args:
        student_bcthw: map (B, C, T', H', W'); its attention is brought to the teacher's size.
        teacher_bcthw: map of any channels and size.

    Returns:
        The mean over the batch, 0 to the root of 2.

    Example:
        >>> map_bcthw = torch.rand(2, 3, 2, 4, 4)
        >>> float(attention_loss(map_bcthw, 5 * map_bcthw)) < 1e-5
        True
        >>> left, right = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
        >>> round(float(attention_loss(left.view(1, 1, 1, 1, 2), right.view(1, 1, 1, 1, 2))), 4)
        1.4142
    """
    student_b1thw, teacher_b1thw = (
        each.float().square().sum(1, keepdim=True) for each in (student_bcthw, teacher_bcthw)
    )
    pair = sized_as(student_b1thw, teacher_b1thw), teacher_b1thw
    student_bn, teacher_bn = (normalize(each.flatten(1), dim=1) for each in pair)
    distance_b: Tensor = torch.linalg.vector_norm(student_bn - teacher_bn, dim=1)
    return distance_b.mean()


def sized_as(map_bcthw: Tensor, other_bcthw: Tensor) -> Tensor:
    """A map in another's length, height and width, interpolated in all three.

    Example:
        >>> sized_as(torch.zeros(1, 8, 2, 7, 7), torch.zeros(1, 4, 4, 14, 14)).shape
        torch.Size([1, 8, 4, 14, 14])
    """
    size = other_bcthw.shape[2:]
    if map_bcthw.shape[2:] == size:
        return map_bcthw
    return interpolate(map_bcthw, size=tuple(size), mode="trilinear")
