"""Mastering towards a reference: which curve, loudness, dynamics and width would bring a song
there, how much of it is wise, and what is wrong with the reference.

The curve moves third octaves, smoothly, by at most `MATCH_LIMIT_DB`; what it does to each band
is foreseen on the song's fine spectrum and corrected until band levels meet their aim (a slope
within a band weighs its loud end). Loudness becomes the goal of the limiter, dynamics an
expander or a broad compressor, width a factor per band.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from processors.rendering.equaliser import curve_at
from processors.rendering.filters import Curve
from processors.rendering.profiles import WIDTH_BANDS_HZ, Profile
from schemas.documents.chain import (
    MATCH_LIMIT_DB,
    THIRD_OCTAVES_HZ,
    Compressor,
    CompressorBand,
    Expander,
    LoudnessGoal,
    MatchEq,
    Stereo,
)

Chosen = npt.NDArray[np.bool_]
Part = Literal["tone", "loudness", "dynamics", "width"]
PARTS: frozenset[Part] = frozenset(("tone", "loudness", "dynamics", "width"))

HEARD_HZ = (60.0, 12_000.0)
"""Where tone is compared. Beyond, the curve glides back to 0 dB: subsonics and the last octave of
a reference say more about its converter or codec than about its balance."""

_SHORTEST_S = 10.0  # of a reference: two phrases; less is a chord and not a balance
_SOUNDING_S = 8.0
_FAR_DB = 9.0  # RMS difference of band levels at which songs have no balance to share
_LIMITED_SHARE = 0.4  # of the bands that would need more than the limit
_INAUDIBLE_DB = -75.0  # a band so far below its song's loudest holds noise, not music
_LOUDEST_LUFS, _SOFTEST_LUFS = -6.0, -30.0
_ROUNDS = 12
_SMOOTHED = np.array([0.1, 0.8, 0.1])  # over neighbouring third octaves
_LEAST_DYNAMICS_DB = 1.5  # PLR difference below which nothing is done
_WIDTHS = (0.5, 1.5)


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to tell the musician: a stable word and a sentence."""

    code: Literal[
        "reference_silent",
        "reference_short",
        "reference_far",
        "reference_level",
        "song_silent",
        "mono",
        "dynamics_kept",
    ]
    message: str


@dataclass(frozen=True, slots=True)
class Match:
    """What to do; a part is None when it is off, useless or already there."""

    tone: MatchEq | None = None
    loudness: LoudnessGoal | None = None
    compressor: Compressor | None = None
    expander: Expander | None = None
    width: Stereo | None = None
    usable: bool = True
    residual_db: float | None = None
    """RMS over third octaves within `HEARD_HZ` of what is left of the bounded aim, foreseen."""
    wanted_db: tuple[float, ...] = ()
    """Band by band what the reference has more than the song, unbounded, 0 where not compared."""
    remarks: tuple[Remark, ...] = field(default=())


def match(
    song: Profile, reference: Profile, *, amount: float = 1.0, parts: frozenset[Part] = PARTS
) -> Match:
    """How to bring ``song`` towards ``reference``: ``amount`` 0 (not at all) to 1 (as far as the
    bounds allow). Raises ``ValueError`` for another amount."""
    if not 0.0 <= amount <= 1.0:
        raise ValueError(f"matching: amount is {amount}; give 0 to 1")
    refusal = _useless(song, reference)
    if refusal is not None:
        return Match(usable=False, remarks=(refusal,))
    difference, compared = _difference(song, reference)
    remarks: list[Remark] = []
    far = _far(difference, compared)
    if far is not None:
        remarks.append(far)
    tone: MatchEq | None = None
    residual: float | None = None
    if "tone" in parts and amount > 0:
        curve, residual = _curve(song, amount * difference, compared)
        tone = MatchEq(curve_db=tuple(curve.tolist()))
    goal = _loudness(song, reference, amount, remarks) if "loudness" in parts else None
    compressor, expander = None, None
    if "dynamics" in parts and amount > 0:
        compressor, expander = _dynamics(song, reference, amount, remarks)
    width = _width(song, reference, amount, remarks) if "width" in parts else None
    return Match(
        tone=tone,
        loudness=goal,
        compressor=compressor,
        expander=expander,
        width=width,
        residual_db=residual,
        wanted_db=tuple(difference.tolist()),
        remarks=tuple(remarks),
    )


def _useless(song: Profile, reference: Profile) -> Remark | None:
    if song.lufs is None:
        return Remark("song_silent", "The song is silent, so there is nothing to match.")
    if reference.lufs is None or reference.sounding == 0:
        return Remark("reference_silent", "The reference is silent; choose a song that plays.")
    heard_s = reference.seconds * reference.sounding
    if reference.seconds < _SHORTEST_S or heard_s < _SOUNDING_S:
        return Remark(
            "reference_short",
            f"The reference plays for {heard_s:.0f} s; at least {_SHORTEST_S:.0f} s are needed to"
            " know its balance. Choose a whole song.",
        )
    return None


def _difference(song: Profile, reference: Profile) -> tuple[Curve, Chosen]:
    """What the reference has more, dB a band, levelled to a mean of 0; and which bands count."""
    centres = np.asarray(THIRD_OCTAVES_HZ)
    mine, theirs = song.third_octaves_db(), reference.third_octaves_db()
    compared = (centres >= HEARD_HZ[0]) & (centres <= HEARD_HZ[1])
    for levels in (mine, theirs):
        # a rate, codec or low-pass that ends early leaves nothing to compare above
        compared &= np.nan_to_num(levels, nan=-300.0) > np.nanmax(levels) + _INAUDIBLE_DB
    difference = np.where(compared, theirs - mine, 0.0)
    if compared.any():
        difference[compared] -= difference[compared].mean()
    return difference, compared


def _far(difference: Curve, compared: Chosen) -> Remark | None:
    wanted = difference[compared]
    if not len(wanted):
        return Remark("reference_far", "Song and reference share no band that could be compared.")
    rms = float(np.sqrt(np.mean(wanted**2)))
    limited = float(np.mean(np.abs(wanted) > MATCH_LIMIT_DB))
    if rms < _FAR_DB and limited < _LIMITED_SHARE:
        return None
    return Remark(
        "reference_far",
        f"The reference is balanced so differently ({rms:.0f} dB on average) that only a part of"
        f" the way is gone: no band moves by more than {MATCH_LIMIT_DB:.0f} dB. Choose a reference"
        " of the same kind of music.",
    )


def _curve(song: Profile, wanted: Curve, compared: Chosen) -> tuple[Curve, float]:
    """The gains that bring the bands to the bounded aim, and the RMS of what is left of it."""
    aim = np.clip(_smooth(wanted, compared), -MATCH_LIMIT_DB, MATCH_LIMIT_DB)
    bounded = np.clip(wanted, -MATCH_LIMIT_DB, MATCH_LIMIT_DB)
    before = song.third_octaves_db()
    gains = _glided(aim, compared)
    where = song.frequencies_hz
    left = np.zeros(len(gains))
    for _ in range(_ROUNDS):
        made = song.third_octaves_db(10 ** (curve_at(tuple(gains.tolist()), where) / 20)) - before
        left = np.where(compared, aim - made, 0.0)
        gains = np.clip(gains + 0.7 * left, -MATCH_LIMIT_DB, MATCH_LIMIT_DB)
        gains = _glided(gains, compared)
    made = song.third_octaves_db(10 ** (curve_at(tuple(gains.tolist()), where) / 20)) - before
    rest = (bounded - made)[compared]
    # a constant is loudness, not tone
    residual = float(np.std(rest)) if len(rest) else 0.0
    return np.round(gains, 3), residual


def _smooth(wanted: Curve, compared: Chosen) -> Curve:
    """Over neighbouring bands: a single note of the reference is no balance."""
    weights = np.convolve(compared.astype(float), _SMOOTHED, "same")
    smooth = np.convolve(np.where(compared, wanted, 0.0), _SMOOTHED, "same")
    return np.where(compared, smooth / np.maximum(weights, 1e-9), 0.0)


def _glided(gains: Curve, compared: Chosen) -> Curve:
    """Beyond the compared bands back to 0 dB, by half at each band."""
    known = np.flatnonzero(compared)
    made = np.where(compared, gains, 0.0)
    if not len(known):
        return made
    for band in range(known[0] - 1, -1, -1):
        made[band] = made[band + 1] / 2
    for band in range(known[0] + 1, len(gains)):
        if not compared[band]:
            made[band] = made[band - 1] / 2
    return made


def _loudness(
    song: Profile, reference: Profile, amount: float, remarks: list[Remark]
) -> LoudnessGoal | None:
    assert song.lufs is not None
    assert reference.lufs is not None
    theirs = min(max(reference.lufs, _SOFTEST_LUFS), _LOUDEST_LUFS)
    if theirs != reference.lufs:
        remarks.append(
            Remark(
                "reference_level",
                f"The reference is at {reference.lufs:.1f} LUFS; {theirs:.0f} LUFS is as far as a"
                " master goes.",
            )
        )
    wanted = song.lufs + amount * (theirs - song.lufs)
    return LoudnessGoal(lufs=round(min(max(wanted, -40.0), -4.0), 2))


def _dynamics(
    song: Profile, reference: Profile, amount: float, remarks: list[Remark]
) -> tuple[Compressor | None, Expander | None]:
    """A flatter reference asks for a gentle broad compressor, a livelier one for expansion."""
    if song.plr_db is None or reference.plr_db is None or song.lufs is None:
        return None, None
    livelier = amount * (reference.plr_db - song.plr_db)
    if abs(livelier) < _LEAST_DYNAMICS_DB:
        return None, None
    body = min(max(song.lufs, -60.0), -6.0)  # dBFS RMS, near enough for a threshold
    if livelier < 0:
        ratio = min(1.0 - livelier / 6.0, 3.0)
        band = CompressorBand(threshold_db=body, ratio=ratio, knee_db=9.0, attack_ms=15.0)
        return Compressor(crossovers_hz=(), bands=(band,)), None
    if livelier > 6.0:
        remarks.append(
            Remark(
                "dynamics_kept",
                "The reference is far livelier than the song; what compression took away can be"
                " given back only in part.",
            )
        )
    ratio = min(1.0 + livelier / 12.0, 1.5)
    return None, Expander(threshold_db=body, ratio=ratio, range_db=min(livelier, 4.0))


def _width(
    song: Profile, reference: Profile, amount: float, remarks: list[Remark]
) -> Stereo | None:
    if song.channels == 1 or reference.channels == 1:
        who = "song" if song.channels == 1 else "reference"
        remarks.append(Remark("mono", f"The {who} is mono, so width stays as it is."))
        return None
    widths: list[float] = []
    for index in range(len(WIDTH_BANDS_HZ) + 1):
        mine, theirs = (_side_to_mid(one, index) for one in (song, reference))
        if mine < 1e-6:  # no side to widen: -60 dB is a mono song with noise
            widths.append(1.0)
            continue
        factor = float(np.sqrt(theirs / mine)) ** amount
        widths.append(round(min(max(factor, _WIDTHS[0]), _WIDTHS[1]), 3))
    if all(abs(width - 1.0) < 0.05 for width in widths):
        return None
    return Stereo(crossovers_hz=WIDTH_BANDS_HZ, widths=tuple(widths))


def _side_to_mid(song: Profile, index: int) -> float:
    edges = (20.0, *WIDTH_BANDS_HZ, HEARD_HZ[1])
    inside = (song.frequencies_hz >= edges[index]) & (song.frequencies_hz < edges[index + 1])
    return float(song.side[inside].sum() / (song.mid[inside].sum() + 1e-16))
