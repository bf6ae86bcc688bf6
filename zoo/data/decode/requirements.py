"""Whether this machine has what a decoder needs; what it lacks is no film's fault."""

from __future__ import annotations

from zoo.data.decode.film import Decoder, no_device


def check_decoder(decoder: Decoder) -> None:
    """See that a decoder can work here, before the first film is opened with it.

    Other devices than `cuda` are looked for when the first film is opened: a device that was opened in one process is
    of no use in those forked from it.

    Raises:
        MissingExtra: TorchCodec is not installed, or finds no FFmpeg libraries that it can load.
        RunError: there is no CUDA device.

    Example:
        >>> check_decoder(Decoder())
    """
    import torch

    if decoder.name == "torchcodec":
        from zoo.data.decode.torchcodec_frames import decoder_class

        decoder_class()
    if decoder.hardware == "cuda" and not torch.cuda.is_available():
        raise no_device("cuda", "PyTorch finds none")
