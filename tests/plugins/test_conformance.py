"""Every built-in component goes through the kit that plugin authors use."""

# ruff: noqa: RUF012  (attributes are given as plugin authors give them)

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.plugins.compress.staged_network import StagedCnn
from zoo.testing import (
    AugmentationConformance,
    ComponentConformance,
    CompressionConformance,
    ExporterConformance,
    FetcherConformance,
    LossConformance,
    ModelConformance,
    RecipeConformance,
    SourceConformance,
    TaskConformance,
)
from zoo_plugins.basic.clip_generator import ClipGenerator
from zoo_plugins.basic.cnn3d import CNN3D
from zoo_registry import ClipSpec
from zoo_registry.protocols import Batch


class TestCnn2d(ModelConformance):
    name = "basic/cnn2d"
    output = (2, 5)


class TestCnn3d(ModelConformance):
    name = "basic/cnn3d"
    output = (2, 5)


class TestClipGenerator(ModelConformance):
    name = "basic/clip_generator"
    clip = {"frames": 8, "size": 32}
    output = (2, 3, 8, 32, 32)


class TestClipDiscriminator(ModelConformance):
    name = "basic/clip_discriminator"
    clip = {"frames": 8, "size": 32}
    output = (2,)


class TestR3d18(ModelConformance):
    name = "torchvision/r3d_18"
    clip = {"frames": 4, "size": 32}
    output = (2, 5)


class TestMc318(TestR3d18):
    name = "torchvision/mc3_18"


class TestR2plus1d18(TestR3d18):
    name = "torchvision/r2plus1d_18"


class TestSwin3dT(TestR3d18):
    name = "torchvision/swin3d_t"


@pytest.mark.slow
class TestSwin3dS(TestR3d18):
    name = "torchvision/swin3d_s"


@pytest.mark.slow
class TestSwin3dB(TestR3d18):
    name = "torchvision/swin3d_b"


@pytest.mark.slow
class TestS3d(ModelConformance):
    name = "torchvision/s3d"
    clip = {"frames": 14}
    output = (2, 5)


@pytest.mark.slow
class TestMvitV1B(ModelConformance):
    name = "torchvision/mvit_v1_b"
    output = (2, 5)


@pytest.mark.slow
class TestMvitV2S(TestMvitV1B):
    name = "torchvision/mvit_v2_s"


class TestTimmResnet(ModelConformance):
    name = "timm/test_resnet"
    clip = {"frames": 2, "size": 64}
    output = (2, 5)


class TestTimmVit(TestTimmResnet):
    name = "timm/test_vit"


class TestRandomResizedCrop(AugmentationConformance):
    name = "augment/random_resized_crop"


class TestRandomCrop(AugmentationConformance):
    name = "augment/random_crop"
    params = {"padding": 2}


class TestHorizontalFlip(AugmentationConformance):
    name = "augment/horizontal_flip"


class TestMultiScaleCrop(AugmentationConformance):
    name = "augment/multi_scale_crop"


class TestShortSideScale(AugmentationConformance):
    name = "augment/short_side_scale"
    params = {"min_size": 34, "max_size": 40}


class TestVerticalFlip(AugmentationConformance):
    name = "augment/vertical_flip"


class TestRotate(AugmentationConformance):
    name = "augment/rotate"
    params = {"degrees": 30, "fill": [124, 116, 104]}


class TestShear(AugmentationConformance):
    name = "augment/shear"
    params = {"shear": [-10.0, 10.0, -5.0, 5.0]}


class TestTranslate(AugmentationConformance):
    name = "augment/translate"
    params = {"translate": [0.2, 0.1], "padding_mode": "reflect"}


class TestZoom(AugmentationConformance):
    name = "augment/zoom"
    params = {"scale": [0.8, 1.2]}


class TestAffine(AugmentationConformance):
    name = "augment/affine"
    params = {"degrees": [-10.0, 20.0], "translate": [0.1, 0.1], "interpolation": "nearest"}


class TestPerspective(AugmentationConformance):
    name = "augment/perspective"


class TestRandAugment(AugmentationConformance):
    name = "augment/rand_augment"
    params = {"num_ops": 4}


class TestTrivialAugment(AugmentationConformance):
    name = "augment/trivial_augment"
    params = {"fill": [124.0, 116.0, 104.0]}


class TestAugMix(AugmentationConformance):
    name = "augment/aug_mix"


class TestColorJitter(AugmentationConformance):
    name = "augment/color_jitter"
    params = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}


class TestBrightness(AugmentationConformance):
    name = "augment/brightness"
    params = {"p": 1.0}


class TestContrast(AugmentationConformance):
    name = "augment/contrast"
    params = {"p": 1.0}


class TestSaturation(AugmentationConformance):
    name = "augment/saturation"
    params = {"p": 1.0}


class TestHue(AugmentationConformance):
    name = "augment/hue"
    params = {"p": 1.0}


class TestGrayscale(AugmentationConformance):
    name = "augment/grayscale"
    params = {"p": 1.0}


class TestGamma(AugmentationConformance):
    name = "augment/gamma"
    params = {"p": 1.0}


class TestPosterize(AugmentationConformance):
    name = "augment/posterize"
    params = {"p": 1.0}


class TestSolarize(AugmentationConformance):
    name = "augment/solarize"
    params = {"p": 1.0}


class TestEqualize(AugmentationConformance):
    name = "augment/equalize"
    params = {"p": 1.0}


class TestAutocontrast(AugmentationConformance):
    name = "augment/autocontrast"
    params = {"p": 1.0}


class TestInvert(AugmentationConformance):
    name = "augment/invert"
    params = {"p": 1.0}


class TestSharpness(AugmentationConformance):
    name = "augment/sharpness"
    params = {"p": 1.0}


class TestGaussianBlur(AugmentationConformance):
    name = "augment/gaussian_blur"
    params = {"p": 1.0}


class TestGaussianNoise(AugmentationConformance):
    name = "augment/gaussian_noise"
    params = {"p": 1.0}


class TestJpeg(AugmentationConformance):
    name = "augment/jpeg"


class TestVideoCodec(AugmentationConformance):
    name = "augment/video_codec"


class TestDownsample(AugmentationConformance):
    name = "augment/downsample"


class TestMotionBlur(AugmentationConformance):
    name = "augment/motion_blur"


class TestPoissonNoise(AugmentationConformance):
    name = "augment/poisson_noise"


class TestHaze(AugmentationConformance):
    name = "augment/haze"


class TestRain(AugmentationConformance):
    name = "augment/rain"


class TestSpeedJitter(AugmentationConformance):
    name = "augment/speed_jitter"


class TestReverse(AugmentationConformance):
    name = "augment/reverse"


class TestFrameDrop(AugmentationConformance):
    name = "augment/frame_drop"
    params = {"p": 0.5}


class TestFrameRepeat(AugmentationConformance):
    name = "augment/frame_repeat"
    params = {"p": 0.5}


class TestTemporalCrop(AugmentationConformance):
    name = "augment/temporal_crop"
    params = {"frames": 2}


class TestSegmentShuffle(AugmentationConformance):
    name = "augment/segment_shuffle"


class TestRandomErasing(AugmentationConformance):
    name = "augment/random_erasing"
    params = {"p": 1.0, "value": "random", "per_frame": True}


class TestCutout(AugmentationConformance):
    name = "augment/cutout"
    params = {"holes": 2, "value": [50, 100, 150]}


class TestTubeMasking(AugmentationConformance):
    name = "augment/tube_masking"
    params = {"patch": 8, "value": "mean"}
    shown = 0.15


class MixingConformance(AugmentationConformance):
    """Boxes cannot be mixed: the samples have none."""

    params = {"num_classes": 3}

    def example(self) -> Batch:
        batch = super().example()
        batch.targets["boxes_n4"] = [boxes_n4[:0] for boxes_n4 in batch.targets["boxes_n4"]]
        return batch


class TestMixup(MixingConformance):
    name = "augment/mixup"


class TestMixupCutmix(MixingConformance):
    name = "augment/mixup_cutmix"


class TestCutmix(MixingConformance):
    name = "augment/cutmix"


class TestVideoMix(MixingConformance):
    name = "augment/video_mix"


class TestFrameMix(MixingConformance):
    name = "augment/frame_mix"


class SoundConformance(AugmentationConformance):
    """Clips with sound."""

    def example(self) -> Batch:
        batch = super().example()
        sound = torch.rand(3, 1, 2048, generator=torch.Generator().manual_seed(4)) - 0.5
        return Batch({**batch.inputs, "audio_bcn": sound}, batch.targets, batch.index, batch.view)


class TestAudioNoise(SoundConformance):
    name = "augment/audio_noise"


class TestAudioGain(SoundConformance):
    name = "augment/audio_gain"


class TestAudioShift(SoundConformance):
    name = "augment/audio_shift"


class TestSpecAugment(SoundConformance):
    name = "augment/spec_augment"


class TestCrossEntropy(LossConformance):
    name = "losses/cross_entropy"

    def example(self) -> tuple[Tensor, Tensor]:
        return torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, -3.0]]), torch.tensor([0, 2])


class TestBinaryCrossEntropy(LossConformance):
    name = "losses/binary_cross_entropy"
    params = {"label_smoothing": 0.1, "positive_weights": [1.0, 3.0]}

    def example(self) -> tuple[Tensor, Tensor]:
        return torch.tensor([[2.0, -1.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]])


class TestMse(LossConformance):
    name = "losses/mse"

    def example(self) -> tuple[Tensor, Tensor]:
        return torch.tensor([[2.0, -1.0], [0.0, 1.0]]), torch.tensor([[1.0, 1.0], [0.0, 3.0]])


class TestL1(TestMse):
    name = "losses/l1"


class TestSmoothL1(TestMse):
    name = "losses/smooth_l1"
    params = {"beta": 0.5}


class TestPruneMagnitude(CompressionConformance):
    name = "compress/prune_magnitude"
    params = {"amount": 0.5}


class TestPruneChannels(CompressionConformance):
    name = "compress/prune_channels"
    params = {"ratio": 0.5, "round_to": 2}


class TestPruneNM(CompressionConformance):
    name = "compress/prune_n_m"


class TestLowRank(CompressionConformance):
    name = "compress/low_rank"
    params = {"ratio": 0.5, "round_to": 1}


class TestClusterWeights(CompressionConformance):
    name = "compress/cluster_weights"
    params = {"clusters": 16}


class TestCastBf16(CompressionConformance):
    name = "compress/cast_bf16"


class TestCastFp16(CompressionConformance):
    name = "compress/cast_fp16"


class TestFineTune(CompressionConformance):
    name = "compress/fine_tune"
    params = {"lr": 0.01, "teacher": 1.0}


class TestQuantizeInt8(CompressionConformance):
    name = "compress/quantize_int8"


class TestQuantizeTorchao(CompressionConformance):
    name = "compress/quantize_torchao"


class TestQuantizeModelopt(CompressionConformance):
    name = "compress/quantize_modelopt"


class TestEarlyExit(CompressionConformance):
    name = "compress/early_exit"
    params = {"lr": 0.01}

    def network(self):
        return StagedCnn().eval()


class TestMergeTokens(CompressionConformance):
    name = "compress/merge_tokens"
    params = {"r": 2}

    def network(self):
        pytest.importorskip("transformers", reason="the extra videozoo[transformers] is not installed")
        from zoo_plugins.transformers.videomae import videomae
        from zoo_registry import ClipSpec

        clip = ClipSpec(frames=4, stride=1, size=64)
        return videomae(size="s", num_classes=5, clip=clip, width=32, blocks=2, heads=2, mlp_width=64).eval()

    def example(self):
        return (torch.randn(2, 3, 4, 64, 64, generator=torch.Generator().manual_seed(1)),)


class TestClassification(TaskConformance):
    name = "tasks/classification"
    labels = ("left", "right", "up")

    def network(self) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 2 * 4 * 4, 3))

    def target(self) -> dict[str, Tensor]:
        return {"label_b": torch.tensor([0, 2, 1, 2])}

    def example(self) -> Batch:
        clip_bcthw = torch.randn(4, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
        return Batch({"clip_bcthw": clip_bcthw}, self.target(), torch.arange(4), torch.zeros(4, dtype=torch.int64))

    def losses(self):
        return {"loss": nn.functional.cross_entropy}


@pytest.mark.filterwarnings("ignore:the teacher has no weights")
class TestDistillation(TestClassification):
    name = "tasks/distillation"
    params = {"teacher": "basic/cnn3d", "hint": 1.0, "attention": 1.0}

    def network(self) -> nn.Module:
        return CNN3D(3)

    def build(self, **provided):
        return super().build(**{**provided, "clip": ClipSpec(frames=4, size=16)})

    def example(self) -> Batch:
        clip_bcthw = torch.randn(4, 3, 4, 16, 16, generator=torch.Generator().manual_seed(0))
        return Batch({"clip_bcthw": clip_bcthw}, self.target(), torch.arange(4), torch.zeros(4, dtype=torch.int64))


class TestMultilabelClassification(TestClassification):
    name = "tasks/multilabel_classification"

    def target(self) -> dict[str, Tensor]:
        return {"label_bk": torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1]])}

    def losses(self):
        return {"loss": nn.functional.binary_cross_entropy_with_logits}


class TestRegression(TestClassification):
    name = "tasks/regression"

    def target(self) -> dict[str, Tensor]:
        return {"value_bk": torch.tensor([[1.0, 0, 0.5], [2, 1, 0], [0, 3, 1], [4, 1, 1]])}

    def losses(self):
        return {"loss": nn.functional.mse_loss}


class TestGan(TaskConformance):
    name = "tasks/gan"
    params = {"discriminator": {"name": "basic/clip_discriminator", "params": {"width": 2}}, "loss": "wasserstein"}

    def network(self) -> nn.Module:
        return ClipGenerator((3, 8, 16, 16), width=2)

    def example(self) -> Batch:
        clip_bcthw = torch.rand(4, 3, 8, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
        return Batch({"clip_bcthw": clip_bcthw}, {}, torch.arange(4), torch.zeros(4, dtype=torch.int64))


class TestMaskedAutoencoder(TestGan):
    name = "tasks/masked_autoencoder"
    params = {}

    def network(self) -> nn.Module:
        pytest.importorskip("transformers", reason="the extra videozoo[transformers] is not installed")
        from zoo_plugins.transformers.videomae import videomae_pretraining

        sizes = {"width": 16, "blocks": 1, "heads": 2, "mlp_width": 32}
        decoder = {"decoder_width": 16, "decoder_blocks": 1, "decoder_heads": 2}
        return videomae_pretraining(size="s", clip=ClipSpec(frames=8, size=32), **sizes, **decoder)

    def example(self) -> Batch:
        clip_bcthw = torch.rand(4, 3, 8, 32, 32, generator=torch.Generator().manual_seed(0))
        labels = {"label_b": torch.tensor([0, 1, 0, 1])}
        return Batch({"clip_bcthw": clip_bcthw}, labels, torch.arange(4), torch.zeros(4, dtype=torch.int64))


class TestContrastive(TestMaskedAutoencoder):
    name = "tasks/contrastive"
    params = {"queue": 4, "projection": 8}

    def network(self) -> nn.Module:
        return CNN3D(2)

    def example(self) -> Batch:
        batch = super().example()
        return Batch(batch.inputs, batch.targets, torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]))

    def build(self, **provided):
        return super().build(**{**provided, "clip": ClipSpec(frames=8, size=32)})


class TestSpeedPrediction(TestMaskedAutoencoder):
    name = "tasks/speed_prediction"
    params = {"speeds": [1, 2, 4]}

    def network(self) -> nn.Module:
        return CNN3D(2)

    def build(self, **provided):
        return super().build(**{**provided, "clip": ClipSpec(frames=8, size=32)})


class TestFolder(ComponentConformance):
    kind = "source"
    name = "sources/folder"
    params = {"path": "films"}


class TestManifest(TestFolder):
    name = "sources/manifest"
    params = {"path": "films.csv"}


class TestKinetics(ComponentConformance):
    kind = "source"
    name = "sources/kinetics"
    params = {"annotations": "lists", "films": "films"}


class TestSomethingSomething(TestKinetics):
    name = "sources/something_something_v2"


class TestUcf101(TestKinetics):
    name = "sources/ucf101"


class TestHmdb51(TestKinetics):
    name = "sources/hmdb51"


class TestAva(TestKinetics):
    name = "sources/ava"


class TestCharades(TestKinetics):
    name = "sources/charades"


class TestWebdataset(TestFolder):
    name = "sources/webdataset"
    params = {"path": "shard-{000..003}.tar"}


class TestHf(TestFolder):
    name = "sources/hf"
    params = {"path": "saved"}


class TestMotions(SourceConformance):
    name = "sources/motions"
    params = {"count": 6, "size": 32}


class TestShapes(SourceConformance):
    name = "sources/shapes"


class TestOnnx(ExporterConformance):
    name = "export/onnx"


class TestTorchExport(ExporterConformance):
    name = "export/torch_export"


@pytest.mark.slow
class TestAotInductor(ExporterConformance):
    name = "export/aot_inductor"


class TestOpenvino(ExporterConformance):
    name = "export/openvino"


class TestExecutorch(ExporterConformance):
    name = "export/executorch"

    def network(self) -> nn.Module:
        return FramesAlone().eval()


class TestTensorrt(ExporterConformance):
    name = "export/tensorrt"


class FramesAlone(nn.Module):
    """A network that looks at frames one by one: ExecuTorch has no 3-D convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, clip_bcthw: torch.Tensor) -> torch.Tensor:
        batch, channels, frames, height, width = clip_bcthw.shape
        each = clip_bcthw.transpose(1, 2).reshape(batch * frames, channels, height, width)
        return self.frames(each).reshape(batch, frames, -1).mean(1)


class TestFile(FetcherConformance):
    name = "hub/file"

    def uri(self) -> str:
        (self.folder / "model.json").write_text("{}")
        return f"file:{self.folder}"

    def missing(self) -> str:
        return f"file:{self.folder / 'nothing'}"


class TestQuickstart(RecipeConformance):
    name = "recipes/quickstart"


class TestTextbook(RecipeConformance):
    name = "recipes/textbook"


class TestFinetune(RecipeConformance):
    name = "recipes/finetune"


class TestPretrainVideomae(RecipeConformance):
    name = "recipes/pretrain_videomae"


class TestPretrainMoco(RecipeConformance):
    name = "recipes/pretrain_moco"


class TestGanRecipe(RecipeConformance):
    name = "recipes/gan"
