"""Spectrum and stereo image over the whole song: mean power and cross-power, band by band.

Third octaves are the base-ten ones of IEC 61260-1; the six named bands are whole numbers of them,
so that both views add up. Windows are about 0.37 s: 2.7 Hz a bin, eight bins in the band at 20 Hz.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft, signal

from processors.analysis.histogram import LevelHistogram, decibels

Powers = npt.NDArray[np.float64]
Samples = npt.NDArray[np.float32]

_WINDOW_S = 0.37
_FIRST_BAND, _LAST_BAND = 13, 43  # 20 Hz and 20 kHz as 10^(n/10)
NAMED: dict[str, tuple[int, int]] = {  # first and last third octave of each named band
    "sub": (13, 17),  # 18 - 56 Hz
    "bass": (18, 23),  # 56 - 224 Hz
    "low_mid": (24, 27),  # 224 - 562 Hz
    "mid": (28, 33),  # 562 Hz - 2.2 kHz
    "high_mid": (34, 38),  # 2.2 - 7.1 kHz
    "air": (39, 43),  # 7.1 - 22.4 kHz
}
SILENT_DB = -70.0
"""Windows below this do not count towards the balance."""
_BASS_HZ = 120.0  # below this a master is expected to be mono
_EDGE_DB = 80.0  # a spectrum ends where it stays this far below its strongest part


def centre_hz(band: int) -> float:
    """Centre of third octave ``band`` (n in 10^(n/10))."""
    return float(10 ** (band / 10))


def expected_db(hz: float) -> float:
    """The third-octave level that balanced music has around ``hz``, dB re 100 Hz.

    −2 dB an octave from 100 Hz to 4 kHz (a density of −5 dB an octave), −4 above, level between
    50 and 100 Hz, −8 an octave below: straight lines through the averages of Pestana et al.,
    "Spectral characteristics of popular commercial recordings 1950-2010", AES 135 (2013).
    """
    octaves = np.log2(hz / 100)
    top = np.log2(40)
    falling = -2 * np.clip(octaves, 0, top) - 4 * max(0.0, octaves - top)
    return float(falling + 8 * min(0.0, octaves + 1))


@dataclass(frozen=True, slots=True)
class BandReading:
    """Mean powers of one band: channels together, and of left, right and their product."""

    power: float
    left: float
    right: float
    cross: float
    swing_db: float | None = None

    @property
    def correlation(self) -> float | None:
        """−1 to 1; None when a side is empty."""
        return correlation(self.left, self.right, self.cross)

    @property
    def width(self) -> float | None:
        """Side power over mid and side."""
        return width(self.left, self.right, self.cross)


def correlation(left: float, right: float, cross: float) -> float | None:
    """Pearson at zero lag from mean powers; None when a channel is empty (60 dB below)."""
    if min(left, right) <= 1e-6 * max(left, right):
        return None
    return float(np.clip(cross / np.sqrt(left * right), -1.0, 1.0))


def width(left: float, right: float, cross: float) -> float | None:
    """Side power / (mid + side): 0 for mono, 0.5 for unrelated channels, 1 for inverted ones."""
    both = left + right
    return float(np.clip((both - 2 * cross) / (2 * both), 0.0, 1.0)) if both > 0 else None


class SpectrumMeter:
    """Averages windowed spectra of the first two channels (of all, for the power)."""

    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._stereo = rate, channels == 2
        self._size = 1 << round(np.log2(_WINDOW_S * rate))
        self._hop = self._size // 2
        window = signal.get_window("hann", self._size)
        self._window = window.astype(np.float32)
        # one-sided power that sums to the mean square
        self._scale = 2.0 / (self._size * float(np.sum(window**2)))
        self._tail = np.zeros((channels, 0), np.float32)
        bins = self._size // 2 + 1
        self._power, self._left, self._right, self._cross = (np.zeros(bins) for _ in range(4))
        self._windows = 0
        self._bands = [b for b in range(_FIRST_BAND, _LAST_BAND + 1) if self._holds(b)]
        self._edges = self._band_edges()
        self._swings = {name: LevelHistogram(-140.0, 40.0, 0.1) for name in NAMED}
        self._quietest: tuple[float, Powers | None] = (np.inf, None)

    def _holds(self, band: int) -> bool:
        return 10 ** ((band + 0.5) / 10) <= self._rate / 2 * 1.02

    def _band_edges(self) -> npt.NDArray[np.int64]:
        edges = 10 ** ((np.array([*self._bands, self._bands[-1] + 1]) - 0.5) / 10)
        places = np.round(edges * self._size / self._rate).astype(np.int64)
        kept: npt.NDArray[np.int64] = np.minimum(places, self._size // 2)
        return kept

    def add(self, samples: Samples) -> None:
        """Take in ``(channels, frames)``."""
        waves = np.concatenate([self._tail, samples], axis=1)
        start = 0
        while start + self._size <= waves.shape[1]:
            self._add_window(waves[:, start : start + self._size])
            start += self._hop
        self._tail = waves[:, start:]

    def finish(self) -> None:
        """A song shorter than one window is padded with silence, once."""
        if not self._windows and self._tail.shape[1]:
            missing = self._size - self._tail.shape[1]
            self._add_window(np.pad(self._tail, ((0, 0), (0, missing))))

    def _add_window(self, waves: Samples) -> None:
        level = sum(float(wave @ wave) for wave in waves) / waves.size
        if level <= 10 ** (SILENT_DB / 10):
            return
        spectra = fft.rfft(waves * self._window, axis=1)
        powers = spectra.real**2 + spectra.imag**2
        mean = np.add.reduce(powers, axis=0) / np.float32(len(powers))
        self._power += mean
        if self._stereo:
            self._left += powers[0]
            self._right += powers[1]
            self._cross += spectra[0].real * spectra[1].real + spectra[0].imag * spectra[1].imag
        self._windows += 1
        by_band = self._by_band(mean.astype(np.float64)) * self._scale
        for name, (first, last) in NAMED.items():
            part = np.array([by_band[max(0, first - _FIRST_BAND) : last + 1 - _FIRST_BAND].sum()])
            self._swings[name].add(decibels(part), part)
        if level < self._quietest[0]:
            self._quietest = (level, mean.astype(np.float64))

    def _by_band(self, spectrum: Powers) -> Powers:
        running = np.concatenate([[0.0], np.cumsum(spectrum)])
        sums: Powers = running[self._edges[1:]] - running[self._edges[:-1]]
        return sums

    @property
    def windows(self) -> int:
        """How many windows were not silent."""
        return self._windows

    @property
    def bands(self) -> list[int]:
        """The third octaves below half the rate."""
        return self._bands

    def third_octaves(self) -> dict[int, BandReading]:
        """Mean powers by third octave; empty when everything was silent."""
        if not self._windows:
            return {}
        scale = self._scale / self._windows
        rows = [
            self._by_band(s) * scale for s in (self._power, self._left, self._right, self._cross)
        ]
        return {
            band: BandReading(*(float(row[index]) for row in rows))
            for index, band in enumerate(self._bands)
        }

    @property
    def frequencies_hz(self) -> Powers:
        """Of the bins, from 0 to half the rate."""
        hz: Powers = np.arange(len(self._power)) * (self._rate / self._size)
        return hz

    def third_octaves_db(self, factors: Powers | None = None) -> Powers:
        """Level of each third octave from 20 Hz to 20 kHz, dBFS, behind a filter of these
        ``factors`` at `frequencies_hz`; NaN beyond half the rate."""
        power = self._power if factors is None else self._power * factors**2
        levels = np.full(_LAST_BAND - _FIRST_BAND + 1, np.nan)
        powers = self._by_band(power) * (self._scale / max(self._windows, 1))
        levels[: len(self._bands)] = 10 * np.log10(powers + 1e-20)
        return levels

    def named(self) -> dict[str, BandReading]:
        """Mean powers by named band, of those below half the rate."""
        thirds = self.third_octaves()
        readings = {}
        for name, (first, last) in NAMED.items():
            inside = [thirds[band] for band in range(first, last + 1) if band in thirds]
            if not inside:
                continue
            power = sum(reading.power for reading in inside)
            loud = self._swings[name].percentile(0.95)
            swing = loud - float(decibels(power)) if loud is not None and power > 0 else None
            readings[name] = BandReading(
                power=power,
                left=sum(reading.left for reading in inside),
                right=sum(reading.right for reading in inside),
                cross=sum(reading.cross for reading in inside),
                swing_db=swing,
            )
        return readings

    def bass_width(self) -> float | None:
        """Stereo width below `_BASS_HZ`."""
        if not self._windows or not self._stereo:
            return None
        last = round(_BASS_HZ * self._size / self._rate)
        rows = (self._left, self._right, self._cross)
        return width(*(float(row[1:last].sum()) * self._scale / self._windows for row in rows))

    def highest_hz(self) -> float | None:
        """Where the spectrum ends."""
        if not self._windows:
            return None
        smooth = decibels(np.convolve(self._power, np.ones(9) / 9, mode="same"))
        above = np.flatnonzero(smooth > smooth[2:].max() - _EDGE_DB)
        return float(above[-1] * self._rate / self._size)

    def quiet_flatness(self) -> float | None:
        """Spectral flatness, 200 Hz to 8 kHz, of the quietest window: 1 for white noise."""
        spectrum = self._quietest[1]
        if spectrum is None:
            return None
        first, last = (round(hz * self._size / self._rate) for hz in (200, 8_000))
        part = spectrum[first : min(last, len(spectrum) - 1)]
        grouped = part[: len(part) // 16 * 16].reshape(-1, 16).mean(axis=1) + 1e-30
        return float(np.exp(np.log(grouped).mean()) / grouped.mean())


def deviations(named: dict[str, BandReading]) -> dict[str, float]:
    """How far each band stands off balanced music, dB, with the middle of the song as zero.

    The middle is the mean of low-mid, mid and high-mid, which a heavy bass cannot pull along.
    """
    off = {
        name: float(decibels(reading.power)) - _expected_band(name)
        for name, reading in named.items()
        if reading.power > 0
    }
    middle = [off[name] for name in ("low_mid", "mid", "high_mid") if name in off]
    if not middle:
        return {}
    zero = sum(middle) / len(middle)
    return {name: value - zero for name, value in off.items()}


def tilt(thirds: dict[int, BandReading]) -> float | None:
    """dB an octave by least squares over third octaves between 100 Hz and 10 kHz."""
    kept = [(b, r.power) for b, r in thirds.items() if 20 <= b <= 40 and r.power > 0]
    if len(kept) < 3:
        return None
    octaves = np.array([band / 10 / np.log10(2) for band, _ in kept])
    levels = decibels(np.array([power for _, power in kept]))
    return float(np.polyfit(octaves, levels, 1)[0])


def _expected_band(name: str) -> float:
    first, last = NAMED[name]
    powers = [10 ** (expected_db(centre_hz(band)) / 10) for band in range(first, last + 1)]
    return float(decibels(sum(powers)))
