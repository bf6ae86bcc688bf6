"""mmaction2's names: `backbone.layer1.0.conv1.conv`, `backbone.slow_path`, `cls_head`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from zoo_plugins.video.layouts.renaming import Rules, renamed, with_counters, without_shortcut_norms

_RULES: Rules = (
    (r"^backbone\.", ""),
    (r"^slow_path\.conv1_lateral\.", "stage1.fuse."),
    (r"^slow_path\.layer1_lateral\.", "stage2.fuse."),
    (r"^slow_path\.layer2_lateral\.", "stage3.fuse."),
    (r"^slow_path\.layer3_lateral\.", "stage4.fuse."),
    (r"^(slow|fast)_path\.conv1\.", r"stem.\1."),
    (r"^(slow|fast)_path\.layer(\d)\.", r"stage\2.\1."),
    (r"^conv1_s\.conv\.", "stem.conv.spatial."),
    (r"^conv1_t\.conv\.", "stem.conv.temporal."),
    (r"^conv1(_t)?\.", "stem."),
    (r"^layer(\d)\.", r"stage\1."),
    (r"^(stem|stem\.slow|stem\.fast|stage\d\.fuse)\.bn\.", r"\1.norm."),
    (r"\.conv1\.(conv|bn)\.", r".\1_a."),
    (r"\.conv2\.(0\.)?(conv|bn)\.", r".\2_b."),
    (r"\.conv3\.(conv|bn)\.", r".\1_c."),
    (r"\.downsample\.(conv|bn)\.", r".shortcut_\1."),
    (r"\.bn_([abc])\.", r".norm_\1."),
    (r"\.shortcut_bn\.", ".shortcut_norm."),
    (r"\.se_module\.fc1\.", ".excite.reduce."),
    (r"\.se_module\.fc2\.", ".excite.expand."),
    (r"^conv5\.conv\.", "head.pre_conv."),
    (r"^conv5\.bn\.", "head.pre_norm."),
    (r"^cls_head\.fc1\.", "head.post_conv."),
    (r"^cls_head\.(fc_cls|fc2)\.", "head.linear."),
)

_CSN_EPS = 1e-3
"""What the norms of its CSN add to the variance; ours, as PyTorchVideo's, add 1e-5."""


def mmaction2(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """The state dict of mmaction2's SlowOnly, I3D and X3D under our names.

    Args:
        state: `state_dict` of its files.
        module: of the same architecture.
    """
    result = renamed(state, _RULES)
    post = "head.post_conv.weight"
    if post in result and result[post].ndim == 2:  # a linear layer there, a 1x1x1 convolution here
        result[post] = result[post][:, :, None, None, None]
    return with_counters(without_shortcut_norms(result, module), module)


def mmaction2_csn(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """The same for its ir-CSN, whose norms add more to the variance: the difference goes into the variance itself."""
    result = mmaction2(state, module)
    eps = next((each.eps for each in module.modules() if isinstance(each, nn.BatchNorm3d)), _CSN_EPS)
    moved = {key: value + (_CSN_EPS - eps) for key, value in result.items() if key.endswith("running_var")}
    return {**result, **moved}


def mmaction2_slowfast(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """The same for its SlowFast, whose classifier sees the fast pathway first.

    Only networks with `lateral_norm=True` have what the authors' have: norm and ReLU between the pathways.
    """
    result = mmaction2(state, module)
    weight = result.get("head.linear.weight")
    if weight is not None:
        slow = 8 * weight.shape[1] // 9
        fast = weight.shape[1] - slow
        result["head.linear.weight"] = torch.cat((weight[:, fast:], weight[:, :fast]), 1)
    if "stage1.fuse.conv.weight" in result and "stage1.fuse.norm.weight" not in result:
        warnings.warn(
            "this SlowFast of mmaction2 has no norm and no ReLU between its pathways (lateral_norm=False), which makes "
            "it another network than the authors': it does not fit",
            stacklevel=2,
        )
    return result
