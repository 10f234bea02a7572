"""Where an observation becomes a finding, and what a version below the bar is worth.

Each number can be set (``QUALITY_THRESHOLDS``); those that tell right alignments from wrong ones
were chosen from the tables that ``python -m tests.bench.bench_quality`` prints.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

Policy = Literal["review", "block", "publish"]
"""What becomes of a version below the bar: published and marked, not published, published."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Thresholds(BaseModel):
    """Where an observation becomes a finding."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    onset_ms: PositiveInt = 120
    """Stretch after a word's start that is looked at: an unvoiced consonant before its vowel."""
    onset_sung: Share = 0.2
    """Share of it that must be sung; below, the word starts in silence."""
    shortest_ms: PositiveInt = 40
    """A placed word shorter than this is squeezed: the shortest sung syllables last 60 ms."""
    longest_ratio: PositiveFloat = 8.0
    """A word longer than this many times the song's median time per letter … """
    longest_ms: PositiveInt = 4000
    """… and than this: held notes are long, but rarely in the middle of a line."""
    line_confidence: Share = 0.35
    """Mean confidence of a line below which it is worth a look; right lines have 0.6 to 0.95."""
    words_per_s: PositiveFloat = 8.0
    """Nobody sings faster than this over a whole line (the fastest rap on record: 6.5)."""
    paced_words: PositiveInt = 4
    """Lines with fewer words have no pace."""
    uncovered_ms: PositiveInt = 4000
    """Singing this long without a word is a missing line (a breath of la-la is shorter)."""
    uncovered_db: float = 3.0
    """… if it has at least half the power of the words. In 30 lightly separated songs the residue
    of the band in breaks was 3.0 to 7.7 dB below the words, single lines at most 2.9 dB."""
    bridge_ms: PositiveInt = 400
    """Pauses up to this are part of one run of singing."""
    coverage: Share = 0.8
    """Share of the sung energy that words must cover. 18 songs, true and separated vocals: right
    alignments 0.82 to 1.00, with half of the lyrics at most 0.72."""
    line_margin: float = -0.5
    """Nats a frame: a line that fits this much worse than another text is not what is sung. Of 430
    lines in right alignments 2 did."""
    lyrics_margin: PositiveFloat = 0.3
    """Nats a frame by which lines must fit better than other texts do, on average. Right alignments
    0.38 to 1.95; an instrumental at most 0.14, another song's lyrics on separated vocals 0.09."""
    language_margin: PositiveFloat = 0.12
    """Nats a frame by which the lines may fit better when read in another language. 30 songs in ten
    languages, true and separated vocals: right ones at most 0.07; of 288 that were said to be in
    another language 226 more. The words of the other 62 were 0.11 s off on average. By the
    ears that a speech model is lent, lines 0.2 s off: right ones at most 0.07, wrong ones in 161 of
    214 cases more (``python -m tests.bench.bench_languages``)."""
    judged_lines: PositiveInt = 2
    """Fewer lines tell nothing about the whole lyrics."""
    offset_ms: PositiveInt = 300
    """A shift of all words that a singer notices at once; right alignments measured 0."""
    offset_gain: Share = 0.1
    """By how much the words must agree better with the singing after the shift (a correlation).
    Shifts of 1 s gained 0.26 and more, right alignments at most 0.02."""
    bleed_db: float = -7.0
    """Vocals left in the minus, against those taken out, that are heard as a second singer. Light
    separation measured -12 to -6, where the true voice in the minus was 6 to 9 dB lower."""
    no_voice_db: float = -5.0
    """Above it stem and minus are the same sound: there was no voice to take out. Instrumentals
    measured -4 to 2."""
    quiet_minus_db: float = -8.0
    """A minus so far below the vocals is no backing: the song is sung a cappella. That was told of
    15 of 18 unaccompanied voices, and of no song with a band."""
