"""One example of each body, for the description. A test holds them to their schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.api.extraction_examples import EXTRACTION_EXAMPLES

_UPLOAD = "upl_0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_ASSET = "ast_0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_TRACK = "trk_0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_JOB = "job_0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_VIDEO = "vid_0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_AT = "2026-01-01T12:00:00.000Z"
_PART = {
    "partNumber": 1,
    "url": f"https://api.example.com/v1/store/uploads/default/{_UPLOAD}?expires=…&signature=…",
    "expiresAt": _AT,
}
_ETAG = '"9e107d9d372bb6826bd81d3542a419d6"'
_LYRICS = "Twinkle, twinkle, little star\nHow I wonder what you are"

_MESSAGE = "msg_0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_ENDPOINT_VIEW = {
    "id": "whk_0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "url": "https://example.com/hooks/melisma",
    "types": ["track.ready", "job.failed"],
    "description": "production",
    "status": "active",
    "createdAt": _AT,
    "secretNumber": 1,
}

_JOB_VIEW = {
    "jobId": _JOB,
    "trackId": _TRACK,
    "kind": "import",
    "version": 1,
    "state": "running",
    "step": "separate",
    "stage": "separation",
    "progress": 0.21,
    "attempt": 1,
    "steps": [
        {
            "step": "separate",
            "state": "running",
            "progress": 0.5,
            "tryNumber": 1,
            "elapsedSeconds": 12.0,
            "slaSeconds": 90.0,
            "overdue": False,
        },
        {"step": "align", "state": "waiting", "progress": 0.0},
        {"step": "qc", "state": "waiting", "progress": 0.0},
        {"step": "publish", "state": "waiting", "progress": 0.0},
    ],
    "slaSeconds": 90.0,
    "elapsedSeconds": 12.0,
    "overdue": False,
    "createdAt": _AT,
    "updatedAt": _AT,
}

_VERSION = {
    "version": 1,
    "state": "published",
    "jobId": _JOB,
    "language": "en",
    "lyricsOrigin": "given",
    "score": 0.93,
    "needsReview": False,
    "backends": {"separation": "light", "alignment": "light"},
    "createdAt": _AT,
}

_KARAOKE = {
    "schema": "karaoke/1",
    "trackId": _TRACK,
    "version": 1,
    "parent": None,
    "language": "en",
    "durationMs": 63_000,
    "singers": [{"id": "s1", "name": ""}],
    "lines": [
        {
            "id": "l1",
            "startMs": 12_340,
            "endMs": 12_800,
            "singer": "s1",
            "text": "Twinkle",
            "words": [
                {
                    "id": "w1",
                    "text": "Twinkle",
                    "sep": "",
                    "startMs": 12_340,
                    "endMs": 12_800,
                    "confidence": 0.91,
                    "src": "aligned",
                    "locked": False,
                    "syllables": None,
                }
            ],
        }
    ],
    "gaps": [{"startMs": 0, "endMs": 12_340}],
    "source": {
        "separation": {"backend": "light", "model": "mask-1", "hash": ""},
        "transcription": None,
        "alignment": {"backend": "light", "model": "pocketsphinx", "hash": ""},
    },
    "qc": {"score": 0.93, "flags": []},
}


def _media(name: str) -> dict[str, Any]:
    return {
        "url": f"https://api.example.com/v1/store/results/separation/…/{name}?expires=…",
        "expiresAt": _AT,
        "mediaType": "audio/flac",
        "sizeBytes": 5_242_880,
    }


_MASTERING = {
    "jobId": "mas_0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "masterId": "mst_0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "version": 1,
}
_MASTERING_JOB = {
    **_MASTERING,
    "status": "done",
    "step": "render",
    "progress": 1.0,
    "attempts": 1,
    "preset": "streaming",
    "target": {"lufs": -14.0, "truePeak": -1.0},
    "assetIds": [_ASSET],
    "title": "song",
    "result": {"lufs": -14.0, "truePeak": -1.0, "shortfalls": 0},
    "artifacts": {"master": {**_media("master"), "mediaType": "audio/wav"}},
    "createdAt": _AT,
    "updatedAt": _AT,
}


EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    # requests
    "UploadRequest": {
        "filename": "song.flac",
        "contentType": "audio/flac",
        "sizeBytes": 6_291_456,
    },
    "PartNumbers": {"partNumbers": [1]},
    "Completion": {"parts": [{"partNumber": 1, "etag": _ETAG}]},
    "ImportRequest": {
        "assetId": _ASSET,
        "lyrics": _LYRICS,
        "language": "en",
        "title": "The Star",
        "artist": "Jane Taylor",
        "callbackUrl": "https://example.com/hooks/karaoke",
    },
    "LyricsPatch": {"edits": [{"wordId": "w1", "startMs": 12_300, "endMs": 12_800}]},
    "ReprocessRequest": {"steps": ["align"]},
    "CancelRequest": {"reason": "wrong song"},
    "MasteringRequest": {
        "assetId": _ASSET,
        "preset": "streaming",
        "target": {"lufs": -14.0, "truePeak": -1.0},
    },
    "DecisionPatch": {"changes": [{"move": "heavy-bass", "drop": True}]},
    # answers
    "MasteringAccepted": _MASTERING | {"status": "queued"},
    "MasteringJobView": _MASTERING_JOB,
    "MasteringPage": {"jobs": [_MASTERING_JOB]},
    "UploadStarted": {
        "uploadId": _UPLOAD,
        "objectKey": f"uploads/default/{_UPLOAD}",
        "partSizeBytes": 8_388_608,
        "parts": [_PART],
        "expiresAt": _AT,
    },
    "UploadState": {
        "uploadId": _UPLOAD,
        "state": "open",
        "filename": "song.flac",
        "contentType": "audio/flac",
        "sizeBytes": 6_291_456,
        "partSizeBytes": 8_388_608,
        "partCount": 1,
        "parts": [{"partNumber": 1, "sizeBytes": 6_291_456, "etag": _ETAG}],
        "expiresAt": _AT,
    },
    "SignedParts": {"parts": [_PART]},
    "AssetMade": {"assetId": _ASSET},
    "JobAccepted": {"jobId": _JOB, "trackId": _TRACK, "version": 1},
    "JobView": _JOB_VIEW,
    "JobPage": {"jobs": [_JOB_VIEW]},
    "TrackPage": {
        "tracks": [
            {
                "trackId": _TRACK,
                "title": "The Star",
                "artist": "Jane Taylor",
                "language": "en",
                "durationMs": 61_500,
                "version": 1,
                "newestVersion": 2,
                "needsReview": False,
                "createdAt": _AT,
                "pending": {"jobId": _JOB, "version": 2},
            }
        ]
    },
    "TrackReady": {
        "trackId": _TRACK,
        "version": 1,
        "minusUrl": _media("minus")["url"],
        "vocalsUrl": _media("vocals")["url"],
        "expiresAt": _AT,
        "lyrics": _KARAOKE,
        "qc": _KARAOKE["qc"],
        "backends": {"separation": "light", "alignment": "light"},
    },
    "Assets": {
        "trackId": _TRACK,
        "version": 1,
        "minus": _media("minus"),
        "vocals": _media("vocals"),
        "mix": _media("mix"),
    },
    "TrackView": {
        "trackId": _TRACK,
        "title": "The Star",
        "artist": "Jane Taylor",
        "language": "en",
        "durationMs": 63_000,
        "version": 1,
        "newestVersion": 1,
        "versions": [_VERSION],
    },
    "VersionList": {"trackId": _TRACK, "current": 1, "newest": 1, "versions": [_VERSION]},
    "VersionDetail": {**_VERSION, "trackId": _TRACK, "lyrics": _KARAOKE},
    "VersionDiff": {
        "trackId": _TRACK,
        "before": 1,
        "after": 2,
        "summary": {
            "words": {"moved": 1, "locked": 1},
            "lines": {},
            "unchangedWords": 41,
            "meanMoveMs": 40.0,
            "largestMoveMs": 40,
        },
        "lines": [],
        "words": [
            {
                "id": "w1",
                "lineId": "l1",
                "changes": ["moved", "locked"],
                "text": "Twinkle",
                "textBefore": None,
                "startMs": 12_300,
                "endMs": 12_800,
                "startMovedMs": -40,
                "endMovedMs": 0,
            }
        ],
        "media": [],
        "backends": [],
        "scoreBefore": 0.93,
        "scoreAfter": 0.94,
        "told": ["word w1 'Twinkle' starts -40 ms, ends +0 ms, was locked"],
    },
    "VideoRequest": {"resolution": "1080p", "backgroundColor": "#101a30", "vocals": "guide"},
    "VideoAccepted": {"jobId": _VIDEO, "trackId": _TRACK, "version": 1, "videoId": _VIDEO},
    "VideoReady": {
        "videoId": _VIDEO,
        "trackId": _TRACK,
        "version": 1,
        "url": f"https://api.example.com/v1/store/results/video/{_VIDEO}?expires=…&signature=…",
        "expiresAt": _AT,
        "mediaType": "video/mp4",
        "sizeBytes": 18_900_000,
        "sha256": "c" * 64,
        "width": 1280,
        "height": 720,
        "fps": 30,
        "vocals": "none",
        "madeAt": _AT,
    },
    "DraftMade": {"trackId": _TRACK, "version": 2, "state": "draft"},
    "KaraokeDocument": _KARAOKE,
    "NewEndpoint": {
        "url": "https://example.com/hooks/melisma",
        "types": ["track.ready", "job.failed"],
        "description": "production",
    },
    "EndpointChange": {"types": ["track.ready"]},
    "EndpointView": _ENDPOINT_VIEW,
    "EndpointPage": {"endpoints": [_ENDPOINT_VIEW]},
    "Rotation": {"overlapSeconds": 86_400},
    "SecretView": {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "secretNumber": 2},
    "AttemptPage": {
        "attempts": [
            {
                "messageId": _MESSAGE,
                "type": "track.ready",
                "trackId": _TRACK,
                "round": 0,
                "attempt": 1,
                "outcome": "failed",
                "at": _AT,
                "status": 503,
                "error": "status",
                "detail": "the receiver answered 503: no success",
                "durationMs": 41,
                "response": "busy",
                "nextAttemptAt": _AT,
            }
        ]
    },
    "DeliveryPage": {
        "deliveries": [
            {
                "messageId": _MESSAGE,
                "type": "track.ready",
                "trackId": _TRACK,
                "sequence": 1,
                "outcome": "delivered",
                "attempts": 2,
                "at": _AT,
            }
        ]
    },
    "Sent": {"messageId": _MESSAGE},
    "Recovery": {"since": _AT, "what": "all"},
    "Recovered": {"count": 3, "more": False},
    "EventTypes": {"types": {"track.ready": "A version of a track was published."}},
    "ProblemType": {
        "code": "track_not_ready",
        "status": 425,
        "title": "The first version is not published yet",
        "help": "Ask again after Retry-After seconds.",
    },
    "Alive": {"status": "ok"},
    "Readiness": {
        "status": "ready",
        "dependencies": {
            "log": {"status": "up", "latencyMs": 0.4},
            "artifacts": {"status": "up", "latencyMs": 1.2},
        },
    },
    **EXTRACTION_EXAMPLES,
}
