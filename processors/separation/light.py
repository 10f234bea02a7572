"""Separation without weights: repeating background, centre, then a multichannel Wiener filter.

Three things that are true of most songs are used, none of them learnt:

1. The band repeats itself and the voice doesn't. For every frame the most similar other frames
   of the segment are looked up, and their median is what the band plays there (REPET-SIM: Rafii
   and Pardo, "Music/voice separation using the similarity matrix", ISMIR 2012).
2. The voice is mixed to the centre, so the share of a bin that only the side channel can
   explain isn't voice (centre extraction, in the manner of Avendano and Jot 2004).
3. The voice has nothing below its lowest notes.

Their product is a first estimate of the voice. What is left over gives the band's covariance
around every bin, and the multichannel Wiener filter of both (Duong, Vincent and Gribonval 2010,
"Under-determined reverberant audio source separation using a full-rank spatial covariance
model") takes the place of the hard product. Without a second channel the filter is the plain
Wiener filter, and only the first and third cue remain.

A song is worked through in segments, so memory doesn't grow with its length beyond the stems.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from processors.audio.samples import Audio, Samples
from processors.separation.separator import Progress, Stems
from processors.separation.spectrum import Magnitude, Spectrum, Transform

_LOWEST_RATE_HZ = 8_000
_WINDOW_S = 0.093  # 4096 at 44.1 kHz, the window of the REPET papers
_SEGMENT_S = 60.0  # holds several rounds of a 4- to 8-bar pattern at any tempo
_OVERLAP_S = 2.0
_SIMILAR_FRAMES = 15  # odd, so that the median is one of them
_APART_S = 1.0  # two similar frames closer than this are the same event
_FEWEST_FRAMES = 3  # with fewer the median is the frame itself: nothing is known to repeat
_LOWEST_VOICE_HZ = (80.0, 120.0)  # silent below, untouched above: E2 is 82 Hz
_NEIGHBOURHOOD = (5, 3)  # frames x bins over which covariances are averaged
_DIFFUSE = np.float32(1e-3)  # share of sound from everywhere; keeps float32 inverses sound
_BLOCK_FRAMES = 256  # bounds the temporaries; also how often progress is told
_TINY = np.float32(1e-10)  # -100 dB below a segment scaled to full scale


class LightSeparator:
    """Centre and repeating-background separation; no model files, deterministic."""

    name = "light"
    model = "repet-sim-centre-mwf/1"
    hash = ""
    device = "cpu"
    gpu_mib = 0
    fallback = ""

    def separate(self, mix: Audio, progress: Progress) -> Stems:
        """Separate a mono or stereo mix of any rate from 8 kHz; see ``Separator``."""
        if mix.channels not in (1, 2):
            raise ValueError(f"separation takes mono or stereo, not {mix.channels} channels")
        if mix.rate < _LOWEST_RATE_HZ:
            raise ValueError(f"separation needs at least {_LOWEST_RATE_HZ} Hz, not {mix.rate}")
        vocals = in_segments(mix, _voice_of, progress)
        return Stems(Audio(vocals, mix.rate), Audio(mix.samples - vocals, mix.rate))


def in_segments(
    mix: Audio, find: Callable[[Samples, int, Progress], Samples], progress: Progress
) -> Samples:
    """What ``find(samples, rate, progress)`` finds in each segment, faded into one another.

    Spectra of a whole song would take several times its memory.
    """
    found = np.zeros_like(mix.samples)
    segments = _segments(mix.frames, round(_SEGMENT_S * mix.rate), round(_OVERLAP_S * mix.rate))
    for index, (start, end) in enumerate(segments):

        def within(share: float, done: int = index) -> None:
            progress((done + share) / len(segments))

        part = find(mix.samples[:, start:end], mix.rate, within)
        overlap = segments[index - 1][1] - start if index else 0
        ramp = (np.arange(overlap, dtype=np.float32) + 0.5) / np.float32(max(overlap, 1))
        found[:, start : start + overlap] *= 1 - ramp
        part[:, :overlap] *= ramp
        found[:, start:end] += part
    progress(1.0)
    return found


def _segments(frames: int, longest: int, overlap: int) -> list[tuple[int, int]]:
    """Equal spans that overlap and cover the song, none longer than ``longest``."""
    if frames <= longest:
        return [(0, frames)] if frames else []
    count = -(-(frames - overlap) // (longest - overlap))
    length = -(-(frames + (count - 1) * overlap) // count)
    starts = np.linspace(0, frames - length, count).astype(int)
    return [(int(start), int(start) + length) for start in starts]


def _voice_of(samples: Samples, rate: int, progress: Progress) -> Samples:
    peak = np.float32(np.abs(samples).max())
    if peak == 0:
        return np.zeros_like(samples)
    transform = Transform(4 * max(1, round(_WINDOW_S * rate / 4)))
    mix = transform.forward(samples / peak)
    passband = _voice_band(mix.shape[2], rate)

    middle = np.abs(mix.mean(axis=0)) * passband
    apart = max(1, round(_APART_S * rate / transform.hop))
    background = _repeating(middle, apart, lambda share: progress(0.8 * share))
    mask = passband * (1 - background / (middle + _TINY))
    if len(mix) == 2:
        mask *= _centre(mix)
    voice = mix * mask
    _wiener(mix, voice, passband, lambda share: progress(0.8 + 0.2 * share))
    found = transform.inverse(voice, samples.shape[1])
    found *= peak
    return found


def _voice_band(bins: int, rate: int) -> Magnitude:
    low, high = _LOWEST_VOICE_HZ
    hertz = np.linspace(0, rate / 2, bins, dtype=np.float32)
    gain: Magnitude = np.clip((hertz - low) / (high - low), 0, 1)
    return gain


def _repeating(magnitude: Magnitude, apart: int, progress: Progress) -> Magnitude:
    """What repeats in a ``(frames, bins)`` spectrogram; at most the spectrogram itself."""
    frames = len(magnitude)
    audible = magnitude[magnitude > 0]
    if audible.size == 0:
        return np.zeros_like(magnitude)
    features = np.log1p(magnitude / np.median(audible))
    features /= np.linalg.norm(features, axis=1, keepdims=True) + _TINY
    repeating = np.empty_like(magnitude)
    for first in range(0, frames, _BLOCK_FRAMES):
        block = slice(first, min(first + _BLOCK_FRAMES, frames))
        for offset, row in enumerate(features[block] @ features.T):
            similar: list[int] = []
            while len(similar) < _SIMILAR_FRAMES:
                best = int(row.argmax())
                if row[best] == -np.inf:
                    break
                similar.append(best)
                row[max(0, best - apart) : best + apart + 1] = -np.inf
            repeating[first + offset] = _median(magnitude[similar])
        progress(block.stop / frames)
    return np.minimum(repeating, magnitude, out=repeating)


def _median(frames: Magnitude) -> Magnitude:
    if len(frames) < _FEWEST_FRAMES:
        return np.zeros_like(frames[0])
    half = len(frames) // 2
    middle: Magnitude = np.partition(frames, half, axis=0)[half]
    return middle


def _centre(mix: Spectrum) -> Magnitude:
    """The share of each bin's power that the side channel leaves unexplained."""
    left, right = mix
    middle = _around(np.abs(left + right) ** 2)
    side = _around(np.abs(left - right) ** 2)
    share: Magnitude = np.clip(1 - side / (middle + _TINY), 0, 1)
    return share


def _around(values: Magnitude) -> Magnitude:
    return ndimage.uniform_filter(values, _NEIGHBOURHOOD, mode="nearest")


def _wiener(mix: Spectrum, voice: Spectrum, passband: Magnitude, progress: Progress) -> None:
    """Replace the first estimate ``voice`` by the Wiener filter that it and the rest imply."""
    spatial = _spatial(voice)
    frames = mix.shape[1]
    halo = _NEIGHBOURHOOD[0] // 2
    before: Spectrum = voice[:, :0]  # the estimate's last frames, before they were replaced
    for first in range(0, frames, _BLOCK_FRAMES):
        last = min(first + _BLOCK_FRAMES, frames)
        end = min(last + halo, frames)
        estimate = np.concatenate([before, voice[:, first:end]], axis=1)
        lead = before.shape[1]
        before = voice[:, max(first, last - halo) : last].copy()
        seen = mix[:, first - lead : end]
        filtered = _filtered(seen, estimate, spatial)
        voice[:, first:last] = filtered[:, lead : lead + last - first] * passband
        progress(last / frames)


def _spatial(voice: Spectrum) -> tuple[Magnitude, Magnitude, Spectrum]:
    """The voice's spatial covariance at each frequency, with a mean power of 1 a channel."""
    left, right = voice[0], voice[-1]
    power_left = np.mean(np.abs(left) ** 2, axis=0)
    power_right = np.mean(np.abs(right) ** 2, axis=0)
    scale = 2 / (power_left + power_right + _TINY**2)
    cross = np.mean(left * right.conj(), axis=0)
    return power_left * scale, power_right * scale, cross * scale


def _filtered(
    mix: Spectrum, voice: Spectrum, spatial: tuple[Magnitude, Magnitude, Spectrum]
) -> Spectrum:
    rest = mix - voice
    power = ndimage.uniform_filter1d(
        np.mean(np.abs(voice) ** 2, axis=0), _NEIGHBOURHOOD[1], axis=0, mode="nearest"
    )
    if len(mix) == 1:
        gain = power / (power + _around(np.abs(rest[0]) ** 2) + _TINY)
        scaled: Spectrum = mix * gain
        return scaled
    voice_left, voice_right = power * spatial[0], power * spatial[1]
    voice_cross = power * spatial[2]
    both = rest[0] * rest[1].conj()
    rest_left, rest_right = _around(np.abs(rest[0]) ** 2), _around(np.abs(rest[1]) ** 2)
    diffuse = _DIFFUSE * (rest_left + rest_right + voice_left + voice_right) + _TINY
    left = voice_left + rest_left + diffuse
    right = voice_right + rest_right + diffuse
    cross = voice_cross + _around(both.real) + 1j * _around(both.imag)
    # the 2 x 2 inverse written out: numpy's batched one is ten times slower
    determinant = left * right - np.abs(cross) ** 2
    white_left = (right * mix[0] - cross * mix[1]) / determinant
    white_right = (left * mix[1] - cross.conj() * mix[0]) / determinant
    return np.stack(
        [
            voice_left * white_left + voice_cross * white_right,
            voice_cross.conj() * white_left + voice_right * white_right,
        ]
    )
