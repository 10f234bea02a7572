"""One example of each body of extraction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TASK = "ext_0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_BATCH = "bat_0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_ITEM = "itm_0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_URI = "asset:ast_0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_SHA256 = "c" * 64

_MANIFEST = {
    "schema": "audio_manifest_v1",
    "video_id": "clip-17",
    "manifest_uri": f"https://api.example.com/v1/manifests/{_TASK}",
    "input": {
        "name": "clip-17.mp4",
        "sha256": _SHA256,
        "bytes": 6_291_456,
        "container": "mp4",
        "encoding": "",
        "rate_hz": 48_000,
        "channels": 2,
        "frames": 8_832_000,
        "duration_s": 184.0,
    },
    "analysis": {
        "decoder": "ffmpeg 7.0.2",
        "rate_hz": 22_050,
        "window": 2048,
        "hop": 512,
        "device": "cpu",
        "seconds": 0.9,
        "versions": {"numpy": "2.3.0"},
        "fallback": None,
    },
    "extractors": [
        {
            "name": "tempo_extractor",
            "version": "1",
            "device": "cpu",
            "status": "ok",
            "seconds": 0.4,
            "parameters": {},
            "features": {"tempo_bpm": 119.996},
            "reasons": {},
            "artifacts": [
                {
                    "name": "tempo_extractor",
                    "uri": "https://api.example.com/v1/store/results/extraction/…?expires=…",
                    "media_type": "application/x-npz",
                    "bytes": 4096,
                    "sha256": _SHA256,
                    "arrays": {"beats": {"shape": [368], "dtype": "float64", "unit": "s"}},
                }
            ],
            "error": None,
            "fallback": None,
        }
    ],
    "seconds": 2.6,
}

EXTRACTION_EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "ProcessRequest": {
        "input_uri": _URI,
        "video_id": "clip-17",
        "extractors": ["tempo_extractor", "pitch_extractor"],
    },
    "BatchRequest": {
        "items": [{"input_uri": _URI, "video_id": "clip-17"}],
        "concurrency": 4,
    },
    "CancelTask": {"reason": "wrong files"},
    "TaskAccepted": {"task_id": _TASK},
    "Processed": {"task_id": _TASK, "manifest": _MANIFEST},
    "TaskStatus": {
        "task_id": _BATCH,
        "status": "processing",
        "progress": 0.5,
        "counts": {
            "total": 2,
            "pending": 0,
            "processing": 1,
            "completed": 1,
            "failed": 0,
            "canceled": 0,
        },
        "items": [
            {
                "task_id": _ITEM,
                "video_id": "clip-17",
                "input_uri": _URI,
                "status": "completed",
                "progress": 1.0,
            }
        ],
    },
    "AudioManifest": _MANIFEST,
    "Extractors": {
        "available": [
            {
                "name": "tempo_extractor",
                "version": "1",
                "device": "cpu",
                "description": "Tempo, beats and how regular they are.",
            }
        ]
    },
}
