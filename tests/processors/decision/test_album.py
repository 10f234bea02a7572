from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.decision.aiming import Request
from processors.decision.album import album_loudness, decide_album
from processors.decision.deciding import decide
from processors.decision.refusals import Refused
from processors.decision.rulebook import builtin_rulebook
from schemas.documents.analysis import Analysis
from tests.processors.decision.analyses import song

pytestmark = pytest.mark.slow

BOOK = builtin_rulebook()


def at(lufs: float, peak_over: float = 12.0, seconds: float = 200.0) -> Analysis:
    return song(
        {
            "loudness.integratedLufs": lufs,
            "peaks.truePeakDbtp": lufs + peak_over,
            "source.durationS": seconds,
        }
    )


def goals(songs: list[Analysis], request: Request) -> list[float]:
    found = []
    for decision in decide_album(songs, BOOK, request):
        assert decision.chain.loudness is not None
        found.append(decision.chain.loudness.lufs)
    return found


def test_songs_keep_their_distances_and_the_album_reaches_the_target() -> None:
    songs = [at(-18.0), at(-22.0), at(-16.0, seconds=400)]
    found = goals(songs, Request())
    assert found[0] - found[1] == pytest.approx(4.0)
    assert found[2] - found[0] == pytest.approx(2.0)
    moved = [
        song({"loudness.integratedLufs": lufs, "source.durationS": s.source.duration_s})
        for lufs, s in zip(found, songs, strict=True)
    ]
    assert album_loudness(moved) == pytest.approx(-14.0, abs=0.01)


def test_what_one_song_cannot_reach_none_does() -> None:
    songs = [at(-18.0), at(-18.0, peak_over=30.0)]
    decisions = decide_album(songs, BOOK)
    levels = [d.chain.loudness.lufs for d in decisions if d.chain.loudness]
    assert levels[0] == levels[1] < -14.0
    for decision in decisions:
        assert [c.about for c in decision.compromises] == ["album.integratedLufs"]
        assert decision.prediction("loudness.integratedLufs").after == pytest.approx(  # type: ignore[union-attr]
            levels[0], abs=0.1
        )


@given(
    st.lists(st.tuples(st.floats(-35, -6), st.floats(3, 25)), min_size=2, max_size=5),
    st.sampled_from(sorted(BOOK.presets)),
)
def test_distances_are_kept_whatever_the_songs(
    measured: list[tuple[float, float]], preset: str
) -> None:
    songs = [at(*one) for one in measured]
    found = goals(songs, Request(preset=preset))
    if min(found) > -40.0:  # none is held at the quietest goal that a chain knows
        for (lufs, _), goal in zip(measured, found, strict=True):
            assert goal - found[0] == pytest.approx(lufs - measured[0][0], abs=0.02)


def test_one_song_is_no_album() -> None:
    assert decide_album([song()], BOOK) == (decide(song(), BOOK),)


def test_a_silent_song_is_refused_by_its_number() -> None:
    silent = song(
        {"loudness.integratedLufs": None, "peaks.samplePeakDbfs": None, "silence.share": 1.0}
    )
    with pytest.raises(Refused, match="Song 2: The file is silent"):
        decide_album([song(), silent], BOOK)
