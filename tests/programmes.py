"""Programmes whose truth is known: genres, levels, rates, mono and stereo, faults of known depth.

Not songs that anyone would like, but with what meters and processors react to: beats, a bass line,
chords and a melody in stereo, breaks, and a spectrum that is pulled to what music of the genre
has. The same seed makes the same samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal

from processors.audio.samples import Audio

Genre = Literal["pop", "rock", "edm", "jazz", "classical", "acoustic", "ambient", "podcast"]
GENRES: tuple[Genre, ...] = get_args(Genre)
Fault = Literal["pumping", "clipping", "hum", "dc", "narrow", "bass"]
FAULTS: tuple[Fault, ...] = get_args(Fault)

DEPTHS: Mapping[Fault, tuple[float, float]] = {
    "pumping": (6.0, 12.0),  # dB that everything but the drums ducks after each beat
    "clipping": (3.0, 9.0),  # dB that the peaks are driven beyond the flat top
    "hum": (-40.0, -25.0),  # dBFS RMS of the mains series, for a programme at −20 dBFS RMS
    "dc": (0.003, 0.05),  # offset, full scale = 1
    "narrow": (18.0, 40.0),  # dB that the side signal is turned down
    "bass": (9.0, 15.0),  # dB of a shelf below 200 Hz
}
RATES = (44_100, 48_000, 88_200, 96_000, 192_000)

_Mono = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Style:
    bpm: tuple[float, float]
    drums: float
    bass: float
    chords: float
    lead: float
    low_db: float  # what the genre has more below 150 Hz than the average
    high_db: float  # … and above 5 kHz
    rms_dbfs: tuple[float, float]
    pulse: bool = True
    four_on_the_floor: bool = False


_STYLES: Mapping[Genre, _Style] = {
    "pop": _Style((90, 130), 0.9, 0.5, 0.5, 0.5, 0.5, 1.0, (-18, -9)),
    "rock": _Style((100, 150), 1.0, 0.5, 0.8, 0.4, -0.5, 0.5, (-18, -9)),
    "edm": _Style((120, 140), 1.0, 0.7, 0.7, 0.3, 2.5, 1.5, (-16, -8), four_on_the_floor=True),
    "jazz": _Style((80, 180), 0.4, 0.6, 0.4, 0.6, -1.0, -1.5, (-26, -16)),
    "classical": _Style((60, 120), 0.0, 0.4, 0.8, 0.6, -3.0, -3.0, (-32, -18), pulse=False),
    "acoustic": _Style((70, 120), 0.2, 0.3, 0.8, 0.7, -1.5, 0.0, (-26, -15)),
    "ambient": _Style((60, 80), 0.0, 0.4, 1.0, 0.2, -1.0, -2.0, (-32, -18), pulse=False),
    "podcast": _Style((60, 80), 0.0, 0.0, 0.0, 1.0, -4.0, -1.0, (-28, -16), pulse=False),
}


@dataclass(frozen=True, slots=True)
class Programme:
    """A made song, what it is, and what was planted into it."""

    name: str
    genre: Genre
    bpm: float
    audio: Audio
    faults: Mapping[Fault, float]

    def blocks(self, frames: int = 1 << 16) -> Iterator[npt.NDArray[np.float32]]:
        """``(frames, channels) float32`` as a file reader would give them."""
        samples = self.audio.samples.T
        for start in range(0, len(samples), frames):
            yield samples[start : start + frames]


def make(
    seed: int,
    *,
    genre: Genre | None = None,
    rate: int = 44_100,
    channels: int = 2,
    seconds: float = 12.0,
    rms_dbfs: float | None = None,
    faults: Mapping[Fault, float] | None = None,
) -> Programme:
    """A programme; ``faults`` maps what is planted to its depth in the unit of `DEPTHS`.

    Clean programmes peak at about −1 dBFS at most: what is louder is limited without flat tops.
    """
    random = np.random.default_rng(seed)
    planted = dict(faults or {})
    genre = genre or GENRES[int(random.integers(len(GENRES)))]
    style = _STYLES[genre]
    bpm = float(random.uniform(*style.bpm))
    level = random.uniform(*style.rms_dbfs)
    level = level if rms_dbfs is None else rms_dbfs
    frames = round(seconds * rate)

    drums, music = (
        _drums(random, style, bpm, rate, frames),
        _music(random, style, bpm, rate, frames),
    )
    wide = 10 ** (-planted.get("narrow", 0.0) / 20)
    drums, music = _shaped(random, style, drums, music, rate)
    if "pumping" in planted:
        music = music * _duck(bpm, rate, frames, planted["pumping"])
    mix = drums + music
    if channels == 1:
        mix = mix.mean(axis=0, keepdims=True)
    else:
        mid, side = (mix[0] + mix[1]) / 2, (mix[0] - mix[1]) / 2 * wide
        mix = np.stack([mid + side, mid - side])
    if "bass" in planted:
        mix = _shelf(mix, rate, 200.0, planted["bass"])
    mix *= 10 ** (level / 20) / np.sqrt(np.mean(mix**2))
    if "hum" in planted:
        mix = mix + _hum(random, rate, frames, planted["hum"] + level + 20.0)
    mix = _limited(mix, rate, 10 ** (-1 / 20))
    mix -= mix.mean(axis=1, keepdims=True)  # limiting a lopsided wave leaves an offset
    if "clipping" in planted:
        top = np.abs(mix).max() * 10 ** (-planted["clipping"] / 20)
        ceiling = float(random.choice([1.0, 1.0, 0.891, 0.5]))
        mix = np.clip(mix, -top, top) * (ceiling / top)
    if "dc" in planted:
        sign = random.choice([-1.0, 1.0])
        mix = mix * min(1.0, (0.999 - planted["dc"]) / np.abs(mix).max()) + sign * planted["dc"]
    told = "+".join(f"{fault} {depth:.3g}" for fault, depth in planted.items()) or "clean"
    name = f"{genre} {seed} {rate} Hz {channels} ch {told}"
    return Programme(name, genre, bpm, Audio(mix.astype(np.float32), rate), planted)


def clean(count: int, *, seed: int = 0, seconds: float = 12.0) -> Iterator[Programme]:
    """``count`` programmes over all genres; every sixth in mono, every fifth at another rate."""
    for index in range(count):
        yield make(
            seed + index,
            genre=GENRES[index % len(GENRES)],
            rate=RATES[index // 5 % len(RATES)] if index % 5 == 4 else 44_100,
            channels=1 if index % 6 == 5 else 2,
            seconds=seconds,
        )


def planted(
    fault: Fault, count: int, *, seed: int = 10_000, seconds: float = 12.0
) -> Iterator[Programme]:
    """``count`` programmes with one fault, its depth spread over `DEPTHS`.

    Only where the fault makes sense: nothing pumps without a beat, a voice alone has no bass, and
    mono has no width.
    """
    genres = {
        "pumping": tuple(g for g in GENRES if _STYLES[g].pulse and _STYLES[g].chords >= 0.4),
        "bass": tuple(g for g in GENRES if _STYLES[g].bass),
    }.get(fault, GENRES)
    for index, depth in enumerate(np.linspace(*DEPTHS[fault], count)):
        yield make(
            seed + index,
            genre=genres[index % len(genres)],
            rate=48_000 if index % 5 == 4 else 44_100,
            channels=1 if index % 6 == 5 and fault != "narrow" else 2,
            seconds=seconds,
            faults={fault: float(depth)},
        )


def quieter(programme: Programme, gain_db: float) -> Programme:
    """The same with a gain, in dB."""
    samples = programme.audio.samples * np.float32(10 ** (gain_db / 20))
    return replace(programme, audio=Audio(samples, programme.audio.rate))


def _drums(random: np.random.Generator, style: _Style, bpm: float, rate: int, frames: int) -> _Mono:
    """Kick, snare and hats ``(2, frames)``: centre, centre, and a little to one side."""
    out = np.zeros((2, frames))
    if style.drums == 0:
        return out
    t = np.arange(round(0.3 * rate)) / rate
    kick = np.sin(2 * np.pi * (48 * t + 3.0 * (1 - np.exp(-t * 30)))) * np.exp(-t * 12)
    kick += 0.3 * random.standard_normal(len(t)) * np.exp(-t * 400)
    snare = random.standard_normal(len(t)) * np.exp(-t * 22) + np.sin(380 * np.pi * t) * np.exp(
        -t * 25
    )
    hat = np.diff(random.standard_normal(len(t) + 1)) * np.exp(-t * 60)
    step = 60 / bpm / 2  # eighths
    for index in range(int(frames / rate / step)):
        start = round(index * step * rate)
        on_beat, beat = index % 2 == 0, index // 2
        hits = [(hat, 0.25 if on_beat else 0.35, 0.6)]
        if on_beat and (style.four_on_the_floor or beat % 2 == 0):
            hits.append((kick, 1.0, 0.5))
        if on_beat and beat % 2 == 1:
            hits.append((snare, 0.5, 0.5))
        for sound, loud, pan in hits:
            end = min(frames, start + len(sound))
            hit = sound[: end - start] * loud * random.uniform(0.85, 1.0)
            out[0, start:end] += hit * np.sqrt(1 - pan)
            out[1, start:end] += hit * np.sqrt(pan)
    return out * style.drums


def _music(random: np.random.Generator, style: _Style, bpm: float, rate: int, frames: int) -> _Mono:
    """Bass, chords and lead ``(2, frames)`` with a quieter verse before a louder half."""
    out = np.zeros((2, frames))
    beat = 60 / bpm
    root = int(random.integers(28, 40))  # MIDI, E1 to Eb2
    steps = random.permutation([0, 5, 7, 9])
    bar = 4 * beat
    for index in range(int(np.ceil(frames / rate / bar))):
        note = root + int(steps[index % 4])
        if style.bass:
            for quarter in range(4):
                out += style.bass * _tone(random, rate, frames, note, (index + quarter / 4) * bar,
                                          beat * 0.9, 6, 0.0)  # fmt: skip
        if style.chords:
            for interval, pan in ((12, -0.8), (16, 0.7), (19, -0.5), (24, 0.9)):
                out += 0.4 * style.chords * _tone(random, rate, frames, note + interval,
                                                  index * bar, bar, 14, pan)  # fmt: skip
        at = index * bar
        while style.lead and at < (index + 1) * bar:
            length = beat * float(random.choice([0.5, 1.0, 1.5]))
            if random.uniform() < 0.8:
                pitch = note + 24 + int(random.choice([0, 2, 4, 7, 9, 12]))
                out += 0.6 * style.lead * _tone(random, rate, frames, pitch, at, length * 0.9, 20,
                                                float(random.uniform(-0.3, 0.3)))  # fmt: skip
            at += length
    breath = 0.01 * random.standard_normal((2, frames))
    swell = np.interp(np.arange(frames), [0, 0.45 * frames, 0.5 * frames, frames], [0.6, 0.6, 1, 1])
    music: _Mono = (out + breath * np.abs(out).max() * 0.1) * swell
    return music


def _tone(
    random: np.random.Generator, rate: int, frames: int, midi: int,
    start_s: float, length_s: float, partials: int, pan: float,
) -> _Mono:  # fmt: skip
    """One note ``(2, frames)``, the channels apart in phase as in a room."""
    first = round(start_s * rate)
    count = min(round(length_s * rate), frames - first)
    out = np.zeros((2, frames))
    if count <= 0:
        return out
    t = np.arange(count) / rate
    hz = 440 * 2 ** ((midi - 69 + random.uniform(-0.08, 0.08)) / 12)
    envelope = np.minimum(1, t / 0.01) * np.minimum(1, (t[-1] - t + 1e-9) / 0.03) * np.exp(-t * 0.8)
    base = np.exp(2j * np.pi * hz * t + 0.15j * np.sin(2 * np.pi * 5.2 * t))
    power = np.ones_like(base)
    for partial in range(1, min(partials, int(0.45 * rate / hz)) + 1):
        power = power * base
        left, right = np.exp(2j * np.pi * random.uniform(0, 0.45, 2)) / partial
        out[0, first : first + count] += (power * left).imag
        out[1, first : first + count] += (power * right).imag
    out[:, first : first + count] *= envelope
    out[0] *= np.sqrt((1 - pan) / 2)
    out[1] *= np.sqrt((1 + pan) / 2)
    return out


def _shaped(
    random: np.random.Generator, style: _Style, drums: _Mono, music: _Mono, rate: int
) -> tuple[_Mono, _Mono]:
    """Both through one filter that gives their sum the spectrum of the genre, ± 1.5 dB.

    Third-octave levels fall by 2 dB an octave from 100 Hz to 4 kHz, by 4 above, by 8 below 50 Hz:
    roughly the average spectrum of recordings in Pestana et al., AES 135 (2013).
    """
    frames = drums.shape[1]
    spectrum = np.abs(np.fft.rfft((drums + music).mean(axis=0) + 1e-9)) ** 2
    hz = np.fft.rfftfreq(frames, 1 / rate)
    centres = 10 ** (np.arange(13, 44) / 10)
    centres = centres[centres * 10**0.05 < rate / 2]
    gains = []
    for centre in centres:
        inside = (hz >= centre * 10**-0.05) & (hz < centre * 10**0.05)
        octaves = np.log2(centre / 100)
        wanted = -2 * np.clip(octaves, 0, 5.32) - 4 * max(0, octaves - 5.32)
        wanted += 8 * min(0, octaves + 1)
        wanted += style.low_db * (centre < 150) + style.high_db * (centre > 5_000)
        wanted += random.normal(0, 1.5)
        gains.append(wanted - 10 * np.log10(spectrum[inside].sum() + 1e-12))
    curve = ndimage.gaussian_filter1d(np.array(gains), 0.7)
    gain = 10 ** (np.interp(np.log(hz + 1e-3), np.log(centres), curve) / 20)
    gain[hz < 15] = 0
    shape = (len(drums), frames)
    shaped = [np.fft.irfft(np.fft.rfft(part) * gain, frames) for part in (drums, music)]
    assert shaped[0].shape == shape
    return shaped[0], shaped[1]


def _duck(bpm: float, rate: int, frames: int, depth_db: float) -> _Mono:
    """A compressor keyed by the kick: down in 10 ms at the beat, back over half a beat."""
    beat = 60 / bpm
    phase = np.arange(frames) / rate % beat
    down = np.minimum(1, phase / 0.01)
    back = np.clip((phase - 0.06) / (0.55 * beat), 0, 1)
    gain: _Mono = 10 ** (-depth_db * down * (1 - back) / 20)
    return gain


def _shelf(mix: _Mono, rate: int, hz: float, gain_db: float) -> _Mono:
    """A low shelf of slope 1 (Bristow-Johnson's audio EQ cookbook)."""
    a = 10 ** (gain_db / 40)
    w = 2 * np.pi * hz / rate
    alpha, c = np.sin(w) / 2 * np.sqrt(2), np.cos(w)
    root = 2 * np.sqrt(a) * alpha
    b = [a * (a + 1 - (a - 1) * c + root), 2 * a * (a - 1 - (a + 1) * c),
         a * (a + 1 - (a - 1) * c - root)]  # fmt: skip
    d = [a + 1 + (a - 1) * c + root, -2 * (a - 1 + (a + 1) * c), a + 1 + (a - 1) * c - root]
    filtered: _Mono = np.asarray(signal.lfilter(b, d, mix, axis=1))
    return filtered


def _hum(random: np.random.Generator, rate: int, frames: int, rms_dbfs: float) -> _Mono:
    """50 or 60 Hz with four harmonics, each 4 dB below the one before, on average."""
    base = float(random.choice([50.0, 60.0]))
    t = np.arange(frames) / rate
    series = sum(
        10 ** ((-4 * k + random.normal(0, 1)) / 20)
        * np.sin(2 * np.pi * base * (k + 1) * t + random.uniform(0, 6.28))
        for k in range(5)
    )
    hum: _Mono = np.asarray(series)
    hum *= 10 ** (rms_dbfs / 20) / np.sqrt(np.mean(hum**2))
    return hum


def _limited(mix: _Mono, rate: int, ceiling: float) -> _Mono:
    """Peaks brought down smoothly over 5 ms; no sample is flattened."""
    over = np.minimum(1, ceiling / np.maximum(np.abs(mix).max(axis=0), 1e-9))
    if over.min() == 1:
        return mix
    window = round(0.005 * rate) | 1
    gain = ndimage.uniform_filter1d(ndimage.minimum_filter1d(over, window), window)
    limited: _Mono = mix * gain
    return limited
