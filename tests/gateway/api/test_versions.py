from __future__ import annotations

from typing import Any

import pytest

from schemas.documents.formats import WRITTEN
from schemas.documents.lyrics import LyricsDocument
from schemas.events import LyricsEdited, ReprocessRequested, Work
from tests.gateway.house import House, problem


def edit(house: House, track: str, version: int, query: str = "", **body: Any) -> Any:
    return house.http.patch(
        f"/v1/tracks/{track}/lyrics{query}", json=body, headers={"If-Match": f'"{version}"'}
    )


def reprocess(house: House, track: str, *steps: str, **more: Any) -> Any:
    return house.http.post(f"/v1/tracks/{track}/reprocess", json={"steps": steps} | more)


def requests(house: House) -> list[ReprocessRequested]:
    events = [envelope.event for envelope in house.events("reprocess-requested")]
    return [event for event in events if isinstance(event, ReprocessRequested)]


def newest(house: House) -> Work:
    return max((event.work for event in requests(house)), key=lambda work: work.version)


def draft_of(house: House) -> LyricsEdited:
    events = [envelope.event for envelope in house.events("lyrics-edited")]
    found = [event for event in events if isinstance(event, LyricsEdited)]
    return max(found, key=lambda event: event.version)


class TestEdit:
    def test_makes_a_draft_that_can_be_read_at_once(self, house: House) -> None:
        track = house.published()["trackId"]
        answer = edit(house, track, 1, lyrics="Twinkle twinkle\nlittle bat")
        assert answer.status_code == 200
        assert answer.json() == {"trackId": track, "version": 2, "state": "draft"}
        assert answer.headers["ETag"] == '"2"'
        listed = house.http.get(f"/v1/tracks/{track}/versions")
        assert listed.headers["ETag"] == '"2"'
        assert [(v["version"], v["state"]) for v in listed.json()["versions"]] == [
            (1, "published"),
            (2, "draft"),
        ]
        seen = house.http.get(f"/v1/tracks/{track}/versions/2").json()
        assert (seen["parent"], seen["lyrics"]["schema"]) == (1, "lyrics/1")
        assert house.http.get(f"/v1/tracks/{track}/ready").json()["version"] == 1

    def test_words_that_stay_keep_their_ids(self, house: House) -> None:
        track = house.published()["trackId"]
        before = house.http.get(f"/v1/tracks/{track}/lyrics").json()
        edit(house, track, 1, lyrics="Twinkle twinkle\nlittle bat")
        event = draft_of(house)
        assert event.lyrics is not None
        after = LyricsDocument.from_json(house.artifacts.read(event.lyrics.uri))
        ids = [word["id"] for line in before["lines"] for word in line["words"]]
        assert [word.id for word in after.words()][:3] == ids[:3]

    def test_no_word_is_locked_behind_the_end_of_the_song(self, house: House) -> None:
        track = house.published()["trackId"]
        document = house.http.get(f"/v1/tracks/{track}/lyrics").json()
        word = document["lines"][-1]["words"][-1]["id"]
        late = {"wordId": word, "startMs": 3_000_000, "endMs": 3_000_500}
        refused = problem(edit(house, track, 1, edits=[late]), 422, "edit_invalid")
        assert "would end at 3000500 ms, the song at" in refused["detail"]

    def test_times_that_a_person_sets_are_locked(self, house: House) -> None:
        track = house.published()["trackId"]
        document = house.http.get(f"/v1/tracks/{track}/lyrics").json()
        word = document["lines"][0]["words"][1]["id"]
        answer = edit(
            house,
            track,
            1,
            "?reprocess=auto",
            edits=[{"wordId": word, "startMs": 2500, "endMs": 2900}],
        )
        assert answer.status_code == 200, answer.text
        job = answer.json()["jobId"]
        work = newest(house)
        assert (work.job_id, work.version, work.parent) == (job, 2, 1)
        assert work.from_stage == "alignment"
        assert {artifact.name for artifact in work.artifacts} == {
            "source",
            "heard",
            "listened",
            "vocals",
            "minus",
            "mix",
            "parent",
            "previous",
        }
        assert work.lyrics == draft_of(house).lyrics
        house.publish(job)
        ready = house.http.get(f"/v1/tracks/{track}/ready").json()
        assert ready["version"] == 2
        moved = ready["lyrics"]["lines"][0]["words"][1]
        assert (moved["startMs"], moved["endMs"], moved["locked"]) == (2500, 2900, True)
        assert ready["lyrics"]["parent"] == 1
        first = house.http.get(f"/v1/tracks/{track}/versions/1").json()
        assert first["lyrics"] == document

    def test_needs_if_match(self, house: House) -> None:
        track = house.published()["trackId"]
        answer = house.http.patch(f"/v1/tracks/{track}/lyrics", json={"lyrics": "la"})
        problem(answer, 428, "precondition_required")
        assert answer.headers["ETag"] == '"1"'

    @pytest.mark.parametrize("tag", ['"0"', '"2"', 'W/"1"', "nonsense", '"1'])
    def test_refuses_another_version(self, house: House, tag: str) -> None:
        track = house.published()["trackId"]
        answer = house.http.patch(
            f"/v1/tracks/{track}/lyrics", json={"lyrics": "la"}, headers={"If-Match": tag}
        )
        assert problem(answer, 412, "precondition_failed")["newestVersion"] == 1
        assert answer.headers["ETag"] == '"1"'
        assert house.events("lyrics-edited") == []

    def test_compares_with_drafts_too(self, house: House) -> None:
        track = house.published()["trackId"]
        edit(house, track, 1, lyrics="la la")
        problem(edit(house, track, 1, lyrics="lo lo"), 412, "precondition_failed")
        assert edit(house, track, 2, lyrics="lo lo").json()["version"] == 3
        assert draft_of(house).parent == 2

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({}, 422, "validation_failed"),
            ({"lyrics": "la", "edits": [{"wordId": "w1", "text": "b"}]}, 422, "validation_failed"),
            ({"edits": []}, 422, "validation_failed"),
            ({"edits": [{"text": "b"}]}, 422, "validation_failed"),
            ({"edits": [{"wordId": "w1"}]}, 422, "validation_failed"),
            ({"edits": [{"wordId": "w1", "startMs": -5}]}, 422, "validation_failed"),
            ({"edits": [{"wordId": "w1", "startMs": "soon"}]}, 422, "validation_failed"),
            ({"edits": [{"wordId": "w1", "colour": "red"}]}, 422, "validation_failed"),
            ({"edits": {"wordId": "w1"}}, 422, "validation_failed"),
            ({"edits": [{"wordId": "w99", "text": "b"}]}, 422, "edit_invalid"),
            ({"edits": [{"wordId": "../w1", "text": "b"}]}, 422, "edit_invalid"),
            ({"edits": [{"wordId": "w1", "text": "two words"}]}, 422, "edit_invalid"),
            ({"edits": [{"wordId": "w1", "startMs": 9000, "endMs": 8000}]}, 422, "edit_invalid"),
            ({"lyrics": "!!!"}, 422, "lyrics_without_words"),
            ({"lyrics": ""}, 422, "lyrics_without_words"),
            ({"lyrics": "la " * 10_000}, 422, "lyrics_too_long"),
            ({"lyrics": "л" * 300_000}, 422, "lyrics_too_long"),
        ],
    )
    def test_refuses_what_makes_no_sense(
        self, house: House, body: dict[str, Any], status: int, code: str
    ) -> None:
        track = house.published()["trackId"]
        problem(edit(house, track, 1, **body), status, code)
        assert house.events("lyrics-edited") == []

    def test_respelling_very_many_lines_is_one_text(self, house: House) -> None:
        track = house.published(lyrics="la la la la la\n" * 300)["trackId"]
        edits = [{"lineId": f"l{n}", "text": "lo lo"} for n in range(1, 301)]
        found = problem(edit(house, track, 1, edits=edits), 422, "edit_invalid")
        assert "up to 133" in found["detail"]

    def test_waits_for_the_first_version(self, house: House) -> None:
        track = house.imported()["trackId"]
        problem(edit(house, track, 1, lyrics="la"), 409, "track_unfinished")
        problem(edit(house, "trk_unknown", 1, lyrics="la"), 404, "track_not_found")

    def test_the_same_key_makes_one_draft(self, house: House) -> None:
        track = house.published()["trackId"]
        headers = {"If-Match": '"1"', "Idempotency-Key": "edit-1"}
        answers = [
            house.http.patch(f"/v1/tracks/{track}/lyrics", json={"lyrics": "la"}, headers=headers)
            for _ in range(2)
        ]
        assert [answer.json()["version"] for answer in answers] == [2, 2]
        assert len(house.events("lyrics-edited")) == 1


class TestReprocess:
    def test_publishes_the_newest_draft(self, house: House) -> None:
        track = house.published()["trackId"]
        edit(house, track, 1, lyrics="Twinkle twinkle\nlittle bat")
        answer = reprocess(house, track, "align")
        assert answer.status_code == 202
        assert answer.json()["version"] == 2
        assert answer.headers["Location"] == f"/v1/jobs/{answer.json()['jobId']}"
        (event,) = requests(house)
        assert (event.reason, event.steps) == ("reprocess", ("align",))
        assert event.work.lyrics == draft_of(house).lyrics
        problem(reprocess(house, track, "align"), 409, "reprocess_in_work")
        house.publish(answer.json()["jobId"])
        assert house.http.get(f"/v1/tracks/{track}/ready").json()["version"] == 2
        assert house.http.get(f"/v1/tracks/{track}/versions/1").status_code == 200

    def test_reserves_a_version_when_there_is_no_draft(self, house: House) -> None:
        track = house.published()["trackId"]
        assert reprocess(house, track, "align").json()["version"] == 2
        assert reprocess(house, track, "qc", "align").json()["version"] == 3
        assert newest(house).from_stage == "alignment"

    def test_goes_on_to_the_callback_given_at_import(self, house: House) -> None:
        track = house.published(callbackUrl="https://example.com/")["trackId"]
        reprocess(house, track, "align")
        assert newest(house).callback_id.startswith("cbk_")

    @pytest.mark.parametrize(
        ("step", "stage", "carried"),
        [
            ("separate", "separation", {"source"}),
            ("align", "alignment", {"source", "vocals", "minus", "mix", "parent"}),
            ("qc", "quality", {"source", "vocals", "minus", "mix", "alignment"}),
            (
                "publish",
                "publishing",
                {"source", "vocals", "minus", "mix", "alignment", "checked", "pitch"},
            ),
        ],
    )
    def test_brings_what_earlier_steps_made(
        self, house: House, step: str, stage: str, carried: set[str]
    ) -> None:
        track = house.published()["trackId"]
        assert reprocess(house, track, step).status_code == 202
        work = newest(house)
        assert work.from_stage == stage
        # What was heard is carried everywhere: the stages tell whether it is of these stems still.
        carried = carried | {"heard", "listened", "previous"}
        assert {artifact.name for artifact in work.artifacts} == carried
        assert work.lyrics is not None
        assert ("separation" in work.backends) == (stage != "separation")

    def test_keeps_given_lyrics_unless_told(self, house: House) -> None:
        track = house.published()["trackId"]
        problem(reprocess(house, track, "transcribe"), 409, "lyrics_were_given")
        assert reprocess(house, track, "transcribe", replaceLyrics=True).status_code == 202
        work = newest(house)
        assert (work.from_stage, work.lyrics) == ("transcription", None)

    def test_a_draft_is_not_judged_by_older_times(self, house: House) -> None:
        track = house.published()["trackId"]
        edit(house, track, 1, lyrics="la la")
        found = problem(reprocess(house, track, "qc"), 409, "material_missing")
        assert found["missing"] == ["alignment"]

    @pytest.mark.parametrize("steps", [[], ["dance"], "align", [1], None, ["align"] * 6], ids=repr)
    def test_refuses_steps_that_are_none(self, house: House, steps: Any) -> None:
        answer = house.http.post("/v1/tracks/trk_1/reprocess", json={"steps": steps})
        problem(answer, 422, "validation_failed")

    def test_waits_for_the_first_version(self, house: House) -> None:
        accepted = house.imported()
        problem(reprocess(house, accepted["trackId"], "align"), 409, "track_unfinished")
        house.fail(accepted["jobId"])
        problem(reprocess(house, accepted["trackId"], "align"), 409, "track_failed")
        problem(reprocess(house, "trk_unknown", "align"), 404, "track_not_found")

    def test_the_same_key_makes_one_job(self, house: House) -> None:
        track = house.published()["trackId"]
        answers = [
            house.http.post(
                f"/v1/tracks/{track}/reprocess",
                json={"steps": ["align"]},
                headers={"Idempotency-Key": "again"},
            )
            for _ in range(2)
        ]
        assert answers[0].json() == answers[1].json()
        assert len(requests(house)) == 1


class TestRollBack:
    def test_publishes_the_old_content_as_a_new_version(self, house: House) -> None:
        track = house.published()["trackId"]
        edit(house, track, 1, lyrics="Something else")
        house.publish(reprocess(house, track, "align").json()["jobId"])
        answer = house.http.post(f"/v1/tracks/{track}/versions/1/publish")
        assert answer.status_code == 202
        assert answer.json()["version"] == 3
        work = newest(house)
        assert (work.from_stage, work.parent) == ("publishing", 1)
        assert max(requests(house), key=lambda e: e.work.version).reason == "rollback"
        house.publish(answer.json()["jobId"])
        ready = house.http.get(f"/v1/tracks/{track}/ready").json()
        assert ready["version"] == 3
        assert ready["lyrics"]["lines"][0]["text"] == "Twinkle twinkle"

    def test_a_draft_has_nothing_to_publish(self, house: House) -> None:
        track = house.published()["trackId"]
        edit(house, track, 1, lyrics="la")
        answer = house.http.post(f"/v1/tracks/{track}/versions/2/publish")
        problem(answer, 409, "version_not_published")

    @pytest.mark.parametrize(
        ("number", "status", "code"),
        [
            ("9", 404, "version_not_found"),
            ("0", 422, "validation_failed"),
            ("-1", 422, "validation_failed"),
            ("one", 422, "validation_failed"),
            ("99999999999999999999", 422, "validation_failed"),
        ],
    )
    def test_unknown_versions(self, house: House, number: str, status: int, code: str) -> None:
        track = house.published()["trackId"]
        for answer in (
            house.http.get(f"/v1/tracks/{track}/versions/{number}"),
            house.http.post(f"/v1/tracks/{track}/versions/{number}/publish"),
        ):
            problem(answer, status, code)


class TestDiff:
    def test_a_draft_against_what_it_was_edited_from(self, house: House) -> None:
        track = house.published()["trackId"]
        document = house.http.get(f"/v1/tracks/{track}/lyrics").json()
        word = document["lines"][0]["words"][1]
        moved = {"wordId": word["id"], "startMs": word["startMs"] + 30, "endMs": word["endMs"]}
        assert edit(house, track, 1, edits=[moved]).status_code == 200
        answer = house.http.get(f"/v1/tracks/{track}/versions/1/diff/2")
        assert answer.status_code == 200
        found = answer.json()
        assert (found["before"], found["after"]) == (1, 2)
        assert found["summary"]["words"] == {"moved": 1, "locked": 1}
        assert found["summary"]["unchangedWords"] == 3
        assert [one["startMovedMs"] for one in found["words"]] == [30]
        assert found["told"] == [
            f"word {word['id']} 'twinkle' starts +30 ms, ends +0 ms, was locked"
        ]
        assert (found["media"], found["backends"]) == ([], [])
        back = house.http.get(f"/v1/tracks/{track}/versions/2/diff/1").json()
        assert back["words"][0]["changes"] == ["moved", "unlocked"]

    def test_a_version_with_itself(self, house: House) -> None:
        track = house.published()["trackId"]
        found = house.http.get(f"/v1/tracks/{track}/versions/1/diff/1").json()
        assert (found["words"], found["lines"], found["told"]) == ([], [], [])

    def test_of_versions_and_tracks_that_do_not_exist(self, house: House) -> None:
        track = house.published()["trackId"]
        answer = house.http.get(f"/v1/tracks/{track}/versions/1/diff/7")
        problem(answer, 404, "version_not_found")
        problem(house.http.get("/v1/tracks/trk_no/versions/1/diff/1"), 404, "track_not_found")


class TestLyrics:
    def test_come_as_karaoke_or_lrc(self, house: House) -> None:
        track = house.published(title="The Star")["trackId"]
        document = house.http.get(f"/v1/tracks/{track}/lyrics")
        assert document.json()["schema"] == "karaoke/1"
        assert document.headers["ETag"] == '"1"'
        lrc = house.http.get(f"/v1/tracks/{track}/lyrics?format=lrc")
        assert lrc.headers["content-type"] == "text/plain; charset=utf-8"
        assert "[ti:The Star]\n" in lrc.text
        assert "[00:01.00]Twinkle twinkle\n" in lrc.text

    @pytest.mark.parametrize("name", ["txt", "KARAOKE", "", "../karaoke"])
    def test_name_the_formats_that_exist(self, house: House, name: str) -> None:
        track = house.published()["trackId"]
        answer = house.http.get(f"/v1/tracks/{track}/lyrics", params={"format": name})
        assert problem(answer, 406, "format_unknown")["formats"] == list(WRITTEN)

    def test_of_a_draft_have_no_times(self, house: House) -> None:
        track = house.published()["trackId"]
        edit(house, track, 1, lyrics="la")
        answer = house.http.get(f"/v1/tracks/{track}/lyrics?version=2")
        problem(answer, 409, "version_not_published")
        assert house.http.get(f"/v1/tracks/{track}/lyrics?version=1").status_code == 200
        answer = house.http.get(f"/v1/tracks/{track}/lyrics?version=7")
        problem(answer, 404, "version_not_found")

    def test_wait_for_the_first_version(self, house: House) -> None:
        track = house.imported()["trackId"]
        problem(house.http.get(f"/v1/tracks/{track}/lyrics"), 409, "track_unfinished")
