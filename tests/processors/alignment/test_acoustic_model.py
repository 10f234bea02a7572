from __future__ import annotations

import numpy as np
import pocketsphinx
import pytest

from processors.alignment.acoustic_model import english
from processors.alignment.cepstra import RATE, at_model_rate, cepstra, features
from processors.audio.samples import Audio
from tests import songs


def test_the_files_of_the_wheel_are_read_whole() -> None:
    model = english()
    assert len(model.phones) == 42
    assert model.means.shape == model.precisions.shape == (42, 3, 128, 13)
    assert (model.precisions > 0).all()
    assert model.weights.shape == (3, 128, 5126)
    assert int(model.senones.max()) == 5125
    assert len(model.triphones) > 100_000
    # each senone's quantised weights add up to one, but for the quantisation
    total = np.exp(-np.log(1.0001) * 1024 * model.weights.astype(float)).sum(axis=1)
    assert total.min() > 0.8
    assert total.max() < 1.2


def test_phones_have_three_states_in_context_and_without() -> None:
    model = english()
    left, phone, right = (model.phone(name) for name in ("K", "AE", "T"))
    inside = model.states(left, phone, right, "i")
    assert len(inside) == 3
    assert inside.tolist() != model.states(model.phone("SIL"), phone, right, "b").tolist()
    with pytest.raises(ValueError, match="not in"):
        model.phone("QQ")


def test_the_front_end_is_pocketsphinx_own() -> None:
    """Its decoder understands our cepstra as well as the sound itself."""
    song = songs.make("short", 3)
    mono = at_model_rate(song.vocals)[: 4 * RATE]
    words = [word.text.strip(",.!?").lower() for word in song.lines[0]]
    decoder = pocketsphinx.Decoder(lm=None, beam=1e-80, wbeam=1e-60, pbeam=1e-60, loglevel="FATAL")
    decoder.set_align_text(" ".join(words))

    def starts(*, ours: bool) -> list[int]:
        decoder.start_utt()
        if ours:
            # the decoder takes the mean out by itself
            decoder.process_cep(cepstra(mono).tobytes(), full_utt=True)
        else:
            pcm = (mono * 32767).astype("<i2").tobytes()
            decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
        return [s.start_frame for s in decoder.seg() if not s.word.startswith("<")]

    theirs = starts(ours=False)
    assert len(theirs) == len(words)
    assert np.median(np.abs(np.subtract(starts(ours=True), theirs))) <= 4


def test_a_frame_is_centred_on_its_time() -> None:
    mono = np.zeros(RATE, np.float32)
    mono[RATE // 2] = 1.0  # a click at 500 ms
    energy = cepstra(mono)[:, 0]
    loud = np.flatnonzero(energy > (energy.max() + energy.min()) / 2)
    assert loud.mean() == pytest.approx(50, abs=0.6)
    assert len(energy) == 100


def test_differences_are_zero_for_a_constant_and_the_slope_for_a_ramp() -> None:
    ramp = np.tile(np.arange(20, dtype=np.float32)[:, None], (1, 13))
    inner = features(ramp)[5:15]
    assert inner[:, 13:26] == pytest.approx(4.0)  # c[t + 2] − c[t − 2]
    assert inner[:, 26:] == pytest.approx(0.0)


def test_a_sung_vowel_is_heard_as_itself() -> None:
    """Scores of frames inside a known word prefer its phones to most others."""
    song = songs.make("short", 3)
    model = english()
    statics = cepstra(at_model_rate(song.vocals))
    rows = features(statics - statics[np.argsort(statics[:, 0])[len(statics) // 3 :]].mean(axis=0))
    senones = np.arange(126)
    best = model.scores(rows, senones, senones // 3).reshape(-1, 42, 3).max(axis=2)
    word = song.words[0]
    inside = best[word.start_ms // 10 : word.end_ms // 10]
    vowels = [model.phone(name) for name in ("AA", "AE", "AH", "AO", "EH", "IH", "IY", "UW", "EY")]
    assert np.isin(inside.argmax(axis=1), vowels).mean() > 0.3


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
def test_any_rate_is_brought_to_the_models(rate: int) -> None:
    audio = Audio(np.zeros((2, rate), np.float32), rate)
    assert len(at_model_rate(audio)) == RATE
