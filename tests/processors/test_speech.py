"""The speech model, tiny and with random weights, through the loading code of the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from processors.alignment.ctc import Emissions
from processors.audio.samples import Audio
from processors.choices import ModelUnavailable
from processors.gpu import Device
from processors.speech import SpeechModel
from processors.vocabulary import Vocabulary
from tests import models, songs

models.require("torch", "nemo")
pytestmark = [
    pytest.mark.models,
    pytest.mark.timeout(600),  # NeMo alone takes half a minute to import on a busy machine
    pytest.mark.filterwarnings("ignore"),  # of NeMo, Lightning and torch, about each other
]

TEXTS = ["river carry me home tonight", "hold on to the morning light", "we are singing"] * 20


def _cpu() -> Device:
    return Device("cpu")


def _ignore(_: float) -> None: ...


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.nemo_model(tmp_path_factory.mktemp("nemo") / "tiny.nemo", TEXTS)


@pytest.fixture(scope="module")
def speech(path: Path) -> SpeechModel:
    return SpeechModel(str(path), device=_cpu)


def test_a_stem_is_heard_on_one_grid_and_silence_is_blank(speech: SpeechModel) -> None:
    song = songs.make("short", 3).vocals
    told: list[float] = []
    heard = speech.hear(song, told.append)
    assert heard.frame_ms == 40.0
    assert heard.frames == -(-round(song.seconds * 16_000) // 640)
    assert told[-1] == 1.0
    silence = np.zeros((1, 3 * song.rate), np.float32)
    longer = Audio(
        np.concatenate([song.samples, np.repeat(silence, song.channels, 0)], 1), song.rate
    )
    quiet = speech.hear(longer, _ignore).log_probs[-50:]
    assert (quiet.argmax(axis=1) == heard.blank).all()
    sums = np.exp(heard.log_probs.astype(np.float64)).sum(axis=1)
    np.testing.assert_allclose(sums, 1.0, atol=0.02)


def test_the_same_stem_is_heard_the_same(speech: SpeechModel) -> None:
    song = songs.make("short", 3).vocals
    heard = speech.hear(song, _ignore)
    np.testing.assert_array_equal(heard.log_probs, speech.hear(song, _ignore).log_probs)


def test_a_vocabulary_is_kept_without_its_model(speech: SpeechModel) -> None:
    kept = Vocabulary.of(speech.vocabulary.arrays())
    assert kept is not None
    assert kept.pieces == speech.vocabulary.pieces
    for word in ("River", "home", "rivér", "ri-ver!", "река"):
        assert kept.spell(word) == speech.vocabulary.spell(word)


def test_a_stretch_of_song_is_heard_as_the_model_itself_hears_it(speech: SpeechModel) -> None:
    import torch

    sound = songs.make("short", 3).vocals.mono()[: 3 * 16_000]
    found = speech._log_probs(sound, "cpu")
    with torch.inference_mode():
        theirs, length, _ = speech._net.forward(
            input_signal=torch.from_numpy(sound)[None],
            input_signal_length=torch.tensor([len(sound)]),
        )
    np.testing.assert_allclose(found, theirs[0, : int(length[0])].numpy(), atol=0.02)


def test_words_are_spelt_in_the_model_s_own_letters(speech: SpeechModel) -> None:
    spelt = speech.vocabulary.spell("River")
    assert spelt == speech.vocabulary.spell("river") == speech.vocabulary.spell("ri-ver!")
    assert "".join(speech.vocabulary.pieces[token] for token in spelt) == "▁river"
    assert (
        speech.vocabulary.spell("rivér") == spelt
    )  # letters that the model lacks lose their marks
    assert speech.vocabulary.spell("река") == ()


def test_encoders_that_do_not_say_their_step_are_measured(
    speech: SpeechModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(speech._net.encoder, "subsampling_factor")
    assert speech._frames_a_step() == 4


def test_words_come_out_of_the_likeliest_path(speech: SpeechModel) -> None:
    pieces = list(speech.vocabulary.pieces)
    tokens = [*speech.vocabulary.spell("river"), *speech.vocabulary.spell("home")]
    blank = len(pieces)
    rows: list[int] = []
    for token in tokens:
        rows += [token, token, blank]
    log_probs = np.full((len(rows), blank + 1), -10.0, np.float32)
    log_probs[np.arange(len(rows)), rows] = np.log(0.8)
    words = speech.words(Emissions(log_probs, blank, 40.0))
    assert [word.text for word in words] == ["river", "home"]
    assert words[0].first == 0
    assert words[1].last == len(rows) - 2
    assert words[0].probability == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"no archive", "cannot be loaded"), (None, "cannot be loaded")],
)
def test_a_broken_or_missing_file_is_named_with_its_setting(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    path = tmp_path / "broken.nemo"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelUnavailable, match="SPEECH_MODEL") as refusal:
        SpeechModel(str(path), device=_cpu)
    assert says in str(refusal.value)


def test_a_checkpoint_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    path = models.nemo_model(tmp_path / "rnnt.nemo", TEXTS, ctc=False)
    with pytest.raises(ModelUnavailable, match="without a CTC head"):
        SpeechModel(str(path), device=_cpu)
