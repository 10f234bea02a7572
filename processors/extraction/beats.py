"""Beats from an onset envelope: which pulse, and where it falls.

The pulse is searched window by window in the autocorrelation and followed through the song by a
best path; the beats are then placed by dynamic programming (Ellis, "Beat tracking by dynamic
programming", JNMR 36, 2007) around the period of the moment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

Curve = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

SLOWEST_BPM, FASTEST_BPM = 35.0, 240.0
"""Beyond these people tap another level (London, "Hearing in Time", 2004)."""

_STEP = 1.01  # between periods that are tried
_WINDOW_S, _WINDOW_HOP_S = 12.0, 3.0
_AS_STRONG = ((130.0, 0.65), (240.0, 0.80))
"""(BPM, share): a faster pulse is the beat when it explains at least this share of what the best
one does. Every multiple of the beat's period explains as much as the beat, so strength alone would
count in half notes; a subdivision explains about half. The faster, the more is asked."""
_MULTIPLE = 0.5  # what is left of a period that a faster beat explains
_CHANGE = 6.0  # what an octave of tempo change costs between windows, in autocorrelation
_TIGHTNESS = 100.0  # Ellis' α: what an interval costs that is off the period
_MOST_CANDIDATES = 5
FAINT = 0.2
"""Mean autocorrelation below which there is no pulse: noise and drones stay under 0.12."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to count: beats a minute, and its share of what speaks for any, 0 to 1."""

    bpm: float
    weight: float


@dataclass(frozen=True, slots=True)
class Pulse:
    """``periods`` of the beat in frames for every frame; ``clarity`` 0 to 1."""

    periods: Curve
    clarity: float
    candidates: tuple[Candidate, ...]


def autocorrelation(envelope: Curve, longest: int) -> Curve:
    """Unbiased, 1 at lag 0, up to lag ``longest``; zeros for a constant."""
    centred = envelope - envelope.mean()
    size = int(fft.next_fast_len(len(centred) + longest + 1, real=True))
    spectrum = fft.rfft(centred, size)
    raw = fft.irfft(spectrum.real**2 + spectrum.imag**2, size)[: longest + 1]
    if raw[0] <= 1e-12:
        return np.zeros(longest + 1)
    overlap = 1 - np.arange(longest + 1) / len(centred)
    # lags that fewer than a quarter of the window can show prove little
    return np.asarray(np.where(overlap > 0, raw / raw[0] / np.maximum(overlap, 0.25), 0.0))


def _periods(frame_rate: float) -> Curve:
    fastest, slowest = frame_rate * 60 / FASTEST_BPM, frame_rate * 60 / SLOWEST_BPM
    count = round(np.log(slowest / fastest) / np.log(_STEP))
    grid: Curve = np.geomspace(fastest, slowest, count + 1)
    return grid


def _salience(envelope: Curve, periods: Curve) -> Curve:
    """The mean autocorrelation at one, two, three and four of each period."""
    correlation = autocorrelation(envelope, int(4 * periods[-1]) + 2)
    lags = np.arange(len(correlation))
    rows = [np.interp(k * periods, lags, correlation) for k in (1, 2, 3, 4)]
    return np.asarray(np.mean(rows, axis=0))


def _levelled(salience: Curve, periods: Curve, frame_rate: float) -> Curve:
    """Salience with what a faster beat explains turned down, ``(windows, periods)``."""
    bpm = 60 * frame_rate / periods
    (slow, least), (fast, most) = _AS_STRONG
    share = np.interp(np.log(bpm), np.log([slow, fast]), [least, most])
    best = ndimage.maximum_filter1d(salience, 3, axis=1)  # a grid point to either side
    kept = salience.copy()
    places = np.log(periods)
    for divisor in (2, 3, 4, 5, 6):  # 35 to 240 BPM hold no more
        faster = places - np.log(divisor)
        inside = faster >= places[0] - 1e-9
        at = np.clip(np.round(np.interp(faster, places, np.arange(len(places)))), 0, None)
        index = at.astype(np.int64)[inside]
        explained = best[:, index] >= share[index] * salience[:, inside]
        kept[:, inside] = np.where(
            explained, np.minimum(kept[:, inside], _MULTIPLE * salience[:, inside]),
            kept[:, inside],
        )  # fmt: skip
    return kept


def pulse(envelope: Curve, frame_rate: float) -> Pulse | None:
    """The beat's period through the song; None where there is no pulse."""
    size, hop = round(_WINDOW_S * frame_rate), round(_WINDOW_HOP_S * frame_rate)
    periods = _periods(frame_rate)
    if len(envelope) < 2 * periods[0]:
        return None
    starts = range(0, max(1, len(envelope) - size + hop), hop)
    cuts = [(start, min(start + size, len(envelope))) for start in starts]
    cuts = [(max(0, end - size), end) for _, end in cuts]
    salience = np.array([_salience(envelope[start:end], periods) for start, end in cuts])
    # a pulse that a quiet intro lacks is not held against the rest
    loud = np.array([envelope[start:end].std() for start, end in cuts])
    salience *= (loud > 0.1 * max(loud.max(), 1e-12))[:, None]
    levelled = _levelled(salience, periods, frame_rate)
    path = _path(levelled, np.log2(periods))
    rows = np.arange(len(cuts))
    heard = salience[rows, path]
    weights = loud * (heard > 0)
    clarity = float(heard @ weights / weights.sum()) if weights.sum() > 0 else 0.0
    if clarity < FAINT:
        return None
    centres = [(start + end) / 2 for start, end in cuts]
    exact = np.array([_peak(levelled[row], periods, place) for row, place in enumerate(path)])
    return Pulse(
        np.interp(np.arange(len(envelope)), centres, exact),
        min(1.0, clarity),
        _candidates(levelled.mean(axis=0), periods, frame_rate, float(np.median(exact))),
    )


def _path(scores: Curve, octaves: Curve) -> Places:
    """The best period of each window, changes being dear (Viterbi)."""
    change = _CHANGE * np.abs(octaves[:, None] - octaves[None, :])
    # a step of the grid, half a semitone of tempo in three seconds, is free
    change = np.maximum(change - _CHANGE * 1.5 * np.log2(_STEP), 0.0)
    total = scores[0].copy()
    back = np.zeros(scores.shape, np.int64)
    for window in range(1, len(scores)):
        ways = total[None, :] - change
        back[window] = ways.argmax(axis=1)
        total = scores[window] + ways[np.arange(len(octaves)), back[window]]
    path = np.zeros(len(scores), np.int64)
    path[-1] = int(total.argmax())
    for window in range(len(scores) - 1, 0, -1):
        path[window - 1] = back[window, path[window]]
    return path


def _peak(row: Curve, periods: Curve, place: int) -> float:
    """The period at the top of the parabola through a grid point and its neighbours."""
    if not 0 < place < len(row) - 1:
        return float(periods[place])
    left, top, right = row[place - 1 : place + 2].tolist()
    bend = left - 2 * top + right
    shift = 0.5 * (left - right) / bend if bend < -1e-9 else 0.0
    return float(periods[place] * (periods[1] / periods[0]) ** float(np.clip(shift, -1, 1)))


def _candidates(
    mean: Curve, periods: Curve, frame_rate: float, chosen: float
) -> tuple[Candidate, ...]:
    """The tops of the levelled salience; the chosen one is among them."""
    tops = np.flatnonzero((mean[1:-1] > mean[:-2]) & (mean[1:-1] >= mean[2:])) + 1
    found = [(_peak(mean, periods, int(top)), max(float(mean[top]), 0.0)) for top in tops]
    found = [each for each in found if abs(np.log2(each[0] / chosen)) > 0.04]
    own = float(np.interp(chosen, periods, ndimage.maximum_filter1d(mean, 5)))
    found = sorted(found, key=lambda each: -each[1])[: _MOST_CANDIDATES - 1]
    found = sorted([(chosen, own), *found], key=lambda each: -each[1])
    whole = sum(weight for _, weight in found) or 1.0
    return tuple(Candidate(60 * frame_rate / period, weight / whole) for period, weight in found)


def track(envelope: Curve, periods: Curve) -> Curve:
    """The beats in frames (with fractions): strong places at the distance of the moment."""
    count = len(envelope)
    middle = float(np.median(periods))
    # a beat is a peak of some width, so that neighbouring frames compete
    local = ndimage.gaussian_filter1d(envelope, middle / 32)
    spread = float(local.std())
    if count < 3 or spread <= 0:
        return np.zeros(0)
    local = local / spread
    total, before = _chained(local, periods)
    peaks = np.flatnonzero((total[1:-1] > total[:-2]) & (total[1:-1] >= total[2:])) + 1
    if not len(peaks):
        return np.zeros(0)
    strong = peaks[total[peaks] >= 0.5 * float(np.median(total[peaks]))]
    at, found = int(strong[-1]), []
    while at >= 0:
        found.append(at)
        at = before[at]
    beats = np.array(found[::-1], np.int64)
    loud = np.flatnonzero(local[beats] > 0.5 * np.sqrt(np.mean(local[beats] ** 2)))
    if not len(loud):
        return np.zeros(0)
    return refined(envelope, beats[loud[0] : loud[-1] + 1])


def _chained(local: Curve, periods: Curve) -> tuple[Curve, list[int]]:
    """For each frame: the best score of a chain of beats that ends there, and the beat before."""
    count = len(local)
    reach = int(2 * periods.max()) + 1
    total = np.zeros(count + reach)
    before = [-1] * count
    threshold, started = 0.01 * float(local.max()), False
    costs: dict[int, tuple[npt.NDArray[np.int64], Curve]] = {}
    quarters = np.round(4 * periods).astype(np.int64).tolist()
    for at, (here, quarter) in enumerate(zip(local.tolist(), quarters, strict=True)):
        if quarter not in costs:
            period = quarter / 4
            back = np.arange(-round(2 * period), -max(1, round(period / 2)) + 1)
            costs[quarter] = back, -_TIGHTNESS * np.log(-back / period) ** 2
        back, cost = costs[quarter]
        first = at + reach + int(back[0])
        scores = total[first : first + len(back)] + cost
        best = int(scores.argmax())
        started = started or here >= threshold
        total[at + reach] = here + (scores[best] if started else 0.0)
        if started and at + back[best] >= 0:  # nothing is followed before the first sound
            before[at] = at + int(back[best])
    return total[reach:], before


def refined(envelope: Curve, places: Places) -> Curve:
    """Each place moved to the nearest top of the envelope, between frames by a parabola."""
    near = np.clip(places[:, None] + np.arange(-2, 3), 0, len(envelope) - 1)
    tops = near[np.arange(len(places)), envelope[near].argmax(axis=1)]
    inner = np.clip(tops, 1, len(envelope) - 2)
    left, top, right = envelope[inner - 1], envelope[inner], envelope[inner + 1]
    bend = left - 2 * top + right
    shift = np.divide(0.5 * (left - right), bend, out=np.zeros(len(places)), where=bend < -1e-12)
    moved = inner + np.clip(shift, -0.5, 0.5)
    # two beats never share a top
    return np.asarray(moved[np.concatenate([[True], np.diff(moved) > 1])])
