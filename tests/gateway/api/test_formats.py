"""Lyrics go out in every player's format, and come in with the times that a file has."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.documents.formats import WRITTEN
from schemas.documents.lyrics import LyricsDocument
from schemas.events import ImportRequested, LyricsEdited
from tests.gateway.house import House, problem

ULTRASTAR = "#TITLE:T\n#LANGUAGE:Russian\n#BPM:300\n#GAP:1000\n: 0 4 0 Мир\n- 8\n: 20 4 2 мой\nE\n"
LRC = "[00:01.00]Twinkle twinkle\n[00:04.00]little star\n"
BOMB = '<!DOCTYPE tt [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><tt xmlns="http://www.w3.org/ns/ttml">&b;</tt>'


def given(house: House, **body: Any) -> LyricsDocument:
    """The lyrics that an import with this body asks to align."""
    track = house.imported(**body)["trackId"]
    for envelope in house.events("import-requested"):
        event = envelope.event
        assert isinstance(event, ImportRequested)
        if event.work.track_id == track and event.work.lyrics is not None:
            return LyricsDocument.from_json(house.artifacts.read(event.work.lyrics.uri))
    raise AssertionError("the import carries no lyrics")


def drafted(house: House) -> LyricsDocument:
    event = house.events("lyrics-edited")[-1].event
    assert isinstance(event, LyricsEdited)
    assert event.lyrics is not None
    return LyricsDocument.from_json(house.artifacts.read(event.lyrics.uri))


def patch(house: House, track: str, **body: Any) -> Any:
    return house.http.patch(f"/v1/tracks/{track}/lyrics", json=body, headers={"If-Match": '"1"'})


class TestOut:
    @pytest.mark.parametrize(
        ("name", "media_type", "suffix", "begins"),
        [
            ("karaoke", "application/json", ".json", '{"'),
            ("lrc", "text/plain; charset=utf-8", ".lrc", "[ti:The Star]\n"),
            ("elrc", "text/plain; charset=utf-8", ".lrc", "[ti:The Star]\n"),
            ("ass", "text/x-ssa; charset=utf-8", ".ass", "[Script Info]\n"),
            ("vtt", "text/vtt; charset=utf-8", ".vtt", "WEBVTT Zoë - The Star\n"),
            ("srt", "application/x-subrip; charset=utf-8", ".srt", "1\n00:00:01,000 --> "),
            ("ttml", "application/ttml+xml", ".ttml", '<?xml version="1.0" encoding="UTF-8"?>\n'),
            ("ultrastar", "text/plain; charset=utf-8", ".txt", "#VERSION:1.1.0\n"),
        ],
    )
    def test_each_format_says_what_it_is(
        self, house: House, name: str, media_type: str, suffix: str, begins: str
    ) -> None:
        track = house.published(title="The Star", artist="Zoë")["trackId"]
        answer = house.http.get(f"/v1/tracks/{track}/lyrics?format={name}")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == media_type
        assert answer.headers["ETag"] == '"1"'
        assert answer.headers["Content-Disposition"] == (
            f'inline; filename="Zo_ - The Star{suffix}"; '
            f"filename*=UTF-8''Zo%C3%AB%20-%20The%20Star{suffix}"
        )
        assert answer.text.startswith(begins)
        assert "Twinkle" in answer.text

    def test_ultrastar_notes_have_the_pitch_that_was_sung(self, house: House) -> None:
        track = house.published()["trackId"]
        text = house.http.get(f"/v1/tracks/{track}/lyrics?format=ultrastar").text
        notes = [line.split(" ") for line in text.splitlines() if line[:2] in (": ", "F ")]
        assert [(note[0], note[3]) for note in notes] == [
            (":", "0"),
            ("F", "0"),
            (":", "0"),
            (":", "0"),
        ]

    def test_every_format_is_described(self, house: House) -> None:
        described = house.http.get("/openapi.json").json()
        offered = described["paths"]["/v1/tracks/{track_id}/lyrics"]["get"]["responses"]
        assert set(offered["200"]["content"]) == {one.media_type for one in WRITTEN.values()}
        assert "304" in offered

    @pytest.mark.parametrize(("known", "status"), [('"1"', 304), ('W/"1"', 304), ('"2"', 200)])
    def test_what_a_client_has_is_not_sent_again(
        self, house: House, known: str, status: int
    ) -> None:
        track = house.published()["trackId"]
        answer = house.http.get(
            f"/v1/tracks/{track}/lyrics?format=vtt", headers={"If-None-Match": known}
        )
        assert answer.status_code == status
        assert answer.headers["ETag"] == '"1"'
        assert (answer.content == b"") == (status == 304)


class TestIn:
    def test_word_times_of_a_file_are_locked(self, house: House) -> None:
        lyrics = given(house, lyrics=ULTRASTAR, language=None)
        assert lyrics.language == "ru"
        assert [(w.text, w.start_ms, w.end_ms, w.locked) for w in lyrics.words()] == [
            ("Мир", 1000, 1200, True),
            ("мой", 2000, 2200, True),
        ]

    def test_line_times_are_hints(self, house: House) -> None:
        words = list(given(house, lyrics=LRC).words())
        assert [word.text for word in words] == ["Twinkle", "twinkle", "little", "star"]
        assert (words[0].start_ms, words[2].start_ms) == (1000, 4000)
        assert not any(word.locked for word in words)

    def test_the_client_decides_what_times_are_worth(self, house: House) -> None:
        soft = given(house, lyrics=ULTRASTAR, lyricsTimes="soft")
        assert not any(word.locked for word in soft.words())
        locked = given(house, lyrics=LRC, lyricsTimes="locked")
        assert all(word.locked for word in locked.words())
        text = given(house, lyrics=LRC, lyricsFormat="text")
        assert all(word.start_ms is None for word in text.words())

    def test_a_patch_keeps_ids_and_takes_times(self, house: House) -> None:
        track = house.published()["trackId"]
        before = house.http.get(f"/v1/tracks/{track}/lyrics").json()
        ids = [word["id"] for line in before["lines"] for word in line["words"]]
        timed = (
            "[00:03.00]<00:03.00>Twinkle <00:03.50>twinkle<00:04.00>\n"
            "[00:05.00]<00:05.00>little <00:05.30>bat<00:06.00>\n"
        )
        assert patch(house, track, lyrics=timed).status_code == 200
        words = list(drafted(house).words())
        assert [word.id for word in words] == ids
        assert [(word.start_ms, word.locked) for word in words] == [
            (3000, True),
            (3500, True),
            (5000, True),
            (5300, True),
        ]

    @pytest.mark.parametrize(
        ("lyrics", "format_", "words"),
        [
            ("#BPM:0\n: 0 4 0 la\nE\n", "auto", "#BPM is '0'"),
            ("#BPM:1\n: 999999999 4 0 la\nE\n", "auto", "check #BPM and #GAP"),
            (BOMB, "auto", "has a DOCTYPE"),
            ("<tt", "ttml", "stops being XML"),
            ("just words", "lrc", "no line begins with a stamp"),
            ("just words", "ultrastar", "no note"),
        ],
    )
    def test_what_cannot_be_read_is_named(
        self, house: House, lyrics: str, format_: str, words: str
    ) -> None:
        body = {"assetId": house.upload(), "lyrics": lyrics, "lyricsFormat": format_}
        refused = problem(house.http.post("/v1/tracks/import", json=body), 422, "lyrics_unreadable")
        assert words.lower() in refused["detail"].lower()
        track = house.published()["trackId"]
        answer = patch(house, track, lyrics=lyrics, lyricsFormat=format_)
        problem(answer, 422, "lyrics_unreadable")

    def test_more_text_than_any_song_is_not_parsed(self, house: House) -> None:
        huge = LRC * 30_000
        body = {"assetId": house.upload(), "lyrics": huge}
        problem(house.http.post("/v1/tracks/import", json=body), 422, "lyrics_too_long")
