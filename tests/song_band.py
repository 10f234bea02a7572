"""A synthesised band: drums, bass, two guitars, a pad and a lead, spread over the stereo image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

Signal = npt.NDArray[np.float64]
RATE = 44_100

_MAJOR = (0, 2, 4, 5, 7, 9, 11)
_MINOR = (0, 2, 3, 5, 7, 8, 10)
_PROGRESSIONS = ((0, 4, 5, 3), (5, 3, 0, 4), (0, 5, 3, 4), (0, 3, 5, 4), (0, 2, 3, 4))
_DRUMS = (  # sixteenths of a bar: kick, snare, hat
    ((0, 8, 10), (4, 12), (0, 2, 4, 6, 8, 10, 12, 14)),
    ((0, 6, 8), (4, 12), (2, 6, 10, 14)),
    ((0, 7, 10), (4, 12), tuple(range(16))),
)


@dataclass(frozen=True, slots=True)
class Harmony:
    """Key, tempo and chords of a song; one chord a bar."""

    tonic_midi: int
    minor: bool
    progression: tuple[int, ...]
    bpm: float

    @property
    def beat_s(self) -> float:
        """Length of a beat in seconds."""
        return 60.0 / self.bpm

    @property
    def bar_s(self) -> float:
        """Length of a 4/4 bar in seconds."""
        return 4 * self.beat_s

    def scale(self, degree: int) -> int:
        """MIDI note of a scale degree; degrees run on over octaves."""
        steps = _MINOR if self.minor else _MAJOR
        return self.tonic_midi + 12 * (degree // 7) + steps[degree % 7]

    def chord(self, bar: int) -> tuple[int, int, int]:
        """Scale degrees of the triad of a bar."""
        root = self.progression[bar % len(self.progression)]
        return root, root + 2, root + 4


def compose(random: np.random.Generator, bpm: tuple[float, float]) -> Harmony:
    """Draw a key, a tempo in the given range and a progression."""
    return Harmony(
        tonic_midi=int(random.integers(45, 57)),
        minor=bool(random.random() < 0.4),
        progression=_PROGRESSIONS[int(random.integers(len(_PROGRESSIONS)))],
        bpm=float(round(random.uniform(*bpm), 1)),
    )


def pan(mono: Signal, position: float) -> Signal:
    """Constant-power pan; −1 is left, 1 is right. Returns ``(2, frames)``."""
    angle = (position + 1) * np.pi / 4
    return np.stack([np.cos(angle) * mono, np.sin(angle) * mono])


def reverb(dry: Signal, seconds: float, random: np.random.Generator) -> Signal:
    """The wet part of a stereo room for a ``(2, frames)`` signal, as long as the signal."""
    length = int(seconds * RATE)
    decay = np.exp(-6.9 * np.arange(length) / length)
    room = random.standard_normal((2, length)) * decay
    room[:, : int(0.012 * RATE)] = 0  # pre-delay
    room = sosfilt(butter(2, [200, 6000], "bandpass", fs=RATE, output="sos"), room)
    room /= np.sqrt(np.sum(room**2, axis=1, keepdims=True))
    wet = fftconvolve(dry, room, axes=1)[:, : dry.shape[1]]
    return np.asarray(wet, dtype=np.float64)


def _hz(midi: float) -> float:
    return float(440.0 * 2 ** ((midi - 69) / 12))


def _add(track: Signal, at_s: float, sound: Signal) -> None:
    start = max(0, round(at_s * RATE))
    room = track.shape[-1] - start
    if room > 0:
        track[..., start : start + sound.shape[-1]] += sound[..., :room]


def _pluck(midi: float, seconds: float, random: np.random.Generator, bright: float) -> Signal:
    """A plucked string (Karplus and Strong 1983), its loop filter as one IIR."""
    frequency = _hz(midi)
    period = round(RATE / frequency)
    burst = np.zeros(int(seconds * RATE))
    burst[:period] = random.uniform(-1, 1, period)
    burst[:period] = lfilter([1 - bright], [1, -bright], burst[:period])
    loop = np.zeros(period + 2)
    loop[0] = 1
    loop[period] = loop[period + 1] = -0.4985
    string = np.asarray(lfilter([1.0], loop, burst), dtype=np.float64)
    string *= np.minimum(1, np.arange(len(string))[::-1] / (0.02 * RATE))
    return np.asarray(string / (np.abs(string).max() + 1e-9), dtype=np.float64)


def _saw(midi: float, seconds: float, cut_hz: float, detune: float, phase: float) -> Signal:
    t = np.arange(int(seconds * RATE)) / RATE
    frequency = _hz(midi + detune)
    tone = np.zeros(len(t))
    for k in range(1, max(2, int(min(cut_hz * 3, 12_000) / frequency))):
        gain = 1 / k / np.sqrt(1 + (k * frequency / cut_hz) ** 4)
        tone += gain * np.sin(2 * np.pi * k * (frequency * t + phase))
    return tone


def _shaped(sound: Signal, attack_s: float, release_s: float) -> Signal:
    frames = np.arange(len(sound)) / RATE
    left = frames[::-1]
    envelope = np.minimum(1, frames / attack_s) * np.minimum(1, left / release_s)
    return np.asarray(sound * envelope, dtype=np.float64)


def _kick() -> Signal:
    t = np.arange(int(0.25 * RATE)) / RATE
    phase = 2 * np.pi * (50 * t + 90 * 0.03 * (1 - np.exp(-t / 0.03)))
    return np.asarray(np.sin(phase) * np.exp(-t / 0.08), dtype=np.float64)


def _snare(random: np.random.Generator) -> Signal:
    t = np.arange(int(0.2 * RATE)) / RATE
    noise = random.standard_normal(len(t))
    noise = sosfilt(butter(2, 1200, "highpass", fs=RATE, output="sos"), noise)
    return np.asarray(
        0.5 * noise * np.exp(-t / 0.06) + 0.6 * np.sin(2 * np.pi * 190 * t) * np.exp(-t / 0.05),
        dtype=np.float64,
    )


def _hat(random: np.random.Generator) -> Signal:
    t = np.arange(int(0.08 * RATE)) / RATE
    noise = sosfilt(
        butter(4, 7000, "highpass", fs=RATE, output="sos"), random.standard_normal(len(t))
    )
    return np.asarray(noise * np.exp(-t / 0.02), dtype=np.float64)


def play(
    harmony: Harmony, bars: int, lead_bars: Sequence[int], random: np.random.Generator
) -> Signal:
    """The whole accompaniment, ``(2, frames)``; a lead melody plays in ``lead_bars``."""
    track = np.zeros((2, int((bars * harmony.bar_s + 1.0) * RATE)))
    _drums(track, harmony, bars, random)
    _bass(track, harmony, bars, random)
    _guitars(track, harmony, bars, random)
    _pad(track, harmony, bars, random)
    _lead(track, harmony, lead_bars, random)
    track += 0.12 * reverb(track, 1.2, random)
    return track


def _late(random: np.random.Generator) -> float:
    """A player's timing error in seconds."""
    return float(np.clip(random.normal(0, 0.004), -0.012, 0.012))


def _drums(track: Signal, harmony: Harmony, bars: int, random: np.random.Generator) -> None:
    kicks, snares, hats = _DRUMS[int(random.integers(len(_DRUMS)))]
    kick = _kick()
    snare_hits = [_snare(random) for _ in range(4)]
    hat_hits = [_hat(random) for _ in range(6)]
    hat_side = float(random.uniform(-0.5, 0.5))
    step = harmony.beat_s / 4
    for bar in range(bars):
        start = bar * harmony.bar_s
        extra = (13, 14, 15) if bar % 4 == 3 else ()
        for at in kicks:
            _add(track, start + at * step, pan(random.uniform(0.6, 0.75) * kick, 0))
        for at in (*snares, *extra):
            hit = snare_hits[int(random.integers(4))]
            level = random.uniform(0.3, 0.42) * (0.5 if at in extra else 1)
            _add(track, start + at * step + _late(random), pan(level * hit, 0.05))
        for at in hats:
            hit = hat_hits[int(random.integers(6))]
            level = random.uniform(0.08, 0.16)
            _add(track, start + at * step + _late(random), pan(level * hit, hat_side))


def _bass(track: Signal, harmony: Harmony, bars: int, random: np.random.Generator) -> None:
    pattern = [float(b) for b in np.flatnonzero(random.random(8) < 0.6) / 2] or [0.0]
    pattern = sorted({0.0, *pattern})
    for bar in range(bars):
        root = harmony.scale(harmony.chord(bar)[0])
        midi = 28 + (root - 28) % 12
        for beat, following in zip(pattern, [*pattern[1:], 4.0], strict=True):
            length = (following - beat) * harmony.beat_s * 0.92
            note = _shaped(_saw(midi, length, 300, 0, 0), 0.008, 0.05)
            at = bar * harmony.bar_s + beat * harmony.beat_s + _late(random)
            _add(track, at, pan(random.uniform(0.22, 0.27) * note, 0))


def _guitars(track: Signal, harmony: Harmony, bars: int, random: np.random.Generator) -> None:
    spread = float(random.uniform(0.45, 0.85))
    strums = sorted({0, *(int(s) for s in np.flatnonzero(random.random(8) < 0.55))})
    for bar in range(bars):
        tones = [harmony.scale(d) for d in harmony.chord(bar)]
        voicing = sorted(48 + (tone - 48) % 12 for tone in tones)
        for eighth in strums:
            for side in (-spread, spread):
                at = bar * harmony.bar_s + eighth * harmony.beat_s / 2 + _late(random)
                level = random.uniform(0.09, 0.14)
                for string, midi in enumerate((*voicing, voicing[0] + 12)):
                    sound = _pluck(midi, 0.9, random, 0.35)
                    _add(track, at + 0.008 * string, pan(level * sound, side))


def _pad(track: Signal, harmony: Harmony, bars: int, random: np.random.Generator) -> None:
    level = float(random.uniform(0.02, 0.04))
    for bar in range(bars):
        for degree in harmony.chord(bar):
            midi = 60 + (harmony.scale(degree) - 60) % 12
            for side, detune in ((-0.8, -0.06), (0.8, 0.07)):
                tone = _saw(midi, harmony.bar_s, 1500, detune, float(random.random()))
                sound = _shaped(tone, 0.15, 0.2)
                _add(track, bar * harmony.bar_s, pan(level * sound, side))


def _lead(
    track: Signal, harmony: Harmony, lead_bars: Sequence[int], random: np.random.Generator
) -> None:
    side = float(random.uniform(-0.3, 0.3))
    for bar in lead_bars:
        beat = 0.0
        degree = harmony.chord(bar)[int(random.integers(3))] + 7
        while beat < 4:
            length = float(random.choice([0.5, 0.5, 1.0, 1.5]))
            tone = _saw(harmony.scale(degree) + 12, length * harmony.beat_s * 0.9, 2500, 0, 0)
            _add(
                track,
                bar * harmony.bar_s + beat * harmony.beat_s,
                pan(0.1 * _shaped(tone, 0.01, 0.08), side),
            )
            degree += int(random.integers(-2, 3))
            beat += length
