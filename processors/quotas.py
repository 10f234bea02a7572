"""What a job's tenant may have, as the job carries it: the word of who has decoded the song."""

from __future__ import annotations

from processors.runtime import Reject
from schemas.events import Work
from schemas.work import SONG_SECONDS


def check_length(work: Work, seconds: float) -> None:
    """Raise `Reject` for a song that is longer than its tenant may have.

    The gateway has looked at what says its length in its first bytes; an MP3, an M4A or an OGG does
    not say it so that one could believe it.
    """
    most = work.options.get(SONG_SECONDS, "")
    if most and seconds > float(most):
        raise Reject(
            "quota_song_length",
            f"The song is {seconds:.0f} s long; songs of this tenant may have {float(most):g} s.",
        )
