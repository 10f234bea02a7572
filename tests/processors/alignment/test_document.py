from __future__ import annotations

import pytest

from processors.alignment.document import LockedBeyondSong, check_locked
from schemas.documents.formats import READ
from schemas.documents.lyrics import LyricsDocument


def imported(*, locked: bool) -> LyricsDocument:
    return READ["elrc"]("[00:01.00]<00:01.00>one<00:59.00> two<01:01.00>").document(locked=locked)


def test_a_locked_word_behind_the_end_of_the_song_is_refused_by_name() -> None:
    with pytest.raises(LockedBeyondSong, match=r"'two' .* the song ends at 60000 ms.*soft"):
        check_locked(imported(locked=True), 60_000)


def test_hints_and_words_in_the_song_are_not() -> None:
    check_locked(imported(locked=False), 60_000)
    check_locked(imported(locked=True), 61_000)
