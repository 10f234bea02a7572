"""What the aligner hears: cepstra, singing evidence, and the singer's own colour of sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter1d

from processors.alignment.acoustic_model import AcousticModel
from processors.alignment.cepstra import at_model_rate, cepstra, features
from processors.audio.activity import Activity, detect
from processors.audio.samples import Audio

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

POOL = 3
"""Frames of 10 ms in one step of the coarse pass: the shortest phone it can place is 30 ms. On 12
songs with a quarter of the band left in the vocals, 3 left 4 words off by over 1 s, 2 left 20."""

_STATES = 3  # emitting states a phone
_FLOOR = -20.0  # nats: no single frame may outweigh the rest of a word
_GAP_COST = 5.0  # nats a frame for leaving full-voiced singing outside of all words
_PAUSE_COST = 8.0  # the same inside a line, where ad-libs are rarer
_WAIT_COST = 0.5  # nats a frame of any pause inside a line, so that no word waits for a far noise
_QUIET_COST = 2.0  # nats a frame for a sound where nobody sings
# Sung frames score −1.8 to −2.5 against the best phone when aligned right, so a word explains
# singing better than a gap does, and a wrong word (below −5) does not.

_SMOOTH_FRAMES = 5  # 50 ms: closures inside words keep some of their neighbours' evidence
_QUIET_DB, _FULL_DB = 34.0, 12.0  # below the 75th percentile of sung levels
_ABOVE_RESIDUE_DB = 6.0  # over the 20th percentile of all frames: a factor of two in amplitude


@dataclass(frozen=True, slots=True)
class Hearing:
    """One row a frame of 10 ms.

    ``statics`` ``(frames, 13)`` cepstra; ``active`` ``(frames,) bool`` vocal activity; ``voice``
    ``(frames,)`` how sure singing is, 0 to 1: residue of a separated stem is quieter than the
    voice, so that a break full of it costs little to leave empty.
    """

    statics: Floats
    active: npt.NDArray[np.bool_]
    voice: Floats
    activity: Activity

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.statics)


def listen(vocals: Audio) -> Hearing:
    """Cepstra and singing evidence of a vocal stem."""
    return hearing(cepstra(at_model_rate(vocals)), detect(vocals))


def hearing(statics: Floats, activity: Activity) -> Hearing:
    """Singing evidence from both, as long as the shorter of them."""
    frames = min(len(statics), len(activity.active))
    active = activity.active[:frames]
    power = uniform_filter1d(activity.rms[:frames].astype(np.float64) ** 2, _SMOOTH_FRAMES)
    level = 10.0 * np.log10(np.maximum(power, 0.0) + 1e-12)  # its running sum may dip below 0
    if not active.any():
        voice = np.zeros(frames, np.float32)
    else:
        loud = float(np.percentile(level[active], 75))
        residue = float(np.percentile(level, 20)) + _ABOVE_RESIDUE_DB
        low = min(max(residue, loud - _QUIET_DB), loud - _FULL_DB)
        high = max(loud - _FULL_DB, low + 6.0)
        sure = np.clip((level - low) / (high - low), 0.0, 1.0)
        voice = np.where(active, sure, 0.0).astype(np.float32)
    return Hearing(statics[:frames], active, voice, activity)


@dataclass(frozen=True, slots=True)
class Acoustics:
    """Scores of a song against the model, relative to each frame's best phone.

    ``phones`` ``(frames, 42)``: each phone's best state; ``best`` ``(frames,)``: the log likelihood
    they are relative to.
    """

    model: AcousticModel
    hearing: Hearing
    features: Floats
    best: Floats
    phones: Floats

    def coarse(self, owner: Ints, gap: npt.NDArray[np.bool_], first: int, last: int) -> Floats:
        """Scores of coarse states ``(steps, states)``, steps of POOL frames from first to last."""
        steps = (last - first) // POOL
        window = slice(first, first + steps * POOL)

        def pooled(rows: Floats) -> Floats:
            sums: Floats = rows.reshape(steps, POOL, *rows.shape[1:]).sum(axis=1)
            return sums

        voice = self.hearing.voice[window]
        sounds = pooled(self.phones[window] - _QUIET_COST * (1 - voice)[:, None])
        voiced = pooled(voice)[:, None]
        pauses = -_WAIT_COST * POOL - _PAUSE_COST * voiced
        rests = np.concatenate([pauses, -_GAP_COST * voiced], axis=1)
        # pauses and gaps are two more columns behind the 42 phones
        column = np.where(owner >= 0, owner, np.where(gap, 43, 42))
        return np.concatenate([sounds, rests], axis=1).astype(np.float32)[:, column]

    def fine(
        self,
        senone: Ints,
        owner: Ints,
        gap: npt.NDArray[np.bool_],
        first: int,
        last: int,
    ) -> Floats:
        """Scores of fine states ``(frames, states)``, frames from first to last."""
        pairs, column = np.unique(np.stack([senone, owner]), axis=1, return_inverse=True)
        column = column.ravel()
        sounds = pairs[0] >= 0
        scores = np.zeros((last - first, pairs.shape[1]), np.float32)
        window = slice(first, last)
        voice = self.hearing.voice[window]
        raw = self.model.scores(self.features[window], pairs[0, sounds], pairs[1, sounds])
        relative = np.maximum(raw - self.best[window, None], _FLOOR)
        scores[:, sounds] = relative - _QUIET_COST * (1 - voice)[:, None]
        out = scores[:, column]
        out[:, (owner < 0) & ~gap] = -_WAIT_COST - _PAUSE_COST * voice[:, None]
        out[:, (owner < 0) & gap] = -_GAP_COST * voice[:, None]
        return out


def acoustics(model: AcousticModel, hearing: Hearing, bias: Floats) -> Acoustics:
    """Score a song whose cepstra are shifted by ``bias`` ``(13,)``."""
    shifted = features(hearing.statics - bias)
    phones = len(model.phones)
    senones = np.arange(phones * _STATES)
    raw = model.scores(shifted, senones, senones // _STATES)
    best = raw.max(axis=1)
    relative = np.maximum(raw - best[:, None], _FLOOR)
    states = relative.reshape(len(raw), phones, _STATES)
    return Acoustics(model, hearing, shifted, best, states.max(axis=2))


def first_bias(hearing: Hearing) -> Floats:
    """Cepstral mean over sung frames: the usual normalisation, undisturbed by breaks."""
    rows = hearing.statics[hearing.active] if hearing.active.any() else hearing.statics
    mean: Floats = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def singer_bias(acoustics: Acoustics, owner: Ints, bias: Floats) -> Floats:
    """A better shift, from which phone (or −1) was sung in each frame.

    Maximum likelihood bias of the static cepstra under the Gaussians of those phones (one EM step
    of Sankar & Lee 1996, "stochastic matching"). It takes out what a mean over all sung frames
    can't: the vowels of just these lyrics, the singer, the language, what separation removed.
    """
    model, hearing = acoustics.model, acoustics.hearing
    frames = len(owner)
    usable = (owner >= 0) & hearing.active[:frames]
    usable &= acoustics.phones[np.arange(frames), np.maximum(owner, 0)] > _TRUSTED
    above, below = np.zeros(13), np.full(13, 1e-9)
    for phone in np.unique(owner[usable]):
        static = acoustics.features[:frames][usable & (owner == phone), :13]
        means, precisions = model.means[phone, 0], model.precisions[phone, 0]
        density = (
            model.constants[phone, 0]
            + static @ (means * precisions).T
            - 0.5 * (static * static) @ precisions.T
        )
        share = np.exp(density - density.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        weight = share @ precisions
        above += (static * weight - share @ (means * precisions)).sum(axis=0, dtype=np.float64)
        below += weight.sum(axis=0, dtype=np.float64)
    shifted: Floats = (bias + above / below).astype(np.float32)
    return shifted


_TRUSTED = -8.0  # nats: frames where the path fits worse would teach the wrong colour
