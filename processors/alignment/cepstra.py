"""Mel cepstra exactly as pocketsphinx's English model was trained on them (``feat.params``).

16 kHz, a 25.6 ms Hamming window every 10 ms, 25 mel filters from 130 to 6800 Hz, 13 liftered
cepstra, their first and second differences over ±2 frames. Source: sphinxbase ``fe_sigproc.c``,
``feat.c`` (type ``1s_c_d_dd``).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import soxr

from processors.audio.samples import Audio

Floats = npt.NDArray[np.float32]

RATE = 16_000
HOP = 160
FRAME_MS = 10
_WINDOW = 410  # 0.025625 s
_FFT = 512
_FILTERS = 25
_LOW_HZ, _HIGH_HZ = 130.0, 6800.0
_CEPSTRA = 13
_LIFTER = 22
_PREEMPHASIS = 0.97
_FULL_SCALE = 32768.0  # the model heard 16-bit samples
_CHUNK = 8192  # frames: bounds the spectra in memory (8192 x 512 complex64 = 32 MB)


def at_model_rate(audio: Audio) -> Floats:
    """Mono at 16 kHz, ``(samples,) float32``."""
    mono = audio.mono()
    if audio.rate == RATE:
        return mono
    resampled: Floats = soxr.resample(mono, audio.rate, RATE).astype(np.float32)
    return resampled


def cepstra(mono: Floats) -> Floats:
    """13 cepstra a frame, ``(frames, 13) float32``; frame ``t`` is centred on ``t * 10 ms``.

    The centring (half a window of padding in front) is ours: sphinx puts the window's start there,
    which would date every boundary 12.8 ms early.
    """
    padded = np.pad(mono * np.float32(_FULL_SCALE), (_WINDOW // 2, _WINDOW + _WINDOW // 2))
    emphasised = padded.copy()
    emphasised[1:] -= np.float32(_PREEMPHASIS) * padded[:-1]
    frames = -(-len(mono) // HOP)
    windows = np.lib.stride_tricks.sliding_window_view(emphasised, _WINDOW)[::HOP][:frames]
    shape = np.hamming(_WINDOW).astype(np.float32)
    out = np.empty((frames, _CEPSTRA), np.float32)
    for at in range(0, frames, _CHUNK):
        spectrum = np.fft.rfft(windows[at : at + _CHUNK] * shape, _FFT)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        mel = np.log(power @ _mel_filters() + _POWER_FLOOR)
        out[at : at + _CHUNK] = mel @ _dct()
    return out


_POWER_FLOOR = np.float32(_WINDOW * 0.4 / 12 * 2)
"""Power in a mel filter of 16-bit rounding noise (variance 1/12, Hamming energy 0.4 a sample).

Digital silence would give cepstra that no training frame had; sphinx dithers for the same reason,
a constant is deterministic."""


def features(statics: Floats) -> Floats:
    """Cepstra with first and second differences, ``(frames, 39) float32``.

    ``statics`` should already be mean-normalised.
    """
    frames = len(statics)
    padded = np.pad(statics, ((3, 3), (0, 0)), mode="edge")

    def shifted(by: int) -> Floats:
        return padded[3 + by : 3 + by + frames]

    delta = shifted(2) - shifted(-2)
    second = (shifted(3) - shifted(-1)) - (shifted(1) - shifted(-3))
    return np.concatenate([statics, delta, second], axis=1)


@cache
def _mel_filters() -> Floats:
    """``(257, 25)`` triangles of unit area, their corners on FFT bins (``round_filters``)."""

    def mel(hz: float) -> float:
        return float(2595.0 * np.log10(1.0 + hz / 700.0))

    corners_mel = np.linspace(mel(_LOW_HZ), mel(_HIGH_HZ), _FILTERS + 2)
    bin_hz = RATE / _FFT
    corners = np.floor(700.0 * (10.0 ** (corners_mel / 2595.0) - 1.0) / bin_hz + 0.5) * bin_hz
    hz = np.arange(_FFT // 2 + 1) * bin_hz
    filters = np.zeros((_FFT // 2 + 1, _FILTERS), np.float32)
    for i in range(_FILTERS):
        low, peak, high = corners[i : i + 3]
        rise, fall = (hz - low) / (peak - low), (high - hz) / (high - peak)
        filters[:, i] = np.clip(np.minimum(rise, fall), 0.0, None) * (2.0 / (high - low))
    return filters


@cache
def _dct() -> Floats:
    """``(25, 13)`` orthonormal DCT-II followed by the sinusoidal lifter."""
    order = np.arange(_CEPSTRA)
    cosines = np.cos(np.pi / _FILTERS * np.outer(np.arange(_FILTERS) + 0.5, order))
    cosines[:, 0] *= np.sqrt(1.0 / _FILTERS)
    cosines[:, 1:] *= np.sqrt(2.0 / _FILTERS)
    lifter = 1.0 + _LIFTER / 2 * np.sin(order * np.pi / _LIFTER)
    liftered: Floats = (cosines * lifter).astype(np.float32)
    return liftered
