"""Video transformers of Hugging Face's library, with the weights that the Hub has for them."""

from __future__ import annotations

from typing import Any

from zoo_registry import Adapter, ClipSpec, Model, Weights, hookimpl

_PUBLISHED = "zoo_plugins.transformers.published:from_transformers"
_KINETICS_400 = "zoo_plugins:labels/kinetics400.txt"
_IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}

_VIDEOMAE_CLIP = ClipSpec(frames=16, stride=4, size=224, resize=224, **_IMAGENET)
_TIMESFORMER_CLIP = ClipSpec(frames=8, stride=32, size=224, resize=224)
# The library first takes ViViT's pixels to -1..1, and then subtracts and divides by 0.5.
_VIVIT_CLIP = ClipSpec(frames=32, stride=2, size=224, resize=256, mean=(0.75,) * 3, std=(0.25,) * 3)
_VJEPA2_CLIP = ClipSpec(frames=64, stride=2, size=256, resize=292, **_IMAGENET)
_VJEPA2_SSV2_CLIP = ClipSpec(frames=16, stride=4, size=256, resize=292, **_IMAGENET)
_XCLIP_CLIP = ClipSpec(frames=8, size=224, resize=224, sampling="segments", **_IMAGENET)
_VIDEOPRISM_CLIP = ClipSpec(
    frames=16, size=288, resize=(288, 288), sampling="segments", mean=(0.0,) * 3, std=(1.0,) * 3
)


def _weights(tag: str, repository: str, **claims: Any) -> Weights:
    return Weights(tag=tag, source=f"hf://{repository}", convert=_PUBLISHED, **claims)


def _model(name: str, builder: str, clip: ClipSpec, summary: str, paper: str, **more: Any) -> Model:
    return Model(
        name,
        builder=f"zoo_plugins.transformers.{builder}",
        clip=clip,
        summary=summary,
        source=f"https://arxiv.org/abs/{paper}",
        licence="apache-2.0",
        requires=("transformers",),
        extra="videozoo[transformers]",
        layouts={"transformers": _PUBLISHED},
        **more,
    )


def _videomae() -> list[Model]:
    by_masking = "2203.12602"
    non_commercial = {"licence": "cc-by-nc-4.0"}

    def finetuned(size: str, top1: float) -> Weights:
        return _weights(
            "k400", f"MCG-NJU/videomae-{size}-finetuned-kinetics", labels=400, label_file=_KINETICS_400,
            metrics={"accuracy": top1}, claimed_by="its authors' table", **non_commercial,
        )  # fmt: skip

    classifiers = [
        ("s", "small", 22_033_936, 56.878, ()),
        ("b", "base", 86_534_800, 180.345, (
            finetuned("base", 0.813),
            _weights("mae_k400", "MCG-NJU/videomae-base", **non_commercial),
            _weights("mae_ssv2", "MCG-NJU/videomae-base-ssv2", **non_commercial))),
        ("l", "large", 304_270_736, 596.833, (
            finetuned("large", 0.853), _weights("mae_k400", "MCG-NJU/videomae-large", **non_commercial))),
    ]  # fmt: skip
    pretraining = [
        ("s", "small", 24_029_376, 11.536, ()),
        ("b", "base", 94_210_944, 35.440, (
            _weights("k400", "MCG-NJU/videomae-base", **non_commercial),
            _weights("ssv2", "MCG-NJU/videomae-base-ssv2", **non_commercial))),
        ("l", "large", 342_996_992, 142.636, (_weights("k400", "MCG-NJU/videomae-large", **non_commercial),)),
    ]  # fmt: skip
    return [
        *(
            _model(f"videomae_{size}", "videomae:videomae", _VIDEOMAE_CLIP,
                   f"VideoMAE, {word}: a plain vision transformer pre-trained by painting masked patches.",
                   by_masking, fixed={"size": size}, parameters=parameters, gmacs=gmacs, weights=weights)
            for size, word, parameters, gmacs, weights in classifiers
        ),
        *(
            _model(f"videomae_{size}_pretraining", "videomae:videomae_pretraining", _VIDEOMAE_CLIP,
                   f"VideoMAE, {word}, with its decoder: sees a tenth of the patches and paints the others.",
                   by_masking, fixed={"size": size}, parameters=parameters, gmacs=gmacs, weights=weights,
                   task="masked_autoencoder")
            for size, word, parameters, gmacs, weights in pretraining
        ),
    ]  # fmt: skip


def _timesformer() -> list[Model]:
    non_commercial = {"licence": "cc-by-nc-4.0"}
    divided = (
        _weights("k400", "facebook/timesformer-base-finetuned-k400", labels=400, label_file=_KINETICS_400,
                 metrics={"accuracy": 0.7769}, claimed_by="its authors' table", **non_commercial),
        _weights("k600", "facebook/timesformer-base-finetuned-k600", labels=600,
                 label_file="zoo_plugins:labels/kinetics600.txt", **non_commercial),
    )  # fmt: skip
    return [
        _model(name, "timesformer:timesformer", _TIMESFORMER_CLIP, summary, "2102.05095",
               fixed={"attention": attention}, parameters=parameters, gmacs=gmacs, weights=weights)
        for name, attention, parameters, gmacs, weights, summary in (
            ("timesformer_b", "divided_space_time", 121_566_352, 195.830, divided,
             "TimeSformer, base: attention over time and then over space in every block."),
            ("timesformer_b_joint", "joint_space_time", 86_112_400, 179.563, (),
             "TimeSformer, base, whose attention is over space and time at once."),
            ("timesformer_b_space", "space_only", 86_106_256, 140.505, (),
             "TimeSformer, base, whose attention is within a frame: frames are averaged at the end."),
        )
    ]  # fmt: skip


def _vjepa2() -> list[Model]:
    paper = "2506.09985"
    return [
        _model("vjepa2_l", "vjepa2:vjepa2", _VJEPA2_CLIP,
               "V-JEPA 2, large, with a linear classifier: an encoder that learnt to predict its own features.", paper,
               parameters=326_381_328, gmacs=5785.321,
               weights=(_weights("pretrained", "facebook/vjepa2-vitl-fpc64-256"),)),
        _model("vjepa2_l_attentive", "vjepa2:vjepa2_attentive", _VJEPA2_SSV2_CLIP,
               "V-JEPA 2, large, with the attentive pooling that its authors classify with.", paper,
               parameters=375_717_648, gmacs=935.243,
               weights=(_weights("ssv2", "facebook/vjepa2-vitl-fpc16-256-ssv2", labels=174,
                                 label_file="hf://facebook/vjepa2-vitl-fpc16-256-ssv2"),)),
    ]  # fmt: skip


@hookimpl
def zoo_models() -> list[Model]:
    """VideoMAE, TimeSformer, ViViT, V-JEPA 2, VideoPrism and X-CLIP."""
    return [
        *_videomae(),
        *_timesformer(),
        # The Hub gives its outputs no names; by the library's example, 116 is eating spaghetti, as in the alphabet.
        _model("vivit_b_16x2", "vivit:vivit", _VIVIT_CLIP,
               "ViViT, base: a vision transformer over patches of two frames, all of which see each other.",
               "2103.15691", parameters=88_954_000, gmacs=451.525,
               weights=(_weights("k400", "google/vivit-b-16x2-kinetics400", labels=400, label_file=_KINETICS_400,
                                 metrics={"accuracy": 0.793}, claimed_by="its authors' table"),)),
        *_vjepa2(),
        _model("videoprism_b", "videoprism:videoprism", _VIDEOPRISM_CLIP,
               "VideoPrism, base: blocks over space, then over time, with attentive pooling.", "2402.13217",
               parameters=124_122_512, gmacs=506.002,
               weights=(_weights("pretrained", "google/videoprism-base-f16r288"),)),
        _model("xclip_b_32", "xclip:xclip", _XCLIP_CLIP,
               "X-CLIP, base: compares clips with the names of classes, also of ones it was never trained on.",
               "2208.02816", parameters=196_790_529, gmacs=38.164,
               weights=(_weights("k400", "microsoft/xclip-base-patch32", licence="mit"),)),
    ]  # fmt: skip


@hookimpl
def zoo_adapters() -> list[Adapter]:
    """Repositories that the library's `save_pretrained` and `push_to_hub` wrote."""
    return [
        Adapter(
            "transformers",
            "zoo_plugins.transformers.adapter:adapter",
            "config.json with a model_type of the video transformers here.",
            requires=("transformers",),
            extra="videozoo[transformers]",
        )
    ]
