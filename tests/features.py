"""Sounds whose features are known exactly: beats, melodies, cadences, forms, noises.

Made from arithmetic alone, so that the truth is what was written and not what somebody heard. The
same seed makes the same samples. All are mono, `RATE` Hz, float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy import signal

RATE = 44_100

Wave = npt.NDArray[np.float64]
Groove = Literal["metronome", "four", "rock", "waltz", "ballad", "bass"]
GROOVES: tuple[Groove, ...] = get_args(Groove)
Colour = Literal["white", "pink", "brown", "band"]
COLOURS: tuple[Colour, ...] = get_args(Colour)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """``beats`` and ``downbeats`` in seconds; ``bpm`` of the beats, None when it changes."""

    wave: Wave
    bpm: float
    groove: Groove
    beats: Wave
    downbeats: Wave


def rhythm(
    seed: int,
    *,
    bpm: float | None = None,
    end_bpm: float | None = None,
    groove: Groove | None = None,
    seconds: float = 30.0,
    jitter_s: float = 0.003,
) -> Rhythm:
    """A groove at one tempo (or gliding to ``end_bpm``), played by hands that miss by a few ms."""
    random = np.random.default_rng(seed)
    groove = groove or GROOVES[int(random.integers(len(GROOVES)))]
    bpm = float(random.uniform(40, 220)) if bpm is None else bpm
    lead_in = float(random.uniform(0.05, 1.5))
    if end_bpm is None:
        beats = np.arange(lead_in, seconds - 0.05, 60 / bpm)
    else:
        beats = _gliding(bpm, end_bpm, lead_in, seconds)
    bar = 3 if groove == "waltz" else 4
    wave = np.zeros(round(seconds * RATE))
    root = int(random.integers(36, 48))
    chords = (0, 5, 7, 9)
    loud = float(random.uniform(0.5, 1.0))
    sounds = _Kit(random)
    for index, start in enumerate(beats.tolist()):
        length = float(beats[index + 1] - start) if index + 1 < len(beats) else 60 / bpm
        place, chord = index % bar, root + chords[index // bar % 4]
        for sound, part, gain in _beat(groove, place, chord, length, sounds, random):
            at = start + part * length + float(random.normal(0, jitter_s))
            _put(wave, sound, at, gain * loud * float(random.uniform(0.85, 1.1)))
    wave += 10 ** (-60 / 20) * random.standard_normal(len(wave))
    wave *= 0.7 / max(1.0, float(np.abs(wave).max()))
    return Rhythm(wave, bpm, groove, beats, beats[::bar])


def _gliding(first: float, last: float, lead_in: float, seconds: float) -> Wave:
    """Beats of a tempo that changes in a straight line over the piece."""
    time = np.arange(0, seconds - lead_in, 1e-3)
    rate = np.interp(time, [0, time[-1]], [first, last]) / 60
    count = np.cumsum(rate) * 1e-3
    beats: Wave = lead_in + np.interp(np.arange(int(count[-1]) + 1), count, time)
    return beats


class _Kit:
    """Kick, snare, hat, click, and plucked notes."""

    def __init__(self, random: np.random.Generator) -> None:
        t = np.arange(round(0.35 * RATE)) / RATE
        noise = random.standard_normal(len(t))
        self.kick = np.sin(2 * np.pi * (48 * t + 3.0 * (1 - np.exp(-t * 30)))) * np.exp(-t * 12)
        self.kick += 0.2 * noise * np.exp(-t * 400)
        self.snare = noise * np.exp(-t * 22) * 0.7 + np.sin(380 * np.pi * t) * np.exp(-t * 25)
        self.hat = np.diff(noise, append=0.0) * np.exp(-t * 60)
        self.click = np.sin(2 * np.pi * 1000 * t) * np.exp(-t * 150)
        self.accent = np.sin(2 * np.pi * 1500 * t) * np.exp(-t * 150)

    def pluck(self, midi: float, seconds: float) -> Wave:
        return tone(midi, min(max(seconds, 0.1), 2.0), decay=4.0, attack_s=0.004)


def _beat(
    groove: Groove, place: int, chord: int, length: float, kit: _Kit, random: np.random.Generator
) -> list[tuple[Wave, float, float]]:
    """What is played in one beat: (sound, part of the beat, gain)."""
    if groove == "metronome":
        return [(kit.accent if place == 0 else kit.click, 0.0, 1.0 if place == 0 else 0.7)]
    if groove == "four":
        hits = [(kit.kick, 0.0, 1.0), (kit.hat, 0.5, 0.2)]
        if place % 2:
            hits.append((kit.snare, 0.0, 0.4))
        if place == 0:
            hits += [(kit.pluck(chord + 12 + n, 4 * length), 0.0, 0.15) for n in (0, 4, 7)]
        return hits
    if groove == "rock":
        hits = [(kit.hat, 0.0, 0.2), (kit.hat, 0.5, 0.15)]
        hits.append((kit.snare, 0.0, 0.6) if place % 2 else (kit.kick, 0.0, 1.0))
        if place == 2 and random.uniform() < 0.5:
            hits.append((kit.kick, 0.5, 0.6))
        hits.append((kit.pluck(chord, length), 0.0, 0.4))
        return hits
    if groove == "waltz":
        if place == 0:
            return [(kit.pluck(chord, 2 * length), 0.0, 0.8)]
        return [(kit.pluck(chord + 12 + n, length), 0.0, 0.25) for n in (0, 4, 7)]
    if groove == "ballad":
        hits = [(kit.pluck(chord + 12 + n, length), 0.0, 0.25) for n in (0, 4, 7)]
        if place % 2 == 0:
            hits.append((kit.pluck(chord, 2 * length), 0.0, 0.6))
        hits.append((kit.pluck(chord + 24 + (0, 4, 7, 12)[place], length / 2), 0.5, 0.1))
        return hits
    step = (0, 7, 12, 7)[place]
    return [(kit.pluck(chord + step, length), 0.0, 0.7), (kit.hat, 0.0, 0.15)]


@dataclass(frozen=True, slots=True)
class Melody:
    """``times`` (s, every 10 ms) and ``hz`` there, 0 where nothing sounds."""

    wave: Wave
    times: Wave
    hz: Wave
    notes: tuple[tuple[float, float, float], ...]  # MIDI, start_s, end_s


def melody(
    seed: int,
    *,
    notes: int = 16,
    low: float = 41.0,
    high: float = 81.0,
    vibrato_hz: float = 0.0,
    vibrato_cents: float = 0.0,
    tuning_cents: float = 0.0,
    glide_s: float = 0.0,
    level_db: float = -12.0,
    noise_db: float = -70.0,
) -> Melody:
    """Sung-like notes with rests: 1/n partials through a formant, vibrato, slides."""
    random = np.random.default_rng(seed)
    spans: list[tuple[float, float, float]] = []
    at = 0.3
    pitch = float(random.uniform(low, high))
    for _ in range(notes):
        pitch = float(np.clip(round(pitch + random.integers(-5, 6)), low, high))
        length = float(random.uniform(0.3, 1.2))
        spans.append((pitch + tuning_cents / 100, at, at + length))
        at += length + float(random.choice([0.0, 0.0, 0.15, 0.4]))
    frames = round((at + 0.4) * RATE)
    midi = np.full(frames, np.nan)
    for pitch, start, end in spans:
        midi[round(start * RATE) : round(end * RATE)] = pitch
    sounding = ~np.isnan(midi)
    held = np.interp(np.arange(frames), np.flatnonzero(sounding), midi[sounding])
    if glide_s:
        box = np.hanning(max(3, round(glide_s * RATE)))
        held = signal.fftconvolve(np.pad(held, len(box), mode="edge"), box / box.sum(), "same")
        held = held[len(box) : -len(box)]
    time = np.arange(frames) / RATE
    held = held + vibrato_cents / 100 * np.sin(2 * np.pi * vibrato_hz * time)
    hz = 440 * 2 ** ((held - 69) / 12)
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    wave = np.zeros(frames)
    for n in range(1, 13):
        inside = n * hz < 0.45 * RATE
        formant = 1 / n * (1 + 1.5 * np.exp(-(((n * hz - 700) / 300) ** 2)))
        wave += np.where(inside, formant * np.sin(n * phase), 0.0)
    envelope = np.zeros(frames)
    ramp = round(0.015 * RATE)
    for _, start, end in spans:
        first, last = round(start * RATE), round(end * RATE)
        note = np.minimum(1, np.arange(last - first) / ramp)
        envelope[first:last] = note * np.minimum(1, np.arange(last - first)[::-1] / ramp)
    wave *= envelope
    wave *= 10 ** (level_db / 20) / np.abs(wave).max()
    wave += 10 ** (noise_db / 20) * random.standard_normal(frames)
    times = np.arange(0, frames / RATE, 0.01)
    places = np.minimum(np.round(times * RATE).astype(int), frames - 1)
    return Melody(wave, times, np.where(envelope[places] > 0, hz[places], 0.0), tuple(spans))


@dataclass(frozen=True, slots=True)
class Cadence:
    """``key`` as mir_eval writes it: ``C# minor``."""

    wave: Wave
    key: str
    tuning_cents: float


NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_MAJOR, _MINOR = (0, 4, 7), (0, 3, 7)
_CADENCES: dict[str, tuple[tuple[tuple[int, tuple[int, ...]], ...], ...]] = {
    "major": (
        ((0, _MAJOR), (5, _MAJOR), (7, _MAJOR), (0, _MAJOR)),
        ((0, _MAJOR), (9, _MINOR), (2, _MINOR), (7, _MAJOR), (0, _MAJOR)),
        ((0, _MAJOR), (2, _MINOR), (7, (0, 4, 7, 10)), (0, _MAJOR)),
    ),
    "minor": (
        ((0, _MINOR), (5, _MINOR), (7, _MAJOR), (0, _MINOR)),
        ((0, _MINOR), (8, _MAJOR), (5, _MINOR), (7, _MAJOR), (0, _MINOR)),
        ((0, _MINOR), (5, _MINOR), (7, (0, 4, 7, 10)), (0, _MINOR)),
    ),
}


def cadence(seed: int, *, tuning_cents: float | None = None) -> Cadence:
    """A full cadence twice, in any key, voicing and tuning, with a melody of chord notes."""
    random = np.random.default_rng(seed)
    tonic, mode = int(random.integers(12)), str(random.choice(["major", "minor"]))
    tuning = float(random.uniform(-40, 40)) if tuning_cents is None else tuning_cents
    chords = _CADENCES[mode][int(random.integers(3))]
    length = float(random.uniform(0.6, 1.2))
    wave = np.zeros(round((2 * len(chords) * length + 1.5) * RATE))
    for index, (degree, intervals) in enumerate(chords * 2):
        root = 48 + (tonic + degree) % 12
        last = 2.0 if index == 2 * len(chords) - 1 else 1.0
        voices = [root - 12, *(root + each + 12 * int(random.integers(2)) for each in intervals)]
        voices.append(root + 24 + int(random.choice(intervals)))
        for voice in voices:
            sound = tone(voice + tuning / 100, length * last, decay=1.0, tilt=1.2)
            _put(wave, sound, index * length, 0.12 * float(random.uniform(0.7, 1.2)))
    return Cadence(wave, f"{NAMES[tonic]} {mode}", tuning)


def form(seed: int, letters: str = "ABAB", seconds: float = 15.0) -> tuple[Wave, list[float]]:
    """Parts that sound alike where the letters are the same; with the times of the borders."""
    random = np.random.default_rng(seed)
    parts: dict[str, Wave] = {}
    for letter in sorted(set(letters)):
        wave = np.zeros(round(seconds * RATE))
        root, beat = int(random.integers(40, 52)), float(random.uniform(0.4, 0.6))
        degrees = random.permutation([0, 2, 5, 7, 9, 10])[:4]
        bright = letter in "BD"
        for index in range(int(seconds / beat)):
            note = root + int(degrees[index // 4 % 4])
            for voice in (0, 7, 12, 16):
                sound = tone(note + voice, beat, decay=2.0, tilt=0.6 if bright else 1.6)
                _put(wave, sound, index * beat, 0.15)
            if bright:
                _put(wave, random.standard_normal(2000) * np.exp(-np.arange(2000) / 400),
                     index * beat, 0.4)  # fmt: skip
        parts[letter] = wave
    borders = [place * seconds for place in range(len(letters) + 1)]
    return np.concatenate([parts[letter] for letter in letters]), borders


def tone(
    midi: float, seconds: float, *, decay: float = 0.0, tilt: float = 1.0, attack_s: float = 0.01
) -> Wave:
    """Partials that fall by 1/n^tilt, dying away by ``decay`` nepers a second."""
    time = np.arange(round(seconds * RATE)) / RATE
    hz = 440 * 2 ** ((midi - 69) / 12)
    count = max(1, min(16, int(0.45 * RATE / hz)))
    wave = sum(np.sin(2 * np.pi * n * hz * time) / n**tilt for n in range(1, count + 1))
    envelope = np.minimum(1, time / attack_s) * np.minimum(1, time[::-1] / 0.01)
    made: Wave = np.asarray(wave) * envelope * np.exp(-decay * time)
    return made


def noise(seed: int, colour: Colour, *, seconds: float = 8.0, level_db: float = -20.0) -> Wave:
    """Noise of a colour: flat, −3, −6 dB an octave, or an octave around 300 Hz."""
    random = np.random.default_rng(seed)
    frames = round(seconds * RATE)
    spectrum = np.fft.rfft(random.standard_normal(frames))
    hz = np.maximum(np.fft.rfftfreq(frames, 1 / RATE), 20.0)
    spectrum *= {
        "white": np.ones_like(hz),
        "pink": hz**-0.5,
        "brown": hz**-1.0,
        "band": ((hz > 200) & (hz < 450)).astype(float),
    }[colour]
    wave = np.fft.irfft(spectrum, frames)
    made: Wave = wave * 10 ** (level_db / 20) / np.sqrt(np.mean(wave**2))
    return made


def silence(seconds: float = 5.0) -> Wave:
    """Nothing."""
    return np.zeros(round(seconds * RATE))


def _put(wave: Wave, sound: Wave, at_s: float, gain: float) -> None:
    start = max(0, round(at_s * RATE))
    end = min(len(wave), start + len(sound))
    if end > start:
        wave[start:end] += gain * sound[: end - start]


def joined(parts: Sequence[Wave]) -> Wave:
    """One after another."""
    return np.concatenate(parts)
