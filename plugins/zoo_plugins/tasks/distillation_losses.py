"""What a student has to have in common with its teacher."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate, kl_div, log_softmax, mse_loss, normalize, smooth_l1_loss

_TINY = 1e-12  # what a distance of nothing is taken for, so that it has a gradient


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


def relational_loss(student_bcthw: Tensor, teacher_bcthw: Tensor) -> Tensor:
    """How differently the clips of a batch lie to one another (Park et al. 2019, Relational Knowledge Distillation).

    Maps are averaged over time and space to one point a clip. Distances between points are divided by their mean
    (equations 4 to 6), angles are the cosines at every corner of every triangle (equations 7 to 9); each is compared by
    the Huber loss, and angles count twice, as in the paper.

    Args:
        student_bcthw: map (B, C, T', H', W') of any channels and size.
        teacher_bcthw: likewise.

    Returns:
        A scalar in float32; 0 for a batch of one, where there is no relation.

    Example:
        >>> map_bcthw = torch.rand(4, 3, 2, 4, 4)
        >>> float(relational_loss(map_bcthw, 5 * map_bcthw)) < 1e-6    # their size is no relation
        True
    """
    student_bc, teacher_bc = (each.float().mean((2, 3, 4)) for each in (student_bcthw, teacher_bcthw))
    if len(student_bc) < 2:
        return student_bc.sum() * 0
    distances = smooth_l1_loss(_distances(student_bc), _distances(teacher_bc))
    return distances + 2 * smooth_l1_loss(_angles(student_bc), _angles(teacher_bc))


def _distances(points_bc: Tensor) -> Tensor:
    """(B, B), divided by the mean of those between different points."""
    apart_bbc = points_bc[:, None] - points_bc[None]
    distance_bb = (apart_bbc.square().sum(-1) + _TINY).sqrt() * (1 - torch.eye(len(points_bc), device=points_bc.device))
    between = len(points_bc) * (len(points_bc) - 1)
    return distance_bb / (distance_bb.sum() / between).clamp(min=_TINY)


def _angles(points_bc: Tensor) -> Tensor:
    """(B, B, B): at each point the cosine between the ways to two others; 0 where two of them are one."""
    way_bbc = normalize(points_bc[None] - points_bc[:, None], dim=-1, eps=_TINY)
    return way_bbc @ way_bbc.mT


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
