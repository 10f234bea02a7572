"""espeak-ng in a process of its own: ``python -m processors.alignment.espeak_process``.

espeak-ng is GPL. The product talks to this program over a pipe and never loads the library itself,
so nothing else in the distribution may import this module (a test says so).

One JSON object a line on stdin, one answer a line on stdout::

    {"voice": "zle/ru", "words": ["привет"]}  ->  {"ipa": ["p__rʲ_i_vʲ_ˈe_t"]}
    {"voices": true}                          ->  {"voices": [["zle/ru", "ru"], …]}
    anything else                             ->  {"error": "what was wrong"}

A voice is named by its identifier: espeak_SetVoiceByName does not know every language tag.

Phonemes are separated by ``_``. The program ends when stdin closes.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import Any

import espeakng_loader

# espeak-ng's speak_lib.h
_AUDIO_OUTPUT_RETRIEVAL = 1  # never opens a sound device
_CHARS_UTF8 = 1
_PHONEMES_IPA = 0x02
_SEPARATOR = ord("_") << 8
_EE_OK = 0


class _Voice(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = os.path.dirname(espeakng_loader.get_data_path())
    if library.espeak_Initialize(_AUDIO_OUTPUT_RETRIEVAL, 0, data.encode(), 0) <= 0:
        raise RuntimeError("espeak-ng did not start: its data is missing from the wheel")
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_TextToPhonemes.argtypes = [
        ctypes.POINTER(ctypes.c_char_p),
        ctypes.c_int,
        ctypes.c_int,
    ]
    library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
    return library


def _phonemes(library: ctypes.CDLL, word: str) -> str:
    rest = ctypes.c_char_p(word.encode())
    clauses: list[str] = []
    while rest.value is not None:
        clause = library.espeak_TextToPhonemes(
            ctypes.byref(rest), _CHARS_UTF8, _PHONEMES_IPA | _SEPARATOR
        )
        if clause:
            clauses.append(clause.decode("utf-8", errors="replace"))
    return " ".join(clauses)


def _voices(library: ctypes.CDLL) -> list[list[str]]:
    listed = library.espeak_ListVoices(None)
    voices: list[list[str]] = []
    index = 0
    while listed[index]:
        # "languages" is a run of (priority byte, C string), closed by a zero priority
        at = listed[index].contents.languages
        tags = [listed[index].contents.identifier.decode()]
        while ctypes.c_ubyte.from_address(at).value:
            tag = ctypes.string_at(at + 1)
            tags.append(tag.decode())
            at += len(tag) + 2
        voices.append(tags)
        index += 1
    return voices


def _answer(library: ctypes.CDLL, line: str) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except ValueError:
        return {"error": "not JSON"}
    if not isinstance(request, dict):
        return {"error": "not a JSON object"}
    if request.get("voices") is True:
        return {"voices": _voices(library)}
    voice, words = request.get("voice"), request.get("words")
    if not isinstance(voice, str) or not isinstance(words, list):
        return {"error": "expected a voice and a list of words"}
    if not all(isinstance(word, str) and "\0" not in word for word in words):
        return {"error": "every word must be a string without NUL"}
    if library.espeak_SetVoiceByName(voice.encode()) != _EE_OK:
        return {"error": f"no voice {voice!r}"}
    return {"ipa": [_phonemes(library, word) for word in words]}


def main() -> None:
    """Answer requests until stdin closes."""
    # The library may print; only answers may reach the pipe.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    library = _load()
    for line in sys.stdin.buffer:
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            reply: dict[str, Any] = {"error": "not UTF-8"}
        else:
            reply = _answer(library, text)
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
