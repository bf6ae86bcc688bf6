"""Recipes that can be run, copied and extended by name."""

from zoo_registry import Recipe, hookimpl


@hookimpl
def zoo_recipes() -> list[Recipe]:
    """The recipes of this folder."""
    return [
        Recipe(
            "quickstart",
            "zoo_plugins.recipes:quickstart.yaml",
            "Makes films that differ by motion only, trains a small 3-D CNN on them, prunes, exports and reports.",
        ),
        Recipe(
            "finetune",
            "zoo_plugins.recipes:finetune.yaml",
            "Fine-tunes a pretrained 3-D ResNet on films listed in a manifest.",
        ),
        Recipe(
            "pretrain_videomae",
            "zoo_plugins.recipes:pretrain_videomae.yaml",
            "Pre-trains VideoMAE without labels on films listed in a manifest.",
        ),
        Recipe(
            "pretrain_moco",
            "zoo_plugins.recipes:pretrain_moco.yaml",
            "Pre-trains a 3-D ResNet without labels, by contrast, on films listed in a manifest.",
        ),
        Recipe(
            "gan",
            "zoo_plugins.recipes:gan.yaml",
            "Trains a small generator of clips against a critic, on films that differ by motion.",
        ),
        Recipe(
            "vdsr_evaluate",
            "zoo_plugins.recipes:vdsr_evaluate.yaml",
            "Measures VDSR's PSNR and SSIM on pictures or films of your own, one by one and beside bicubic's.",
        ),
        Recipe(
            "vdsr_int8",
            "zoo_plugins.recipes:vdsr_int8.yaml",
            "Quantises VDSR to int8 after training, and leaves the layers in float that int8 hurts most.",
        ),
        Recipe(
            "vdsr_int8_qat",
            "zoo_plugins.recipes:vdsr_int8_qat.yaml",
            "Quantises VDSR to int8 and trains it on, with the original as its teacher.",
        ),
        Recipe(
            "vdsr_pruned",
            "zoo_plugins.recipes:vdsr_pruned.yaml",
            "Prunes VDSR to half of its multiply-adds and trains what is left, with the original as its teacher.",
        ),
        Recipe(
            "vdsr_student",
            "zoo_plugins.recipes:vdsr_student.yaml",
            "Makes VDSR half as wide, a quarter of its multiply-adds, and distils the original into it.",
        ),
        Recipe(
            "textbook",
            "zoo_plugins.recipes:textbook.yaml",
            "The textbook's image classifier: 1,000 pictures of 3x32x32, two convolutions, SGD.",
        ),
    ]
