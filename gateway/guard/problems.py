"""Every error that a client can see, once: its word, its status, its title, what to do about it.

The bodies are RFC 9457 problem details (7807's successor). Nothing of an exception's own text
reaches a client unless this module's callers wrote it for one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

MEDIA_TYPE = "application/problem+json"


class Code(Enum):
    """Stable words for what went wrong: ``(status, title, what to do)``."""

    # the request itself
    MALFORMED_JSON = (400, "The body is not JSON", "Send one valid JSON document, UTF-8.")
    MALFORMED_REQUEST = (400, "The request cannot be read", "See the API description at /docs.")
    CLIENT_ID_MISSING = (
        400,
        "X-Client-Id is missing",
        "Send the header X-Client-Id, or the query parameter clientId where no header can be set.",
    )
    CLIENT_ID_INVALID = (
        400,
        "X-Client-Id is not usable",
        "Use 1 to 128 printable ASCII characters without spaces.",
    )
    VALIDATION_FAILED = (
        422,
        "The request does not have the documented shape",
        "Correct the fields named in errors.",
    )
    NOT_FOUND = (404, "There is nothing at this address", "See the API description at /docs.")
    METHOD_NOT_ALLOWED = (405, "This address does not take this method", "See the Allow header.")
    FORMAT_UNKNOWN = (406, "Lyrics are not offered in this format", "Ask for a format in formats.")
    BODY_TOO_LARGE = (413, "The body is too large", "Send a smaller body.")
    HEADERS_TOO_LARGE = (431, "The request's headers are too large", "Send fewer or shorter ones.")
    MEDIA_TYPE_UNSUPPORTED = (415, "The body's type is not taken", "Send application/json.")
    REQUEST_TOO_SLOW = (
        408,
        "The request did not arrive in time",
        "Send the request again over a faster connection.",
    )
    # access
    CREDENTIALS_MISSING = (
        401,
        "The request says nothing about who sends it",
        "Send Authorization: Bearer with an API key or a token.",
    )
    CREDENTIALS_INVALID = (
        401,
        "The credentials open nothing",
        "Send a key that works; an operator makes one with `melisma keys create`.",
    )
    SCOPE_MISSING = (
        403,
        "The credentials do not reach this far",
        "Use a key or token that carries the scope named in detail.",
    )
    TENANT_REFUSED = (403, "The tenant is another's", "Leave X-Tenant out, or ask as an operator.")
    RATE_LIMITED = (
        429,
        "Too many requests",
        "Wait as long as Retry-After says; RateLimit shows what is left.",
    )
    QUOTA_CONCURRENT_JOBS = (
        429,
        "The tenant's quota of concurrent jobs is used",
        "Wait until one of them has ended, or cancel one.",
    )
    QUOTA_SONG_LENGTH = (
        413,
        "The song is longer than the tenant's quota allows",
        "Upload a shorter song, or ask for a higher quota.",
    )
    QUOTA_STORED_BYTES = (
        409,
        "The tenant's quota of stored bytes is used",
        "Abort unfinished uploads, or ask for a higher quota.",
    )
    # idempotency and preconditions
    IDEMPOTENCY_KEY_INVALID = (
        400,
        "The Idempotency-Key is not usable",
        "Use 1 to 255 printable ASCII characters, a UUID for instance.",
    )
    IDEMPOTENCY_KEY_REUSED = (
        422,
        "The Idempotency-Key was used with another request",
        "Use a new key for a new request.",
    )
    IDEMPOTENCY_IN_FLIGHT = (
        409,
        "The first request with this Idempotency-Key is still in work",
        "Wait as long as Retry-After says, then send the same request again.",
    )
    PRECONDITION_REQUIRED = (
        428,
        "If-Match is missing",
        "Send If-Match with the ETag of the version that the edit was made on.",
    )
    PRECONDITION_FAILED = (
        412,
        "The track has changed since",
        "Read the newest version, apply the edit to it and send its ETag in If-Match.",
    )
    # uploads
    UPLOAD_NOT_FOUND = (404, "There is no such upload", "Start one with POST /v1/uploads.")
    UPLOAD_TOO_LARGE = (413, "The song is larger than is taken", "Upload a smaller file.")
    UPLOAD_ENDED = (
        409,
        "The upload has ended",
        "A completed upload has its assetId; otherwise start a new one with POST /v1/uploads.",
    )
    UPLOAD_TYPE_REFUSED = (
        422,
        "Only audio can be uploaded",
        "Upload WAV, AIFF, FLAC, MP3, M4A, AAC, OGG or Opus, with its audio/… contentType.",
    )
    UPLOAD_PARTS_MISSING = (
        422,
        "Parts of the upload are missing or differ",
        "Start a new upload, send every part and complete it with the ETags that came back.",
    )
    UPLOAD_SIZE_MISMATCH = (
        422,
        "The object does not have the promised size",
        "Start a new upload with the file's real sizeBytes.",
    )
    UPLOAD_NOT_AUDIO = (
        422,
        "The object is not audio",
        "Upload WAV, AIFF, FLAC, MP3, M4A, AAC, OGG or Opus.",
    )
    UPLOAD_COVER_REFUSED = (
        422,
        "The picture is not one that is taken",
        "Upload a PNG, JPEG or WebP picture with purpose cover and its image/… contentType.",
    )
    UPLOAD_NOT_FOR_MASTERING = (
        422,
        "The file is not one that is mastered",
        "Upload a WAV, AIFF or FLAC file; export it from the mix again rather than convert an MP3.",
    )
    UPLOAD_TOO_LONG = (422, "The song is longer than is taken", "Cut it and upload the parts.")
    # signed URLs
    URL_EXPIRED = (403, "The link has expired", "Ask the API for a new link and use it at once.")
    URL_INVALID = (403, "The link's signature is wrong", "Use the link exactly as it was given.")
    URL_OTHER_ADDRESS = (
        403,
        "The link was given to another address",
        "Use the link from the address that asked for it, or ask for one from here.",
    )
    OBJECT_NOT_FOUND = (404, "The object is gone", "Ask the API for a new link.")
    RANGE_INVALID = (416, "The range lies outside the object", "Ask for a range that it has.")
    PART_REFUSED = (400, "The part was not taken", "Send the part's bytes whole, once more.")
    # tracks
    ASSET_NOT_FOUND = (404, "There is no such asset", "Upload the song and use its assetId.")
    TRACK_NOT_FOUND = (404, "There is no such track", "Check the trackId that import returned.")
    VERSION_NOT_FOUND = (404, "The track has no such version", "GET …/versions lists them.")
    TRACK_NOT_READY = (
        425,
        "The first version is not published yet",
        "Ask again after Retry-After seconds, then ever less often, or open the event stream.",
    )
    TRACK_UNFINISHED = (
        409,
        "No version of the track is published yet",
        "Wait until GET …/ready answers 200.",
    )
    TRACK_FAILED = (
        409,
        "The track could not be made",
        "Read why in detail; retry the job or import another file.",
    )
    TRACK_CANCELED = (409, "The track's job was canceled", "Import the song again.")
    LYRICS_WITHOUT_WORDS = (
        422,
        "The lyrics hold no words",
        "Send the sung words, or no lyrics at all to have them recognised.",
    )
    LYRICS_TOO_LONG = (422, "The lyrics are too long", "Send the words of this one song.")
    LYRICS_UNREADABLE = (
        422,
        "The lyrics are not written in their format",
        "Correct what detail names, or send the words alone with lyricsFormat: text.",
    )
    EDIT_INVALID = (422, "The edit does not fit the lyrics", "Correct the edits named in errors.")
    CALLBACK_REFUSED = (
        422,
        "The callbackUrl is not one that is called",
        "Use an https:// address on the public internet, without user and password.",
    )
    LYRICS_WERE_GIVEN = (
        409,
        "The track's lyrics were given by a person",
        "Send replaceLyrics: true to have them replaced by recognised ones, or leave transcribe.",
    )
    MATERIAL_MISSING = (
        409,
        "The track lacks what this step works on",
        "Reprocess from an earlier step: from separate for stems, from align for word times.",
    )
    VERSION_NOT_PUBLISHED = (
        409,
        "The version is a draft",
        "Reprocess the track: that publishes the newest draft.",
    )
    REPROCESS_IN_WORK = (
        409,
        "A job is already working on this version",
        "Wait for it to end or cancel it, then ask again.",
    )
    TRACK_CHANGING = (
        409,
        "Another change of the track is being accepted",
        "Wait as long as Retry-After says, then send the request again.",
    )
    # jobs
    JOB_NOT_FOUND = (404, "There is no such job", "Check the jobId.")
    JOB_ENDED = (409, "The job has already ended", "Nothing is left to cancel.")
    JOB_NOT_FAILED = (409, "The job has not failed", "Only a failed job can be retried.")
    # mastering
    OBJECT_KEY_UNKNOWN = (
        404,
        "There is no upload of this objectKey",
        "Use the objectKey that the upload was answered with.",
    )
    MASTER_UNFINISHED = (
        409,
        "The master is not done",
        "Wait until its status is done; a failed one can be retried.",
    )
    TOO_MANY_JOBS = (
        429,
        "Too many of this client's masters are in work",
        "Wait as long as Retry-After says, or cancel one of them.",
    )
    # videos
    VIDEO_NOT_FOUND = (
        404,
        "There is no such video",
        "Ask for one with POST …/video and use the videoId that it returns.",
    )
    VIDEO_NOT_READY = (
        425,
        "The video is not rendered yet",
        "Ask again after Retry-After seconds, then ever less often, or open the job's events.",
    )
    VIDEO_FAILED = (
        409,
        "The video could not be made",
        "Read why in detail; retry the job or ask for another video.",
    )
    # extraction
    TASK_NOT_FOUND = (404, "There is no such task", "Check the task_id.")
    INPUT_SCHEME_UNKNOWN = (
        422,
        "The input_uri names nothing that inputs are taken from",
        "Name an upload (asset:ast_…), s3://bucket/key, or a file by its path.",
    )
    INPUT_FORBIDDEN = (
        403,
        "The input may not be used",
        "Upload the file, or ask an operator to allow its folder or bucket"
        " (EXTRACTION_ROOTS, EXTRACTION_S3_BUCKETS).",
    )
    INPUT_NOT_FOUND = (404, "There is no such file", "Check the input_uri.")
    INPUT_NOT_A_FILE = (422, "The input is not a file", "Name the files in a folder one by one.")
    BACKLOG_OF_CLIENT = (
        429,
        "Too many items of this client wait",
        "Wait as long as Retry-After says, or cancel a batch.",
    )
    BACKLOG_FULL = (
        503,
        "As many items wait as may",
        "Send the same request again after Retry-After, with the same Idempotency-Key.",
    )
    MANIFEST_NOT_READY = (
        409,
        "The features are not extracted yet",
        "Ask again after Retry-After seconds, or look at the task's status.",
    )
    MANIFEST_OF_BATCH = (
        409,
        "A batch has no manifest of its own",
        "Ask for the manifests of its items by their task_id; the batch's status lists them.",
    )
    MANIFEST_MISSING = (409, "The task has no manifest", "Only extractions have one.")
    EXTRACTION_FAILED = (
        409,
        "The features could not be extracted",
        "Read why in reason; send another file, or retry the job.",
    )
    # webhooks
    WEBHOOK_ENDPOINT_NOT_FOUND = (
        404,
        "There is no such webhook endpoint",
        "GET /v1/webhook-endpoints lists them.",
    )
    WEBHOOK_MESSAGE_NOT_FOUND = (
        404,
        "The endpoint was never owed such a message",
        "GET …/attempts and GET …/deliveries list what it was.",
    )
    TOO_MANY_WEBHOOK_ENDPOINTS = (
        409,
        "There are as many webhook endpoints as a tenant may have",
        "Delete one that is not used.",
    )
    # the product
    INTERNAL = (
        500,
        "Something went wrong on our side",
        "Try again; if it stays, report the traceId.",
    )
    UNAVAILABLE = (
        503,
        "A part of the service is not available",
        "Send the same request again after Retry-After, with the same Idempotency-Key.",
    )
    STORE_FULL = (507, "The store has no room left", "Try again later.")

    @property
    def status(self) -> int:
        """HTTP status."""
        return self.value[0]

    @property
    def title(self) -> str:
        """What happened, in general."""
        return self.value[1]

    @property
    def advice(self) -> str:
        """What to do about it."""
        return self.value[2]

    @property
    def word(self) -> str:
        """The stable machine word."""
        return self.name.lower()


class Problem(Exception):
    """A refusal that a client may read.

    ``detail`` says what happened to what, ``errors`` holds ``{pointer, message}`` of single fields,
    ``extra`` are extension members (RFC 9457, section 3.2).
    """

    def __init__(
        self,
        code: Code,
        detail: str = "",
        *,
        errors: Sequence[Mapping[str, object]] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail or code.title)
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})


def body(problem: Problem, *, instance: str, trace_id: str, base_url: str = "") -> dict[str, Any]:
    """The problem as the client gets it. ``instance`` is the path, without its query string."""
    code = problem.code
    members: dict[str, Any] = {
        "type": f"{base_url}/problems/{code.word}",
        "title": code.title,
        "status": code.status,
        "detail": problem.detail or f"{code.title}.",
        "instance": instance,
        "code": code.word,
        "help": code.advice,
        "traceId": trace_id,
    }
    if problem.errors:
        members["errors"] = [dict(error) for error in problem.errors]
    return members | {name: value for name, value in problem.extra.items() if name not in members}
