"""Songs through the running product, over REST alone."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from gateway.client import Client, Refused
from schemas.documents.karaoke import KaraokeDocument
from schemas.documents.text import split_line
from tests import songs
from tests.e2e.product import Json, Product, accept, finish, gone, stage_children, step, until

pytestmark = pytest.mark.e2e


def sound(content: bytes) -> tuple[Any, int]:
    samples, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    return samples, int(rate)


def test_a_song_is_awaited_published_and_fetched(client: Client, http: httpx.Client) -> None:
    song = songs.make("short", 1)
    accepted = accept(client, song)
    track = accepted["trackId"]
    assert accepted["version"] == 1

    early = http.get(f"/v1/tracks/{track}/ready")
    assert early.status_code == 425
    assert early.headers["content-type"] == "application/problem+json"
    assert int(early.headers["retry-after"]) >= 1
    assert early.headers["cache-control"] == "no-store"
    problem = early.json()
    assert problem["jobId"] == accepted["jobId"]
    assert problem["state"] in ("queued", "running")
    assert {"stage", "progress", "traceId", "code"} <= set(problem)
    assert http.get(f"/v1/tracks/{track}/assets").status_code == 409

    told: list[Json] = []
    ready = client.wait_until_ready(track, timeout_s=120, progress=told.append)
    shares = [each["progress"] for each in told]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)

    assert {"trackId", "version", "minusUrl", "vocalsUrl", "lyrics", "qc"} <= set(ready)
    assert (ready["trackId"], ready["version"]) == (track, 1)
    assert ready.get("pending") is None
    assert http.get(f"/v1/tracks/{track}/ready").headers["etag"] == '"1"'
    karaoke = KaraokeDocument.model_validate(ready["lyrics"])
    assert ready["qc"] == ready["lyrics"]["qc"]
    words = list(karaoke.words())
    assert [word.text for word in words] == [word.text for word in song.words]
    unplaced = {flag.word_id for flag in karaoke.qc.flags}
    assert all(word.start_ms is not None or word.id in unplaced for word in words)
    assert karaoke.duration_ms == pytest.approx(1000 * song.mix.seconds, abs=2)
    source = ready["lyrics"]["source"]
    assert source["separation"]["backend"] == source["alignment"]["backend"] == "light"

    job = finish(client, accepted["jobId"])
    assert [each["step"] for each in job["steps"]] == ["separate", "align", "qc", "publish"]
    assert all(each["state"] == "succeeded" for each in job["steps"])
    assert all(each["seconds"] >= 0 for each in job["steps"])

    links = client.assets(track)
    stems = {}
    for name in ("minus", "vocals", "mix"):
        answer = http.get(links[name]["url"])
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "audio/flac"
        stems[name], rate = sound(answer.content)
        assert rate == 44_100
    np.testing.assert_allclose(stems["minus"] + stems["vocals"], stems["mix"], atol=1e-3)
    part = http.get(ready["minusUrl"], headers={"Range": "bytes=4-9"})
    assert part.status_code == 206
    assert part.content == http.get(ready["minusUrl"]).content[4:10]

    timed = client.lyrics(track, format="lrc")
    assert all(text in timed for text in song.lyrics_text.splitlines())


@pytest.mark.parametrize("kind", ["duet", "russian", "mono_mp3"])
def test_other_songs_are_published_word_for_word(kind: songs.Kind, client: Client) -> None:
    song = songs.make(kind, 1)
    accepted = accept(client, song)
    finish(client, accepted["jobId"])
    karaoke = KaraokeDocument.model_validate(client.ready(accepted["trackId"])["lyrics"])
    words = list(karaoke.words())
    assert [line.text for line in karaoke.lines] == song.lyrics_text.splitlines()
    assert karaoke.language == song.language
    placed = [
        abs(word.start_ms - true.start_ms)
        for word, true in zip(words, song.words, strict=True)
        if word.start_ms is not None
    ]
    unplaced = {flag.word_id for flag in karaoke.qc.flags}
    assert all(word.start_ms is not None or word.id in unplaced for word in words)
    print(f"{song.name}: {len(placed)} of {len(words)} placed, mean {np.mean(placed):.0f} ms")
    # A song whose words were thrown anywhere is seconds off; how exact they are is measured in
    # the tests of the pipeline's accuracy.
    assert np.median(placed) < 300


def test_words_are_recognised_where_none_are_given(client: Client) -> None:
    song = songs.make("short", 1)
    accepted = accept(client, song, with_lyrics=False)
    job = finish(client, accepted["jobId"])
    assert [each["step"] for each in job["steps"]] == [
        "separate",
        "transcribe",
        "align",
        "qc",
        "publish",
    ]
    ready = client.ready(accepted["trackId"])
    karaoke = KaraokeDocument.model_validate(ready["lyrics"])
    assert list(karaoke.words())
    assert karaoke.source.transcription is not None
    with pytest.raises(Refused) as refused:
        client.reprocess(accepted["trackId"], ["fly"])
    assert refused.value.status == 422


def test_edits_make_a_version_and_leave_the_first_one_alone(
    client: Client, http: httpx.Client
) -> None:
    song = songs.make("short", 1)
    track = str(accept(client, song)["trackId"])
    first = client.wait_until_ready(track, timeout_s=120)["lyrics"]
    shown = http.get(f"/v1/tracks/{track}/versions/1").content

    # A person moves a word and respells another one.
    line = first["lines"][0]
    moved, respelled = line["words"][1], line["words"][-1]
    assert moved["startMs"] is not None
    start, end = moved["startMs"] + 20, moved["endMs"] - 20
    edits = [
        {"wordId": moved["id"], "startMs": start, "endMs": end},
        {"wordId": respelled["id"], "text": "moonlight,"},
    ]
    draft = client.edit_lyrics(track, version=1, edits=edits)
    assert (draft["version"], draft["state"]) == (2, "draft")
    assert client.ready(track)["version"] == 1

    again = client.reprocess(track, ["align"])
    assert again["version"] == 2
    meanwhile = client.ready(track)
    if meanwhile["version"] == 1:  # otherwise it was done already
        assert meanwhile["pending"] == {"jobId": again["jobId"], "version": 2}
    job = finish(client, again["jobId"])
    steps = {each["step"]: each["state"] for each in job["steps"]}
    assert {"align", "qc", "publish"} <= set(steps)

    ready = client.ready(track)
    assert ready["version"] == 2
    second = ready["lyrics"]
    assert second["parent"] == 1
    kept = next(w for w in second["lines"][0]["words"] if w["id"] == moved["id"])
    assert (kept["startMs"], kept["endMs"], kept["locked"], kept["src"]) == (
        start,
        end,
        True,
        "manual",
    )
    assert second["lines"][0]["words"][-1]["text"] == "moonlight,"
    assert http.get(f"/v1/tracks/{track}/versions/1").content == shown
    assert json.loads(client.lyrics(track, version=1)) == first

    # The whole text at once, aligned by itself; the lock outlives that too.
    text = "".join(each["text"] + "\n" for each in second["lines"]) + "Good night, sleep tight.\n"
    third = client.edit_lyrics(track, version=2, lyrics=text, align=True)
    assert third["version"] == 3
    finish(client, third["jobId"])
    newest = client.ready(track)["lyrics"]
    assert newest["lines"][-1]["text"] == "Good night, sleep tight."
    assert len(newest["lines"][-1]["words"]) == len(split_line("Good night, sleep tight."))
    same = next(w for w in newest["lines"][0]["words"] if w["id"] == moved["id"])
    assert (same["startMs"], same["endMs"]) == (start, end)

    # Back to what it was: the first version's content is the fourth version.
    back = client.roll_back(track, 1)
    assert back["version"] == 4
    finish(client, back["jobId"])
    fourth = client.ready(track)["lyrics"]
    assert fourth["lines"] == first["lines"]
    listed = client.versions(track)
    assert [(each["version"], each["state"]) for each in listed["versions"]] == [
        (number, "published") for number in (1, 2, 3, 4)
    ]
    assert http.get(f"/v1/tracks/{track}/versions/1").content == shown

    with pytest.raises(Refused) as refused:
        client.edit_lyrics(track, version=1, lyrics="too late")
    assert (refused.value.status, refused.value.code) == (412, "precondition_failed")
    bare = http.patch(f"/v1/tracks/{track}/lyrics", json={"lyrics": "whose?"})
    assert (bare.status_code, bare.json()["code"]) == (428, "precondition_required")


def test_a_browser_follows_a_job_to_its_end(client: Client, http: httpx.Client) -> None:
    song = songs.make("short", 4)
    accepted = accept(client, song)
    # EventSource cannot set headers: the client id comes as a parameter.
    address = f"/v1/jobs/{accepted['jobId']}/events?clientId=browser"
    snapshots: list[Json] = []
    last = ""
    with http.stream("GET", address, headers={"Accept": "text/event-stream"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                last = value
            elif name == "data":
                snapshots.append(json.loads(value))
    states = [each["state"] for each in snapshots]
    assert states[-1] == "succeeded"
    assert states == sorted(states, key=["queued", "running", "succeeded"].index)
    shares = [each["progress"] for each in snapshots]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    final = client.job(accepted["jobId"])
    assert snapshots[-1]["steps"] == final["steps"]
    assert http.get(address, headers={"Last-Event-ID": last}).status_code == 204
    with http.stream("GET", f"/v1/tracks/{accepted['trackId']}/events") as stream:
        data = next(line for line in stream.iter_lines() if line.startswith("data: "))
    assert json.loads(data.removeprefix("data: "))["version"] == 1


def test_the_same_audio_is_separated_once(client: Client) -> None:
    song = songs.make("short", 2)
    asset = client.upload(song.path)
    first, second = (
        client.import_track(asset, lyrics=song.lyrics_text, language="en") for _ in range(2)
    )
    third = accept(client, song)  # uploaded once more: the bytes are the same, the asset is not
    jobs = [finish(client, each["jobId"]) for each in (first, second, third)]
    reused = [step(job, "separate").get("reused", False) for job in jobs]
    assert sorted(reused) == [False, True, True]
    vocals = {
        json.dumps(client.ready(each["trackId"])["lyrics"]["lines"])
        for each in (first, second, third)
    }
    assert len(vocals) == 1


def test_imports_at_the_same_moment_separate_once(
    own_product: Callable[..., Product], tmp_path: Path
) -> None:
    product = own_product(SLOTS='{"separation": 2}')
    song = songs.make("short", 3)
    accepted: list[Json] = []

    def send() -> None:
        with product.client() as client:
            accepted.append(accept(client, song))

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(accepted) == 2
    with product.client() as client:
        jobs = [finish(client, each["jobId"]) for each in accepted]
    assert sorted(step(job, "separate").get("reused", False) for job in jobs) == [False, True]
    manifests = list((product.data / "artifacts/objects/results/separation").rglob("manifest.json"))
    assert len(manifests) == 1
    product.stop()


def test_cancel_ends_a_separation_and_its_process(
    own_product: Callable[..., Product], tmp_path: Path
) -> None:
    product = own_product()
    hiss = tmp_path / "hiss.wav"
    # Ten minutes: long enough to be in work when the cancel comes, on any machine.
    noise = np.random.default_rng(0).normal(0, 0.1, (44_100 * 10, 2)).astype(np.float32)
    soundfile.write(hiss, np.tile(noise, (60, 1)), 44_100, subtype="PCM_16")
    with product.client() as client:
        accepted = client.import_track(client.upload(hiss), lyrics="la la la", language="en")

        def separating() -> dict[int, int]:
            job = client.job(accepted["jobId"])
            busy = step(job, "separate")["progress"] > 0 if job["steps"] else False
            return stage_children(product.up) if busy else {}

        children = until(separating, "a separation in work")
        began = time.monotonic()
        canceled = client.cancel(accepted["jobId"], "wrong song")
        assert canceled["state"] == "canceled"
        until(lambda: any(gone(pid) for pid in children), "the child's end", timeout_s=30)
        print(f"cancel: the child was gone after {time.monotonic() - began:.2f} s")
        until(
            lambda: not set(stage_children(product.up)) & set(children),
            "the end of all that it started",
            timeout_s=10,
        )
        job = client.job(accepted["jobId"])
        assert job["state"] == "canceled"
        with pytest.raises(Refused) as refused:
            client.ready(accepted["trackId"])
        assert (refused.value.status, refused.value.code) == (409, "track_canceled")
        with pytest.raises(Refused) as again:
            client.cancel(accepted["jobId"])
        assert (again.value.status, again.value.code) == (409, "job_ended")

        song = songs.make("short", 1)  # the stage goes on with the next song
        finish(client, accept(client, song)["jobId"])
    product.stop()


def test_a_failed_job_is_retried_once_its_reason_is_gone(
    own_product: Callable[..., Product],
) -> None:
    product = own_product(MAX_SONG_SECONDS="5")
    song = songs.make("short", 1)
    with product.client() as client:
        accepted = accept(client, song)
        job = client.wait_for_job(accepted["jobId"], timeout_s=120)
        assert job["state"] == "failed"
        assert job["error"]["step"] == "separate"
        assert job["error"]["code"] == "too_long"
        with pytest.raises(Refused) as refused:
            client.ready(accepted["trackId"])
        assert (refused.value.status, refused.value.code) == (409, "track_failed")
        assert refused.value.problem["step"] == "separate"
        with pytest.raises(Refused) as ended:
            client.cancel(accepted["jobId"])
        assert ended.value.status == 409

    product.stop()
    product.restart(MAX_SONG_SECONDS="900")  # the operator takes longer songs now
    with product.client() as client:
        assert client.job(accepted["jobId"])["state"] == "failed"
        retried = client.retry(accepted["jobId"])
        assert retried["attempt"] == 2
        job = finish(client, accepted["jobId"])
        assert job["attempt"] == 2
        assert client.ready(accepted["trackId"])["version"] == 1
        with pytest.raises(Refused) as again:
            client.retry(accepted["jobId"])
        assert (again.value.status, again.value.code) == (409, "job_not_failed")
    product.stop()
