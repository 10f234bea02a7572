"""What every store of the gateway's own rows keeps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.projection.reservations import (
    LAPSE_MS,
    Answer,
    Asset,
    Client,
    InFlight,
    Mine,
    Mismatch,
    Reservations,
    Upload,
)
from schemas.events import Artifact

NOW = 1_800_000_000_000
UPLOAD = Upload(
    upload_id="upl_1",
    tenant="studio",
    key="uploads/studio/upl_1",
    store_upload="mp-1",
    filename="Песня.flac",
    content_type="audio/flac",
    size_bytes=123,
    part_size_bytes=100,
    asset_id="ast_1",
    created_ms=NOW,
    expires_ms=NOW + 1000,
)
ASSET = Asset(
    asset_id="ast_1",
    tenant="studio",
    upload_id="upl_1",
    artifact=Artifact(name="source", uri="local:x", sha256="", bytes=123, media_type="audio/flac"),
    format="flac",
    filename="Песня.flac",
    created_ms=NOW,
)
ANSWER = Answer(202, {"jobId": "job_1"}, {"Location": "/v1/jobs/job_1"})


def at_once(threads: int, act: Callable[[int], None]) -> None:
    """Run ``act`` in several threads that begin together."""
    barrier = threading.Barrier(threads)

    def run(number: int) -> None:
        barrier.wait()
        act(number)

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


class ReservationsContract:
    """Inherit and give a fixture ``rows``: an empty one."""

    def test_keeps_uploads(self, rows: Reservations) -> None:
        rows.save_upload(UPLOAD)
        assert rows.upload("studio", "upl_1") == UPLOAD
        assert rows.upload("other", "upl_1") is None
        rows.save_upload(replace(UPLOAD, expires_ms=NOW + 5000))
        assert rows.upload("studio", "upl_1") == replace(UPLOAD, expires_ms=NOW + 5000)

    def test_keeps_channels(self, rows: Reservations) -> None:
        rows.save_channel("studio", "b", {"prompt": "первая"})
        rows.save_channel("studio", "a", {"prompt": "вторая"})
        rows.save_channel("studio", "b", {"prompt": "третья"})
        assert rows.channel("studio", "b") == {"prompt": "третья"}
        assert rows.channel("other", "b") is None
        assert rows.channels("studio") == [
            ("a", {"prompt": "вторая"}),
            ("b", {"prompt": "третья"}),
        ]
        assert rows.channels("other") == []
        assert rows.remove_channel("studio", "b")
        assert not rows.remove_channel("studio", "b")
        assert rows.channel("studio", "b") is None

    def test_an_upload_ends_once(self, rows: Reservations) -> None:
        rows.save_upload(UPLOAD)
        assert rows.end_upload("studio", "upl_1", "completed") == "completed"
        assert rows.end_upload("studio", "upl_1", "aborted") == "completed"
        rows.save_upload(UPLOAD)
        upload = rows.upload("studio", "upl_1")
        assert upload is not None
        assert upload.state == "completed"
        with pytest.raises(KeyError):
            rows.end_upload("studio", "upl_2", "aborted")

    def test_finds_uploads_to_sweep(self, rows: Reservations) -> None:
        for number, expires_ms in enumerate([NOW + 30, NOW + 10, NOW + 20, NOW + 40]):
            rows.save_upload(replace(UPLOAD, upload_id=f"upl_{number}", expires_ms=expires_ms))
        rows.end_upload("studio", "upl_2", "completed")
        assert [u.upload_id for u in rows.expired_uploads(NOW + 30)] == ["upl_1", "upl_0"]
        assert [u.upload_id for u in rows.expired_uploads(NOW + 30, limit=1)] == ["upl_1"]

    def test_keeps_the_first_asset_of_an_id(self, rows: Reservations) -> None:
        rows.save_asset(ASSET)
        rows.save_asset(replace(ASSET, format="wav"))
        assert rows.asset("studio", "ast_1") == ASSET
        assert rows.asset("other", "ast_1") is None

    def test_versions_count_up_a_track(self, rows: Reservations) -> None:
        assert rows.reserve_version("studio", "trk_1", "job_1", floor=0) == 1
        assert rows.reserve_version("studio", "trk_1", "job_2", floor=0) == 2
        assert rows.reserve_version("studio", "trk_2", "job_1", floor=0) == 1
        assert rows.reserve_version("other", "trk_1", "job_1", floor=0) == 1

    def test_a_holder_gets_its_version_again(self, rows: Reservations) -> None:
        first = rows.reserve_version("studio", "trk_1", "job_1", floor=0)
        rows.reserve_version("studio", "trk_1", "job_2", floor=0)
        assert rows.reserve_version("studio", "trk_1", "job_1", floor=9) == first

    def test_versions_begin_above_what_events_have_shown(self, rows: Reservations) -> None:
        rows.reserve_version("studio", "trk_1", "job_1", floor=0)
        assert rows.reserve_version("studio", "trk_1", "job_2", floor=7) == 8
        assert rows.reserve_version("studio", "trk_1", "job_3", floor=2) == 9

    def test_no_version_is_given_out_twice(self, rows: Reservations) -> None:
        given: list[int] = []

        def take(number: int) -> None:
            given.extend(
                rows.reserve_version("studio", "trk_1", f"job_{number}_{turn}", floor=0)
                for turn in range(10)
            )

        at_once(4, take)
        assert sorted(given) == list(range(1, 41))

    def test_a_key_is_first_somebodys_then_answered(self, rows: Reservations) -> None:
        assert rows.reserve("studio", "k", "d", {"job": "job_1"}, NOW) == Mine(
            {"job": "job_1"}, resumed=False
        )
        assert rows.reserve("studio", "k", "d", {"job": "job_2"}, NOW + 1000) == InFlight(
            LAPSE_MS - 1000
        )
        assert rows.complete("studio", "k", ANSWER, NOW + 2000) == ANSWER
        assert rows.reserve("studio", "k", "d", {"job": "job_3"}, NOW + 3000) == ANSWER

    def test_another_body_under_the_key_is_a_mismatch_at_any_time(self, rows: Reservations) -> None:
        rows.reserve("studio", "k", "d", {}, NOW)
        assert rows.reserve("studio", "k", "e", {}, NOW) == Mismatch()
        assert rows.reserve("studio", "k", "e", {}, NOW + LAPSE_MS) == Mismatch()
        rows.complete("studio", "k", ANSWER, NOW)
        assert rows.reserve("studio", "k", "e", {}, NOW) == Mismatch()

    def test_keys_of_tenants_are_apart(self, rows: Reservations) -> None:
        rows.reserve("studio", "k", "d", {}, NOW)
        assert isinstance(rows.reserve("other", "k", "e", {"job": "x"}, NOW), Mine)

    def test_a_lapsed_try_leaves_its_ids_to_the_next(self, rows: Reservations) -> None:
        rows.reserve("studio", "k", "d", {"job": "job_1"}, NOW)
        assert rows.reserve("studio", "k", "d", {"job": "job_2"}, NOW + LAPSE_MS) == Mine(
            {"job": "job_1"}, resumed=True
        )
        # The next try has its own 60 s.
        assert rows.reserve("studio", "k", "d", {}, NOW + LAPSE_MS + 1) == InFlight(LAPSE_MS - 1)

    def test_a_released_key_goes_on_at_once_with_its_ids(self, rows: Reservations) -> None:
        rows.reserve("studio", "k", "d", {"job": "job_1"}, NOW)
        rows.release("studio", "k")
        assert rows.reserve("studio", "k", "d", {"job": "job_2"}, NOW + 1) == Mine(
            {"job": "job_1"}, resumed=True
        )

    def test_the_first_answer_stays(self, rows: Reservations) -> None:
        rows.reserve("studio", "k", "d", {}, NOW)
        rows.complete("studio", "k", ANSWER, NOW)
        assert rows.complete("studio", "k", Answer(500, None), NOW) == ANSWER
        rows.release("studio", "k")
        assert rows.reserve("studio", "k", "d", {}, NOW) == ANSWER
        with pytest.raises(KeyError):
            rows.complete("studio", "never", ANSWER, NOW)

    def test_of_racing_requests_one_goes_on(self, rows: Reservations) -> None:
        outcomes: list[object] = []

        def begin(number: int) -> None:
            outcomes.append(rows.reserve("studio", "k", "d", {"job": f"job_{number}"}, NOW))

        at_once(6, begin)
        assert sum(isinstance(outcome, Mine) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, InFlight) for outcome in outcomes) == 5

        lapsed: list[object] = []

        def resume(number: int) -> None:
            lapsed.append(rows.reserve("studio", "k", "d", {"job": "x"}, NOW + LAPSE_MS))

        at_once(6, resume)
        resumed = [outcome for outcome in lapsed if isinstance(outcome, Mine)]
        begun = [outcome for outcome in outcomes if isinstance(outcome, Mine)]
        assert [mine.ids for mine in resumed] == [mine.ids for mine in begun]

    def test_forgets_old_keys(self, rows: Reservations) -> None:
        rows.reserve("studio", "old", "d", {}, NOW)
        rows.complete("studio", "old", ANSWER, NOW)
        rows.reserve("studio", "new", "d", {}, NOW + 5000)
        assert rows.prune(NOW + 5000) == 1
        assert rows.reserve("studio", "old", "e", {}, NOW) == Mine({}, resumed=False)
        assert isinstance(rows.reserve("studio", "new", "d", {}, NOW + 5001), InFlight)

    def test_keeps_clients_by_the_digest_of_their_key(self, rows: Reservations) -> None:
        client = Client(key_sha256="ab" * 32, tenant="studio", name="SPA", created_ms=NOW)
        rows.save_client(client)
        assert rows.client("ab" * 32) == client
        assert rows.client("cd" * 32) is None
        rows.save_client(replace(client, revoked_ms=NOW))
        assert rows.client("ab" * 32) == replace(client, revoked_ms=NOW)

    def test_lists_clients_from_the_oldest_on(self, rows: Reservations) -> None:
        late = Client(
            key_sha256="ab" * 32, tenant="b", scopes=("jobs:read",), expires_ms=NOW, created_ms=9
        )
        early = Client(key_sha256="cd" * 32, tenant="a", role="admin", created_ms=1)
        rows.save_client(late)
        rows.save_client(early)
        assert list(rows.clients()) == [early, late]

    def test_charges_are_counted_once_and_given_back(self, rows: Reservations) -> None:
        assert rows.charged("studio") == 0
        assert rows.charge("studio", "upl_1", 60, most=None) == 60
        assert rows.charge("studio", "upl_1", 60, most=10) == 60
        assert rows.charge("other", "upl_1", 5, most=10) == 5
        assert rows.charge("studio", "upl_2", 41, most=100) is None
        assert rows.charge("studio", "upl_2", 40, most=100) == 100
        rows.refund("studio", "upl_1")
        rows.refund("studio", "upl_1")
        rows.refund("studio", "upl_9")
        assert rows.charged("studio") == 40
        assert rows.charged("other") == 5

    def test_racing_charges_never_pass_the_limit(self, rows: Reservations) -> None:
        def charge(number: int) -> None:
            for turn in range(4):
                rows.charge("studio", f"upl_{number}_{turn}", 10, most=70)

        at_once(4, charge)
        assert rows.charged("studio") == 70

    def test_check_passes(self, rows: Reservations) -> None:
        rows.check()
