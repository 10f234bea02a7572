"""``pitch/1``: the note of each word, as games that score singing need it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.documents.lyrics import Document


class WordNote(Document):
    """A word's note; without one, ``reason`` says why."""

    word_id: str
    midi: int | None = Field(default=None, ge=0, le=127, description="Nearest MIDI note.")
    cents: float | None = Field(default=None, description="Sung above that note, -50 to 50.")
    voiced: float = Field(ge=0.0, le=1.0, description="Share of the word that has a pitch.")
    reason: str | None = None


class Pitch(Document):
    """The notes of a song's words, in their order."""

    schema_: Literal["pitch/1"] = Field(default="pitch/1", alias="schema")
    method: str
    notes: tuple[WordNote, ...]

    def midi(self) -> dict[str, int]:
        """Notes by word id, of the words that have one."""
        return {note.word_id: note.midi for note in self.notes if note.midi is not None}
