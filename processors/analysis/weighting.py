"""K-weighting at any rate, and what each channel counts for (ITU-R BS.1770-5, annex 1).

The standard tabulates two biquads at 48 kHz and asks for "the same frequency response" at other
rates. Their analogue prototypes, found back by De Man ("Evaluation of implementations of the
EBU R128 loudness measurement", AES 145, 2018), go through the bilinear transform; at 48 kHz that
gives the tabulated coefficients to every printed digit. The second table has the numerator
(1, −2, 1), which lifts the pass band by the denominator's first coefficient at 48 kHz, 0.043 dB;
we keep that lift at every rate, as the standard's −0.691 dB counts on it. Meters that keep the
numerator instead (libebur128, FFmpeg) drift with the rate: +0.004 dB at 44.1 kHz, −0.022 at
96 kHz, +0.22 dB at 8 kHz. Below 44.1 kHz the bilinear transform bends the shelf (−0.2 dB at 1 kHz
and 8 kHz), so there its four parameters are fitted to the response at 48 kHz.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import optimize

Sections = npt.NDArray[np.float64]

_SHELF_HZ, _SHELF_DB, _SHELF_Q = 1681.9744509555319, 3.99984385397, 0.7071752369554193
_SHELF_SLOPE = 0.499666774155  # the exponent of the gain in the middle of the shelf
_HIGHPASS_HZ, _HIGHPASS_Q = 38.13547087613982, 0.5003270373253953
_TABLE_HZ = 48_000
_UNWARPED_HZ = 44_100  # from here on the transform is within 0.01 dB below 15 kHz
SURROUND_WEIGHT = 1.41
"""+1.5 dB for channels between 60° and 120° to the side (table 4)."""

_WEIGHTS = {"L": 1.0, "R": 1.0, "C": 1.0, "F": 0.0, "B": 1.0, "s": SURROUND_WEIGHT, "b": 1.0}
_ROLES = {  # default WAVE orders by count; s is a side at 90° to 110°, b behind at 135° and more
    1: "C",
    2: "LR",
    3: "LRC",
    4: "LRss",
    5: "LRCss",
    6: "LRCFss",
    7: "LRCFBss",
    8: "LRCFbbss",
}
_NAMES = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
MOST_CHANNELS = max(_ROLES)


def k_weighting(rate: int) -> Sections:
    """Both filters as second-order sections ``(2, 6)`` for ``scipy.signal.sosfilt``."""
    return np.array([_shelf(rate), _highpass(rate)])


@lru_cache
def _shelf(rate: int) -> tuple[float, ...]:
    high = 10 ** (_SHELF_DB / 20)
    prototype = np.array([_SHELF_HZ, _SHELF_Q, high, high**_SHELF_SLOPE])
    if rate >= _UNWARPED_HZ:
        return _bilinear_shelf(rate, prototype)
    hz = np.geomspace(20, 0.45 * rate, 200)
    wanted = _response_db(_bilinear_shelf(_TABLE_HZ, prototype), hz, _TABLE_HZ)

    def misses(factors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        shelf = _bilinear_shelf(rate, prototype * factors)
        return _response_db(shelf, hz, rate) - wanted

    # positive factors only: the poles stay inside the unit circle
    fitted = optimize.least_squares(misses, np.ones(4), bounds=(0.3, 3.0))
    return _bilinear_shelf(rate, prototype * fitted.x)


def _bilinear_shelf(rate: int, prototype: npt.NDArray[np.float64]) -> tuple[float, ...]:
    hz, q, high, middle = prototype.tolist()
    k = math.tan(math.pi * hz / rate)
    a0 = 1 + k / q + k * k
    return (
        (high + middle * k / q + k * k) / a0,
        2 * (k * k - high) / a0,
        (high - middle * k / q + k * k) / a0,
        1.0,
        2 * (k * k - 1) / a0,
        (1 - k / q + k * k) / a0,
    )


def _response_db(
    section: tuple[float, ...], hz: npt.NDArray[np.float64], rate: int
) -> npt.NDArray[np.float64]:
    z = np.exp(-2j * np.pi * hz / rate)
    b, a = section[:3], section[3:]
    response = (b[0] + b[1] * z + b[2] * z * z) / (a[0] + a[1] * z + a[2] * z * z)
    return np.asarray(20 * np.log10(np.abs(response)))


def _highpass(rate: int) -> list[float]:
    k = math.tan(math.pi * _HIGHPASS_HZ / rate)
    a0 = _highpass_a0(rate)
    lift = _highpass_a0(_TABLE_HZ) / a0
    return [
        lift,
        -2 * lift,
        lift,
        1.0,
        2 * (k * k - 1) / a0,
        (1 - k / _HIGHPASS_Q + k * k) / a0,
    ]


def _highpass_a0(rate: int) -> float:
    k = math.tan(math.pi * _HIGHPASS_HZ / rate)
    return 1 + k / _HIGHPASS_Q + k * k


def channel_weights(channels: int) -> npt.NDArray[np.float64]:
    """The power weight of each channel in the default WAVE order, ``(channels,)``.

    Raises ``KeyError`` for more than `MOST_CHANNELS`.
    """
    return np.array([_WEIGHTS[role] for role in _ROLES[channels]])


def layout(channels: int) -> str:
    """What the default WAVE order of so many channels is called."""
    return _NAMES[channels]
