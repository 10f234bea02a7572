"""A singing voice: speech at a constant pitch, vocoded onto notes.

espeak-ng speaks every word at an exactly known, constant F0, so its spectral envelope can be read
pitch-synchronously (CheapTrick: Morise 2015, "CheapTrick, a spectral envelope estimator") and sung
again as harmonics plus noise at any pitch and length. Consonants keep about their spoken length,
vowels take what is left of the note.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

Signal = npt.NDArray[np.float64]

_VOWELS = frozenset("aeiouyæɐɑɒɔəɚɛɜɝɪɨɵʊʉʌøœɯɤᵻ")
_HOP_S = 0.005
_FFT = 1024
_SPEECH_RATE_WPM = 140
_CONSONANT_STRETCH = 0.75  # espeak lengthens the consonants of words spoken alone
_SHORTEST_VOWEL_S = 0.06


@dataclass(frozen=True, slots=True)
class Voice:
    """A singer: an espeak-ng voice and the pitch it is analysed at."""

    espeak: str
    f0: float
    centre_midi: int


@dataclass(frozen=True, slots=True)
class Note:
    """One syllable's note."""

    midi: float
    seconds: float


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word as spoken: ``pcm`` at ``rate`` Hz, its audible phonemes as (ipa, start, end)."""

    pcm: Signal
    rate: int
    phonemes: tuple[tuple[str, int, int], ...]
    f0: float

    @property
    def syllables(self) -> int:
        """Number of vowels; a word without one is still sung on one note."""
        return max(1, sum(_is_vowel(ipa) for ipa, _, _ in self.phonemes))


def _is_vowel(ipa: str) -> bool:
    return any(letter in _VOWELS for letter in ipa)


def speak(voice: Voice, words: Sequence[str]) -> list[SpokenWord]:
    """Speak each word alone, in a process of its own (espeak-ng is GPL)."""
    request = {
        "voice": voice.espeak,
        "words": list(words),
        "f0": voice.f0,
        "rate": _SPEECH_RATE_WPM,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.song_speech"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"espeak-ng could not speak the test lyrics: {done.stderr.strip()}")
    answer = json.loads(done.stdout)
    rate = int(answer["rate"])
    # espeak's constant F0 is a whole number of samples a period
    exact_f0 = rate / round(rate / voice.f0)
    return [
        _audible(
            np.frombuffer(base64.b64decode(word["pcm"]), dtype=np.int16) / 32768.0,
            rate,
            word["phonemes"],
            exact_f0,
        )
        for word in answer["words"]
    ]


def _audible(pcm: Signal, rate: int, events: list[tuple[str, int]], f0: float) -> SpokenWord:
    """Drop pauses and the silence before a plosive: a word starts where it is first heard."""
    starts = [int(sample) for _, sample in events] + [len(pcm)]
    spans = [(ipa, starts[i], starts[i + 1]) for i, (ipa, _) in enumerate(events) if ipa]
    spans = [span for span in spans if span[2] > span[1]]
    window = rate // 200
    energy = np.sqrt(np.convolve(pcm**2, np.ones(window) / window, mode="same"))
    loud = np.flatnonzero(energy > 0.01 * energy.max())
    first, last = max(int(loud[0]), spans[0][1]), min(int(loud[-1]), spans[-1][2])
    kept = tuple(
        (ipa, max(start, first), min(end, last))
        for ipa, start, end in spans
        if end > first and start < last
    )
    return SpokenWord(pcm, rate, kept, f0)


def _envelopes(word: SpokenWord) -> tuple[Signal, Signal]:
    """Power envelope and voicing (0–1), both ``(frames, bins)``, one frame a ``_HOP_S``."""
    rate, f0, pcm = word.rate, word.f0, word.pcm
    half = round(1.5 * rate / f0)
    period = round(rate / f0)
    window = np.hanning(2 * half + 1)
    window /= np.sqrt(np.sum(window**2))
    padded = np.pad(pcm, half + period)
    centres = np.arange(0, len(pcm), _HOP_S * rate).astype(int) + half + period
    offsets = np.arange(-half, half + 1)
    frames = padded[centres[:, None] + offsets] * window
    spectrum = np.fft.rfft(frames, _FFT)
    earlier = np.fft.rfft(padded[centres[:, None] + offsets - period] * window, _FFT)
    power = np.abs(spectrum) ** 2 + 1e-12

    bin_hz = rate / _FFT
    width = max(1, round(2 / 3 * f0 / bin_hz))
    mirrored = np.pad(power, ((0, 0), (width, width)), mode="reflect")
    running = np.cumsum(np.pad(mirrored, ((0, 0), (1, 0))), axis=1)
    smooth = (running[:, width:] - running[:, :-width]) / width
    lead = width - width // 2
    smooth = smooth[:, lead : lead + power.shape[1]]

    quefrency = np.minimum(np.arange(_FFT), _FFT - np.arange(_FFT)) / rate
    lifter = np.sinc(f0 * quefrency) * (1.18 - 0.18 * np.cos(2 * np.pi * f0 * quefrency))
    cepstrum = np.fft.irfft(np.log(np.maximum(smooth, 1e-12)), _FFT)
    envelope = np.exp(np.fft.rfft(cepstrum * lifter, _FFT).real)

    # a periodic band looks the same one period earlier
    bands = np.minimum((np.arange(power.shape[1]) * bin_hz // 1500).astype(int), 5)
    voicing = np.empty_like(power)
    cross = (spectrum * np.conj(earlier)).real
    both = np.abs(spectrum) ** 2 + np.abs(earlier) ** 2 + 1e-9
    for band in range(6):
        inside = bands == band
        ratio = 2 * cross[:, inside].sum(axis=1) / both[:, inside].sum(axis=1)
        voicing[:, inside] = np.clip((ratio - 0.2) / 0.6, 0, 1)[:, None]
    return envelope, voicing


def _time_map(word: SpokenWord, notes: Sequence[Note]) -> tuple[Signal, Signal, Signal]:
    """Knots (sung seconds, spoken sample) and the times at which each note's pitch begins."""
    total = sum(note.seconds for note in notes)
    spoken = [(end - start) / word.rate for _, start, end in word.phonemes]
    vowels = [_is_vowel(ipa) for ipa, _, _ in word.phonemes]
    if not any(vowels):
        vowels = [True] * len(vowels)
    lengths = np.array(
        [s * (1.0 if v else _CONSONANT_STRETCH) for s, v in zip(spoken, vowels, strict=True)]
    )
    is_vowel = np.array(vowels)
    consonants = float(lengths[~is_vowel].sum())
    left = total - consonants
    count = int(is_vowel.sum())
    if left < count * _SHORTEST_VOWEL_S:  # a crowded note: everything shrinks alike
        lengths[is_vowel] = _SHORTEST_VOWEL_S
        lengths *= total / lengths.sum()
    else:
        weights = np.array([note.seconds for note in notes][:count])
        weights = np.resize(weights, count)
        lengths[is_vowel] = (
            _SHORTEST_VOWEL_S + (left - count * _SHORTEST_VOWEL_S) * weights / weights.sum()
        )
    sung = np.concatenate([[0.0], np.cumsum(lengths)])
    samples = np.array([word.phonemes[0][1]] + [end for _, _, end in word.phonemes], dtype=float)
    return sung, samples, sung[:-1][is_vowel]


def _contour(
    times: Signal, notes: Sequence[Note], begins: Signal, previous: float | None
) -> Signal:
    """F0 in Hz: glides of 60 ms into each note, vibrato once a note has settled."""
    pitch = np.full(times.shape, notes[0].midi, dtype=float)
    for note, begin in zip(notes[1:], begins[1:], strict=False):
        pitch += (note.midi - np.interp(begin, times, pitch)) * _ramp((times - begin) / 0.06)
    if previous is not None:
        pitch += (previous - notes[0].midi) * (1 - _ramp(times / 0.06)) * 0.6
    settled = times - np.max(
        np.where(begins[None, :] <= times[:, None], begins[None, :], 0.0), axis=1
    )
    pitch += 0.25 * np.clip((settled - 0.2) / 0.25, 0, 1) * np.sin(2 * np.pi * 5.4 * times)
    return np.asarray(440.0 * 2 ** ((pitch - 69) / 12), dtype=np.float64)


def _ramp(x: Signal) -> Signal:
    clipped = np.clip(x, 0, 1)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * clipped), dtype=np.float64)


def sing(
    word: SpokenWord,
    notes: Sequence[Note],
    rate: int,
    random: np.random.Generator,
    previous_midi: float | None = None,
) -> Signal:
    """One word on its notes: mono at ``rate`` Hz, exactly as long as the notes together."""
    sung, samples, begins = _time_map(word, notes)
    hop = round(_HOP_S * word.rate)
    frames = int(np.ceil(sung[-1] / _HOP_S)) + 1
    times = np.arange(frames, dtype=np.float64) * _HOP_S
    source = np.interp(times, sung, samples) / hop

    envelope, voicing = _envelopes(word)
    low = np.clip(source.astype(int), 0, len(envelope) - 2)
    part = np.clip(source - low, 0, 1)[:, None]
    log_power = np.log(envelope)
    power = np.exp(log_power[low] * (1 - part) + log_power[low + 1] * part)
    voiced = voicing[low] * (1 - part) + voicing[low + 1] * part
    f0 = _contour(times, notes, begins, previous_midi)

    count = round(sung[-1] * word.rate)
    signal = _harmonics(power * voiced, f0, count, word.rate, hop)
    signal += _noise(power * (1 - voiced), count, word.rate, hop, random)
    fade = min(round(0.008 * word.rate), count // 4)
    signal[:fade] *= np.linspace(0, 1, fade)
    signal[-fade:] *= np.linspace(1, 0, fade)
    wanted = round(sum(note.seconds for note in notes) * rate)
    resampled = np.asarray(soxr.resample(signal, word.rate, rate), dtype=np.float64)
    return np.pad(resampled, (0, max(0, wanted - len(resampled))))[:wanted]


def _harmonics(power: Signal, f0: Signal, count: int, rate: int, hop: int) -> Signal:
    grid = np.arange(len(f0)) * hop
    at = np.arange(count)
    phase = 2 * np.pi * np.cumsum(np.interp(at, grid, f0)) / rate
    signal = np.zeros(count)
    bins = np.arange(power.shape[1]) * rate / _FFT
    frame = np.arange(len(f0))
    for k in range(1, int(rate / 2 / f0.min()) + 1):
        where = k * f0
        index = np.clip(where / bins[1], 0, len(bins) - 2)
        low = index.astype(int)
        part = index - low
        at_harmonic = power[frame, low] * (1 - part) + power[frame, low + 1] * part
        amplitude = np.sqrt(4 * at_harmonic * f0 / rate) * (where < 0.48 * rate)
        # a fixed phase curve keeps the pulses from piling up into clicks (Schroeder 1970)
        signal += np.interp(at, grid, amplitude) * np.sin(k * phase + np.pi * k * k / 40)
    return signal


def _noise(power: Signal, count: int, rate: int, hop: int, random: np.random.Generator) -> Signal:
    size = 4 * hop
    window = np.sqrt(np.hanning(size + 1)[:-1])
    noise = random.standard_normal((len(power) + 8) * hop)
    signal = np.zeros((len(power) + 8) * hop)
    bins = np.linspace(0, power.shape[1] - 1, size // 2 + 1).astype(int)
    gain = np.sqrt(power[:, bins])
    for i in range(len(power)):
        span = slice(i * hop, i * hop + size)
        shaped = np.fft.irfft(np.fft.rfft(noise[span] * window) * gain[i], size)
        signal[span] += shaped * window / 2
    return signal[size // 2 : size // 2 + count]
