"""PySlowFast's names: stages `s1` to `s5`, each with a `pathway0` and in SlowFast a `pathway1`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from zoo_plugins.video.layouts.pytorchvideo import pytorchvideo
from zoo_plugins.video.layouts.renaming import Rules, renamed, with_counters, without_shortcut_norms

_RULES: Rules = (
    (r"^s(\d)_fuse\.", r"stage\1.fuse."),
    (r"^s1\.((?:slow|fast)\.)?stem\.", r"stem.\1"),
    (r"^s2\.", "stage1."),
    (r"^s3\.", "stage2."),
    (r"^s4\.", "stage3."),
    (r"^s5\.", "stage4."),
    (r"^stem\.((?:slow|fast)\.)?bn\.", r"stem.\1norm."),
    (r"\.fuse\.conv_f2s\.", ".fuse.conv."),
    (r"\.fuse\.bn\.", ".fuse.norm."),
    (r"\.res(\d+)\.", r".\1."),
    (r"\.branch1\.", ".shortcut_conv."),
    (r"\.branch1_bn\.", ".shortcut_norm."),
    (r"\.branch2\.([abc])\.", r".conv_\1."),
    (r"\.branch2\.([abc])_bn\.", r".norm_\1."),
    (r"\.branch2\.se\.fc1\.", ".excite.reduce."),
    (r"\.branch2\.se\.fc2\.", ".excite.expand."),
    (r"^head\.conv_5\.", "head.pre_conv."),
    (r"^head\.conv_5_bn\.", "head.pre_norm."),
    (r"^head\.lin_5\.", "head.post_conv."),
    (r"^head\.projection\.", "head.linear."),
)

_X3D_STEM: Rules = ((r"^stem\.conv\.", "stem.conv.temporal."), (r"^stem\.conv_xy\.", "stem.conv.spatial."))


def pyslowfast(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """The state dict of PySlowFast's Slow, C2D, I3D, SlowFast and X3D under our names.

    Args:
        state: `model_state` of its files; of its own networks, or of PyTorchVideo's that it trained (`model.blocks`).
        module: of the same architecture.
    """
    if any(key.startswith("model.blocks.") for key in state):
        return pytorchvideo({key.removeprefix("model."): value for key, value in state.items()}, module)
    two = any("pathway1_" in key for key in state)
    pathways = [(r"\bpathway0_", "slow." if two else ""), (r"\bpathway1_", "fast.")]
    separable = any("conv_xy." in key for key in state)
    result = renamed(state, [*pathways, *_RULES, *(_X3D_STEM if separable else ())])
    return with_counters(without_shortcut_norms(result, module), module)
