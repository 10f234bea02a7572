"""Songs that cannot become a good karaoke: named by the stages, never silently published as one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from processors.alignment.stage import alignment
from processors.audio.encoding import write_flac
from processors.audio.samples import Audio
from processors.publishing.stage import publishing
from processors.quality.stage import quality
from processors.runtime import Reject
from processors.runtime.testing import StageEnvironment
from processors.separation.stage import separation
from schemas.documents.karaoke import KaraokeDocument
from schemas.documents.lyrics import LyricsDocument
from schemas.events import ImportRequested, Published, ReprocessRequested, Work
from schemas.work import BELOW_BAR, extend, find
from tests import foreign, songs

pytestmark = pytest.mark.slow

LIGHT: dict[str, Any] = {"separation_backend": "light", "alignment_backend": "light"}


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> StageEnvironment:
    """One store for all: each song is separated once."""
    return StageEnvironment(tmp_path_factory.mktemp("songs"), **LIGHT)


@dataclass(frozen=True)
class Made:
    """What came of a song."""

    env: StageEnvironment
    event: Published
    karaoke: KaraokeDocument

    @property
    def codes(self) -> set[str]:
        return {flag.code for flag in self.karaoke.qc.flags}


def judged(env: StageEnvironment, folder: Path, sound: Audio, text: str, language: str) -> Any:
    """The song up to the event that the check makes. Raises `Reject`."""
    path = folder / "song.flac"
    write_flac(path, sound)
    lyrics = LyricsDocument.from_text(text, language=language)
    number = hashlib.sha256(path.read_bytes() + lyrics.to_json()).hexdigest()[:16]
    work = Work(
        job_id="job_1",
        track_id="trk_1",
        artifacts=(env.put("source", path, "audio/flac", key=f"{number}.flac"),),
        lyrics=env.put("lyrics", lyrics.to_json(), "application/json", key=f"{number}.json"),
        language=language,
    )
    separated = env.run(separation, ImportRequested(work=work)).event
    return env.run(quality, env.run(alignment, separated).event).event


def sing(env: StageEnvironment, folder: Path, sound: Audio, text: str, language: str) -> Made:
    """The song through every stage."""
    event = env.run(publishing, judged(env, folder, sound, text, language)).event
    return _made(env, event)


def _made(env: StageEnvironment, event: Published) -> Made:
    artifact = find(event.work, "karaoke")
    assert artifact is not None
    return Made(env, event, KaraokeDocument.from_json(env.store.read(artifact.uri)))


def needs_review(made: Made) -> None:
    """Published with a mark and the reason in words, in the document and in the event."""
    assert made.karaoke.qc.needs_review
    assert made.event.needs_review
    assert made.event.reasons == made.karaoke.qc.reasons
    assert all(reason.endswith(".") and len(reason) > 20 for reason in made.event.reasons)


SONG = songs.make("english", 1)
OTHER = """Count the windows, count the stars
Paper boats on frozen water
Seven horses cross the market
Silver bells for no one's daughter
Turn the key and close the shutter"""


def test_the_song_itself_is_good_enough(env: StageEnvironment, tmp_path: Path) -> None:
    made = sing(env, tmp_path, SONG.mix, SONG.lyrics_text, "en")
    assert not made.karaoke.qc.needs_review
    assert not made.event.needs_review
    assert made.karaoke.qc.measures is not None
    assert made.karaoke.qc.measures.bleed_db is not None


def test_an_instrumental_with_lyrics_needs_review(env: StageEnvironment, tmp_path: Path) -> None:
    made = sing(env, tmp_path, SONG.backing, SONG.lyrics_text, "en")
    needs_review(made)
    assert made.codes & {"no_voice", "no_singing", "lyrics_differ"}


def test_a_voice_alone_is_published_and_told(env: StageEnvironment, tmp_path: Path) -> None:
    made = sing(env, tmp_path, SONG.vocals, SONG.lyrics_text, "en")
    assert "minus_silent" in made.codes
    assert not made.karaoke.qc.needs_review
    starts = [word.start_ms for word in made.karaoke.words()]
    errors = [abs(a - w.start_ms) for a, w in zip(starts, SONG.words, strict=True) if a is not None]
    assert len(errors) == len(SONG.words)
    assert max(errors) <= 1000


def test_lyrics_of_another_song_need_review(env: StageEnvironment, tmp_path: Path) -> None:
    needs_review(sing(env, tmp_path, SONG.mix, OTHER, "en"))


def test_half_of_the_lyrics_need_review_and_the_rest_is_named(
    env: StageEnvironment, tmp_path: Path
) -> None:
    lines = SONG.lyrics_text.strip().splitlines()
    made = sing(env, tmp_path, SONG.mix, "\n".join(lines[: len(lines) // 2]), "en")
    needs_review(made)
    assert "coverage_low" in made.codes


@pytest.mark.parametrize("kind", ["english", "russian"])
def test_capitals_without_line_breaks_become_lines(
    env: StageEnvironment, tmp_path: Path, kind: songs.Kind
) -> None:
    song = songs.make(kind, 1)
    text = " ".join(song.lyrics_text.split()).upper()
    made = sing(env, tmp_path, song.mix, text, song.language)
    assert "lines_cut" in made.codes
    assert not made.karaoke.qc.needs_review
    assert len(made.karaoke.lines) >= len(song.lines)
    assert max(len(line.words) for line in made.karaoke.lines) <= 10
    assert [word.text for word in made.karaoke.words()] == text.split()
    starts = [word.start_ms for word in made.karaoke.words()]
    errors = [abs(a - w.start_ms) for a, w in zip(starts, song.words, strict=True) if a is not None]
    assert max(errors) <= 1000


@pytest.mark.parametrize("kind", ["english", "russian"])
def test_lyrics_in_another_language_need_review(
    env: StageEnvironment, tmp_path: Path, kind: songs.Kind
) -> None:
    song = songs.make(kind, 1)
    other = songs.make("russian" if kind == "english" else "english", 1)
    needs_review(sing(env, tmp_path, song.mix, other.lyrics_text, other.language))


def test_a_wrong_language_of_the_same_letters_needs_review(
    env: StageEnvironment, tmp_path: Path
) -> None:
    song = foreign.make("es", 2)
    wrong = sing(env, tmp_path, song.mix, song.lyrics_text, "en")
    needs_review(wrong)
    (told,) = [flag for flag in wrong.karaoke.qc.flags if flag.code == "language_differs"]
    assert "'en'" in told.message
    assert "'es'" in told.message
    right = sing(env, tmp_path, song.mix, song.lyrics_text, "es")
    assert "language_differs" not in right.codes
    assert not right.karaoke.qc.needs_review


def test_letters_that_the_language_is_not_written_in_are_named(
    env: StageEnvironment, tmp_path: Path
) -> None:
    song = songs.make("russian", 1)
    made = sing(env, tmp_path, song.mix, song.lyrics_text, "en")
    assert "language_mismatch" in made.codes


def test_blocked_a_bad_karaoke_fails_with_its_reasons_and_a_person_may_publish_it(
    tmp_path: Path,
) -> None:
    env = StageEnvironment(tmp_path, **LIGHT, quality_policy="block")
    checked = judged(env, tmp_path, SONG.mix, OTHER, "en")
    with pytest.raises(Reject) as refused:
        env.run(publishing, checked)
    assert refused.value.code == BELOW_BAR
    assert "score" in refused.value.message
    asked = extend(checked.work, from_stage="publishing", version=2)
    retried = ReprocessRequested(work=asked, reason="retry")
    with pytest.raises(Reject):
        env.run(publishing, retried)
    word = ReprocessRequested(work=asked, reason="rollback", steps=("publish",))
    made = _made(env, env.run(publishing, word).event)
    assert (made.karaoke.qc.needs_review, made.karaoke.qc.reviewed) == (False, True)
    assert made.karaoke.qc.reasons


def test_another_setting_judges_anew_without_aligning_again(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path, **LIGHT)
    checked = judged(env, tmp_path, SONG.mix, SONG.lyrics_text, "en")
    again = ReprocessRequested(work=extend(checked.work, from_stage="quality"))
    assert env.run(quality, again).event.reused
    env.settings = env.settings.model_copy(update={"quality_bar": 1.0, "quality_policy": "block"})
    strict = env.run(quality, again).event
    assert not strict.reused
    assert strict.score == checked.score
