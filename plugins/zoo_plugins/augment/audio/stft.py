"""From sound to its spectrogram and back, without waiting for the device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import fold


def spectrogram(audio_bcn: Tensor, window: int) -> Tensor:
    """Short-time Fourier transform with a Hann window and a hop of a quarter of it.

    Args:
        audio_bcn: float.
        window: length of the window and the transform in samples.

    Returns:
        (B, C, F, T) complex, F = window // 2 + 1 frequencies, T = N // hop + 1 times.
    """
    hann = torch.hann_window(window, device=audio_bcn.device)
    spectrum = torch.stft(
        audio_bcn.flatten(0, 1), window, window // 4, window=hann, center=True, pad_mode="constant", return_complex=True
    )
    return spectrum.unflatten(0, audio_bcn.shape[:2])


def waveform(spectrogram_bcft: Tensor, window: int, length: int) -> Tensor:
    """The sound of a spectrogram: the inverse of `spectrogram` by overlap and add (Griffin and Lim 1984, equation 6).

    What `torch.istft` gives; that one reads a value back to see that the windows overlap, for which every step would
    have to wait. Hann windows at a quarter of their length do overlap.

    Args:
        spectrogram_bcft: complex.
        window: as of `spectrogram`.
        length: N.

    Returns:
        (B, C, N) float.
    """
    hop = window // 4
    shape, times = spectrogram_bcft.shape[:2], spectrogram_bcft.shape[-1]
    hann = torch.hann_window(window, device=spectrogram_bcft.device)
    pieces = torch.fft.irfft(spectrogram_bcft.flatten(0, 1), n=window, dim=1) * hann.view(1, -1, 1)
    total = window + hop * (times - 1)
    summed = _overlapped(pieces, total, window, hop)
    weight = _overlapped(hann.square().view(1, -1, 1).expand(1, window, times), total, window, hop)
    middle = slice(window // 2, window // 2 + length)
    return (summed[:, middle] / weight[:, middle].clamp_min(1e-11)).unflatten(0, shape)


def _overlapped(pieces: Tensor, total: int, window: int, hop: int) -> Tensor:
    """Pieces (n, window, T) that start every `hop` samples, added up to (n, total)."""
    return fold(pieces, (1, total), kernel_size=(1, window), stride=(1, hop)).flatten(1)
