"""One extractor on one file, on a leash: whatever it raises or answers, the others go on.

One that hangs or eats all memory can only be ended with its process. So whoever watches over it is
told when it is at work and when no longer (`Watch`), ends it, and extracts again without it
(`processors.extraction.isolation`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import JsonValue

from processors.extraction.arrays import write_arrays
from processors.extraction.extractor import (
    Context,
    Extraction,
    Extractor,
    Features,
    NotAvailable,
    Sound,
)
from processors.extraction.sound import Bill, Block
from processors.gpu import GpuFailed
from schemas.documents.audio_manifest import ArrayFile, ErrorCode, ExtractorError, ExtractorResult

MOST_JSON_BYTES = 64 * 1024
"""Of one extractor's features; what is longer belongs into an array."""


_T = TypeVar("_T")

Watch = Callable[[str, float, float], None]
"""Told the name of the extractor that goes to work now, the seconds that it was at work before and
those that it says it takes; an empty name when it is done for now."""


def unwatched(name: str, spent_s: float, cost_s: float) -> None:
    """For extractors that are trusted."""


class _Failed(Exception):
    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code: ErrorCode = code


class Run:
    """Feed it the blocks, finish it once; it never raises for what its extractor does."""

    def __init__(
        self,
        extractor: Extractor,
        sound: Sound,
        context: Context,
        bill: Bill,
        *,
        watch: Watch = unwatched,
        longest_s: float = 0.0,
    ) -> None:
        """``longest_s`` is the length of a sound that does not say its own."""
        self.name = extractor.name
        self._extractor, self._bill = extractor, bill
        self._device = context.device if extractor.device == "shared" else extractor.device
        self.seconds = 0.0
        self.skipped: str | None = None
        self.error: ExtractorError | None = None
        self._parameters = dict(context.parameters)
        self._extraction: Extraction | None = None
        self._watch = watch
        self._cost_s = 0.0
        length_s = longest_s if sound.seconds is None else sound.seconds
        cost = self._guarded(lambda: extractor.cost(length_s, sound.rate))
        if cost is None:
            return
        self._cost_s = float(cost.seconds)
        try:
            self._extraction = self._guarded(lambda: extractor.extract(sound, context))
        except NotAvailable as missing:
            self.error = ExtractorError(code="not_available", message=f"{self.name}: {missing}")

    def add(self, block: Block) -> None:
        """Pass a block on, unless it has failed already."""
        extraction = self._extraction
        if extraction is not None and self.error is None:
            self._guarded(lambda: extraction.add(block))

    def _guarded(self, work: Callable[[], _T]) -> _T | None:
        """The answer, or None with the error kept; the time is billed without what is shared."""
        self._watch(self.name, self.seconds, self._cost_s)
        started, shared = self._bill.clock(), self._bill.seconds
        try:
            return work()
        except (NotAvailable, GpuFailed):
            raise  # of the whole process, not of this extractor
        except MemoryError:
            self._fail("out_of_memory", "it needed more memory than there is")
        except _Failed as failed:
            self._fail(failed.code, str(failed))
        except Exception as error:
            self._fail("raised", f"it stopped with {type(error).__name__}: {error}"[:300])
        finally:
            spent = self._bill.clock() - started
            self.seconds += max(0.0, spent - (self._bill.seconds - shared))
            self._watch("", 0.0, 0.0)
        return None

    def _fail(self, code: ErrorCode, message: str) -> None:
        self.error = ExtractorError(code=code, message=f"{self.name}: {message}")
        self._extraction = None

    def finish(self, folder: Path, *, durable: bool = True) -> ExtractorResult:
        """Ask for the features and write the arrays. Raises ``OSError`` for the folder only."""
        extraction = self._extraction
        features = None
        if extraction is not None and self.error is None:
            features = self._guarded(lambda: checked(extraction.finish()))
        values: dict[str, JsonValue] = {}
        reasons: dict[str, str] = {}
        artifacts: list[ArrayFile] = []
        if features is not None:
            self._parameters |= features.parameters
            values, reasons, bad = cleaned(features.values, features.reasons)
            arrays = {}
            for key, array in features.arrays.items():
                if np.issubdtype(array.dtype, np.inexact) and not np.isfinite(array).all():
                    bad.append(f"array {key}")
                else:
                    arrays[key] = array
            if bad:
                named = ", ".join(bad[:5]) + (" …" if len(bad) > 5 else "")
                self._fail("not_finite", f"it gave values that are no numbers: {named}")
            if arrays:
                artifacts.append(
                    write_arrays(folder, self.name, arrays, features.units, durable=durable)
                )
        return ExtractorResult(
            name=self.name,
            version=str(self._extractor.version),
            device=self._device,
            status="failed" if self.error else "ok",
            seconds=round(self.seconds, 6),
            parameters=self._parameters,
            features=values,
            reasons=reasons,
            artifacts=tuple(artifacts),
            error=self.error,
        )


def checked(features: Features) -> Features:
    """Features that can be written down. Raises the reason why they can't."""
    try:
        size = len(json.dumps(dict(features.values)))
    except (TypeError, ValueError, RecursionError) as error:
        raise _Failed("not_json", f"its features can't be written as JSON ({error})") from None
    if size > MOST_JSON_BYTES:
        raise _Failed(
            "too_large",
            f"its features take {size} bytes of JSON; at most {MOST_JSON_BYTES} are kept:"
            " longer series belong into arrays",
        )
    for key, array in features.arrays.items():
        given: object = array  # other packages' types are promises
        if not isinstance(given, np.ndarray) or given.dtype.hasobject:
            raise _Failed("not_json", f"its array '{key}' is no array of plain numbers")
    return features


def cleaned(
    values: Mapping[str, JsonValue], reasons: Mapping[str, str]
) -> tuple[dict[str, JsonValue], dict[str, str], list[str]]:
    """Values without NaN and infinities: null with a reason; and the paths of those."""
    said, bad = dict(reasons), list[str]()

    def clean(value: Any, path: str) -> JsonValue:
        if isinstance(value, float) and not math.isfinite(value):
            bad.append(path)
            said[path] = f"the extractor gave {value}, which is no number"
            return None
        if isinstance(value, dict):
            return {str(key): clean(each, f"{path}.{key}") for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [clean(each, f"{path}.{place}") for place, each in enumerate(value)]
        plain: JsonValue = value
        return plain

    return {str(key): clean(value, str(key)) for key, value in values.items()}, said, bad
