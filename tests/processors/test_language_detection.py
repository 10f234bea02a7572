"""The language of a song by ear, through the stage: a label model that knows two voices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr

from processors.alignment.stage import alignment
from processors.audio.activity import detect
from processors.audio.encoding import write_flac
from processors.audio.samples import Audio
from processors.choices import ModelUnavailable
from processors.runtime.testing import StageEnvironment
from processors.transcription import stage as transcribing
from processors.transcription.spoken_language import SURE, SpokenLanguage, strongest
from processors.transcription.stage import transcription
from schemas.documents.lyrics import LyricsDocument
from schemas.events import Separated, Transcribed, Work
from tests import models, songs

models.require("torch", "nemo")
pytestmark = [
    pytest.mark.models,
    pytest.mark.timeout(600),  # NeMo alone takes half a minute to import on a busy machine
    pytest.mark.filterwarnings("ignore"),  # of NeMo, Lightning and torch, about each other
]

SONG = songs.make("short", 3)
LOW = SONG.vocals
HIGH = Audio(  # the same song half as fast again, a fifth higher: the other voice
    np.ascontiguousarray(
        soxr.resample(LOW.samples.T, LOW.rate * 3, LOW.rate * 2).T, dtype=np.float32
    ),
    LOW.rate,
)


def phrases_of(vocals: Audio) -> list[Any]:
    mono = vocals.mono()
    spans = strongest(detect(vocals), round(1000 * vocals.seconds))
    return [
        soxr.resample(
            mono[span.start_ms * vocals.rate // 1000 : span.end_ms * vocals.rate // 1000],
            vocals.rate,
            16_000,
        )
        for span in spans
    ]


@dataclass(frozen=True)
class Models:
    """``.nemo`` files."""

    english: str
    german: str
    ear: str
    """Hears German in the low voice and English in the high one."""
    unsure: str
    """Hears three languages in everything."""
    speakers: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("nemo")
    texts = [SONG.lyrics_text] * 20
    low, high = phrases_of(LOW), phrases_of(HIGH)
    two = {"en: English": high, "de: German": low, "ja: Japanese": []}
    three = dict.fromkeys(("en", "de", "ja"), low + high)
    nobody: dict[str, list[Any]] = {"id10001": [], "id10002": []}
    return Models(
        english=str(models.nemo_model(folder / "english.nemo", texts, seed=1)),
        german=str(models.nemo_model(folder / "german.nemo", texts, seed=2)),
        ear=str(models.language_model(folder / "ear.nemo", two)),
        unsure=str(models.language_model(folder / "unsure.nemo", three)),
        speakers=str(models.language_model(folder / "speakers.nemo", nobody)),
    )


class Sing:
    """Transcribes voices in one store, by the two speech models and the ear."""

    def __init__(self, folder: Path, made: Models) -> None:
        self.env = StageEnvironment(
            folder,
            transcription_backend="full",
            alignment_backend="full",
            speech_models={"en": made.english, "de": made.german},
            language_model=made.ear,
            use_gpu=False,
        )
        self._folder = folder
        self._settings = self.env.settings

    def __call__(
        self, vocals: Audio, language: str = "", **settings: Any
    ) -> tuple[Transcribed, LyricsDocument]:
        """What came of it; ``settings`` hold for this song."""
        self.env.settings = self._settings.model_copy(update=settings)
        path = self._folder / "vocals.flac"
        write_flac(path, vocals)
        work = Work(
            job_id="job_1",
            track_id="trk_1",
            duration_ms=round(1000 * vocals.seconds),
            artifacts=(self.env.put("vocals", path, "audio/flac"),),
            language=language,
        )
        event = self.env.run(transcription, Separated(work=work)).event
        lyrics = event.work.lyrics
        assert lyrics is not None
        return event, LyricsDocument.from_json(self.env.store.read(lyrics.uri))


@pytest.fixture
def sing(tmp_path: Path, made: Models) -> Sing:
    return Sing(tmp_path, made)


def codes(lyrics: LyricsDocument) -> list[str]:
    return [remark.code for remark in lyrics.remarks]


@pytest.mark.parametrize(
    ("vocals", "language", "model"),
    [(LOW, "de", "nemo german"), (HIGH, "en", "nemo english")],
    ids=["low", "high"],
)
def test_an_unsaid_language_is_heard_and_its_model_listens(
    sing: Sing, vocals: Audio, language: str, model: str
) -> None:
    event, lyrics = sing(vocals)
    backend = event.work.backends["transcription"]
    assert (backend.name, backend.model) == ("full", model)
    assert lyrics.language == language
    assert codes(lyrics) == ["language_detected"]
    assert f"'{language}'" in lyrics.remarks[0].message
    again, _ = sing(vocals)
    assert again.reused
    assert again.work.lyrics == event.work.lyrics
    aligned = sing.env.run(alignment, event).event
    assert aligned.work.language == language
    assert aligned.work.backends["alignment"].model == model


def test_a_said_language_is_kept_and_contradicted_where_the_ear_is_sure(
    sing: Sing, made: Models
) -> None:
    event, lyrics = sing(LOW, "en")
    assert event.work.backends["transcription"].model == "nemo english"
    assert lyrics.language == "en"
    assert codes(lyrics) == ["language_mismatch"]
    assert "'de'" in lyrics.remarks[0].message
    # Another ear is another result, and so is none.
    other, without = sing(LOW, "en", language_model=made.unsure)
    assert (other.reused, codes(without)) == (False, [])
    other, without = sing(LOW, "en", language_model="none")
    assert (other.reused, codes(without)) == (False, [])
    assert codes(sing(LOW, "de")[1]) == []


def test_an_unsure_ear_leaves_the_language_to_the_letters(sing: Sing, made: Models) -> None:
    event, lyrics = sing(LOW, language_model=made.unsure)
    assert event.work.backends["transcription"].model == "nemo english"
    assert codes(lyrics) == ["language_guessed"]
    assert "sounds like" not in lyrics.remarks[0].message


def test_a_heard_language_that_nothing_writes_down_is_told(
    sing: Sing, made: Models, tmp_path: Path
) -> None:
    missing = {"en": made.english, "de": str(tmp_path / "gone.nemo")}
    for settings in (
        {"speech_models": {"en": made.english, "de": ""}},
        {"speech_models": missing, "transcription_backend": "auto"},
    ):
        event, lyrics = sing(LOW, **settings)
        assert event.work.backends["transcription"].model == "nemo english"
        assert codes(lyrics) == ["language_guessed"]
        assert "sounds like 'de'" in lyrics.remarks[0].message


def test_without_an_ear_a_song_is_written_down_as_before(
    sing: Sing, made: Models, tmp_path: Path
) -> None:
    corrupt = tmp_path / "corrupt.nemo"
    corrupt.write_bytes(b"no archive")
    for name in ("none", str(tmp_path / "missing.nemo"), str(corrupt), made.english, made.speakers):
        event, lyrics = sing(LOW, language_model=name)
        assert event.work.backends["transcription"].model == "nemo english"
        assert codes(lyrics) == ["language_guessed"]


def test_what_is_no_ear_for_languages_is_refused_by_name(made: Models) -> None:
    with pytest.raises(ModelUnavailable, match=r"labels of .*speakers.* name no language"):
        SpokenLanguage(made.speakers)
    with pytest.raises(ModelUnavailable, match=r"english.*LANGUAGE_MODEL"):
        SpokenLanguage(made.english)


def test_the_light_recognizer_needs_no_ear(sing: Sing, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(transcribing, "spoken_language", refuse)
    event, lyrics = sing(LOW, transcription_backend="light")
    assert event.work.backends["transcription"].name == "light"
    assert codes(lyrics) == ["language_guessed"]


def test_cosines_become_probabilities_as_in_training(tmp_path: Path) -> None:
    sounds = {"en": phrases_of(HIGH), "de": phrases_of(LOW)}
    path = models.language_model(tmp_path / "angular.nemo", sounds, angular=True)
    ear = SpokenLanguage(str(path))
    for vocals, language in ((LOW, "de"), (HIGH, "en")):
        first = ear.hear(vocals)[0]
        assert first.language == language
        assert first.probability > SURE


def test_silence_and_short_calls_are_of_no_language(made: Models) -> None:
    ear = SpokenLanguage(made.ear)
    assert ear.hear(Audio(np.zeros((1, 5 * 44_100), np.float32), 44_100)) == ()
    call = np.zeros((1, 5 * 44_100), np.float32)
    call[:, 44_100:57_330] = LOW.samples[:1, 44_100:57_330]  # 0.3 s
    assert ear.hear(Audio(call, 44_100)) == ()
    assert ear.hear(LOW) == ear.hear(LOW)
