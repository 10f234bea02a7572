"""Speaks words with espeak-ng and says where each phoneme starts.

espeak-ng is GPL, so nothing imports this module: ``tests/song_voice.py`` runs it as a process of
its own (``python -m tests.song_speech``) that reads requests as JSON on standard input and answers
as JSON on standard output.

A request is ``{"voice", "words": [...], "f0": Hz, "rate": words a minute}``; the answer is
``{"rate": Hz, "words": [{"pcm": base64 of int16, "phonemes": [[ipa, first_sample], ...]}, ...]}``.
"""

from __future__ import annotations

import base64
import ctypes
import json
import sys
from typing import Any

import espeakng_loader

# speak_lib.h of espeak-ng 1.52
_SYNCHRONOUS = 2
_PHONEME_EVENTS_IN_IPA = 0b11
_UTF8 = 1
_EVENT_END_OF_LIST = 0
_EVENT_PHONEME = 7
_PARAMETER_RATE = 1
_PARAMETER_PITCH_RANGE = 4


class _EventId(ctypes.Union):
    _fields_ = (
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


def _speak(request: dict[str, Any]) -> dict[str, Any]:
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(
        _SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), _PHONEME_EVENTS_IN_IPA
    )
    if rate <= 0:
        raise SystemExit("espeak-ng did not start: its data folder is missing or damaged")
    if library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
        raise SystemExit(f"espeak-ng has no voice {request['voice']!r}")
    library.espeak_SetParameter(_PARAMETER_RATE, int(request["rate"]), 0)
    library.espeak_SetParameter(_PARAMETER_PITCH_RANGE, 0, 0)
    library.espeak_ng_SetRandSeed(1)
    library.espeak_ng_SetConstF0(int(request["f0"]))

    pcm = bytearray()
    phonemes: list[tuple[str, int]] = []

    def receive(samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            pcm.extend(ctypes.string_at(samples, count * 2))
        index = 0
        while events[index].type != _EVENT_END_OF_LIST:
            event = events[index]
            if event.type == _EVENT_PHONEME:
                ipa = bytes(event.id.string).decode("utf-8", "ignore")
                phonemes.append((ipa, int(event.sample)))
            index += 1
        return 0

    callback = _Callback(receive)
    library.espeak_SetSynthCallback(callback)
    answers = []
    for word in request["words"]:
        pcm.clear()
        phonemes.clear()
        text = word.encode()
        library.espeak_Synth(text, len(text) + 1, 0, 1, 0, _UTF8, None, None)
        library.espeak_Synchronize()
        answers.append({"pcm": base64.b64encode(pcm).decode(), "phonemes": list(phonemes)})
    library.espeak_Terminate()
    return {"rate": rate, "words": answers}


if __name__ == "__main__":
    json.dump(_speak(json.load(sys.stdin)), sys.stdout)
