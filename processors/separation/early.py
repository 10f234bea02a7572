"""What can be done before the song is there: load the model, separate what has arrived.

A model takes seconds to load and more to run, and the download of a song keeps no processor busy.
What is found early counts only where the whole song, decoded once its bytes were checked, turns out
to hold the same samples (`DemucsSeparator.find_ahead`): the result does not depend on it.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from processors.audio.arriving import Arriving
from processors.choices import loading, may_be_full
from processors.runtime import Task
from processors.separation.full import DemucsSeparator
from processors.separation.separator import Separator


class Early:
    """At work in a thread of its own while its ``with`` block downloads the song."""

    def __init__(self, load: Callable[[], Separator], task: Task, rate: int) -> None:
        """``rate`` is the one at which the song is going to be separated."""
        self._load = load
        self._task = task
        self._rate = rate
        self._enough = threading.Event()
        self._song: Arriving | None = None
        if may_be_full(task.settings.separation_backend):
            self._song = Arriving(rate, task.settings.max_song_seconds)
        self._working = loading(self._work)

    def __enter__(self) -> Self:
        """Begin."""
        self._loaded = self._working.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it, whatever came of the download."""
        self._stop()
        self._working.__exit__(kind, error, trace)

    def seen(self, data: bytes) -> None:
        """The next bytes of the song."""
        if self._song is not None:
            self._song.feed(data)

    def separator(self) -> Separator:
        """The separator, once the window that it is at is done. Raises `Retry`."""
        self._stop()
        return self._loaded()

    def _stop(self) -> None:
        self._enough.set()
        if self._song is not None:
            self._song.close()

    def _work(self) -> Separator:
        separator = self._load()
        if self._song is not None and isinstance(separator, DemucsSeparator):
            separator.forget_ahead()  # of a song that was called off
            self._ahead(separator, self._song)
        elif self._song is not None:
            self._song.close()
        return separator

    def _ahead(self, separator: DemucsSeparator, song: Arriving) -> None:
        for number in itertools.count():
            span = separator.window_ahead(number, self._rate)
            if span is None:
                song.close()
                return
            part = song.span(*span)
            if part is None or self._enough.is_set():
                return
            with self._task.gpu(separator.gpu_mib):
                separator.find_ahead(span[0], part)
