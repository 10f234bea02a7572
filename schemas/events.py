"""Events and the records they share, generated from ``avro/`` by ``schemas.generate``.

Python names are snake_case, wire names (``to_wire``, ``from_wire``) are those of the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A reference to bytes in the artifact store; never the bytes, never a signed URL."""

    name: str = ""
    """What it is to the job: source, lyrics, vocals, minus, mix, transcript, karaoke."""
    uri: str = ""
    """Where the store keeps it, valid in every process of the product."""
    sha256: str = ""
    """Digest of the bytes in hex; empty while no stage has read them."""
    bytes: int = 0
    """Size in bytes."""
    media_type: str = ""
    """IANA media type."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "name": self.name,
            "uri": self.uri,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "mediaType": self.media_type,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Artifact:
        """Read an Avro record."""
        return cls(
            name=wire["name"],
            uri=wire["uri"],
            sha256=wire["sha256"],
            bytes=wire["bytes"],
            media_type=wire["mediaType"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """Which implementation did a step, so that a result can be judged and made again."""

    name: str = ""
    """Backend: light, full, or given when a person supplied the result."""
    model: str = ""
    """Model or method and its version."""
    hash: str = ""
    """Digest of the model's weights in hex; empty where it has none."""
    device: str = ""
    """Device class it ran on: cpu or cuda."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "name": self.name,
            "model": self.model,
            "hash": self.hash,
            "device": self.device,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Backend:
        """Read an Avro record."""
        return cls(
            name=wire["name"],
            model=wire["model"],
            hash=wire["hash"],
            device=wire["device"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The whole context of a job, carried by every work event: a stage needs the event and the artifact store, nothing else."""

    job_id: str
    """The job."""
    track_id: str
    """The track; the record key of the karaoke topics."""
    tenant: str = "default"
    """Whose job it is; 'default' while access control is off."""
    version: int = 1
    """The track version that this job will publish, from 1."""
    parent: int = 0
    """The version whose lyrics this one continues; 0 for none."""
    attempt: int = 1
    """1 for the first run of the job, one more for each retry of it."""
    from_stage: str = "separation"
    """The first stage that runs; the rest follows by itself."""
    language: str = ""
    """BCP 47 language of the lyrics; empty when the client did not say."""
    title: str = ""
    """Song title; may be empty."""
    artist: str = ""
    """Performer; may be empty."""
    duration_ms: int = 0
    """Length of the song in milliseconds; 0 until it is decoded."""
    lyrics: Artifact | None = None
    """Lyrics document (lyrics/1) to align, or null to have the song transcribed."""
    artifacts: tuple[Artifact, ...] = ()
    """What the job has to work with so far, one of a name."""
    backends: Mapping[str, Backend] = field(default_factory=dict)
    """Which backend did each step so far, by stage name."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Choices of the client for single stages, e.g. separation.backend=light."""
    callback_id: str = ""
    """Webhook endpoint of this job, resolved by the delivery service; empty for none."""
    replay_id: str = ""
    """Names the replay that caused the job; empty for ordinary jobs."""
    force: bool = False
    """True: compute again even where a result is already stored."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "jobId": self.job_id,
            "trackId": self.track_id,
            "tenant": self.tenant,
            "version": self.version,
            "parent": self.parent,
            "attempt": self.attempt,
            "fromStage": self.from_stage,
            "language": self.language,
            "title": self.title,
            "artist": self.artist,
            "durationMs": self.duration_ms,
            "lyrics": None if self.lyrics is None else self.lyrics.to_wire(),
            "artifacts": [item.to_wire() for item in self.artifacts],
            "backends": {name: item.to_wire() for name, item in self.backends.items()},
            "options": dict(self.options),
            "callbackId": self.callback_id,
            "replayId": self.replay_id,
            "force": self.force,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Work:
        """Read an Avro record."""
        return cls(
            job_id=wire["jobId"],
            track_id=wire["trackId"],
            tenant=wire["tenant"],
            version=wire["version"],
            parent=wire["parent"],
            attempt=wire["attempt"],
            from_stage=wire["fromStage"],
            language=wire["language"],
            title=wire["title"],
            artist=wire["artist"],
            duration_ms=wire["durationMs"],
            lyrics=None if wire["lyrics"] is None else Artifact.from_wire(wire["lyrics"]),
            artifacts=tuple(Artifact.from_wire(item) for item in wire["artifacts"]),
            backends={name: Backend.from_wire(item) for name, item in wire["backends"].items()},
            options=dict(wire["options"]),
            callback_id=wire["callbackId"],
            replay_id=wire["replayId"],
            force=wire["force"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mastering:
    """What a client wants of a master; the same in every event of the job."""

    asset_ids: tuple[str, ...] = ()
    """The songs, in order."""
    reference_asset_id: str = ""
    """The reference; empty for none."""
    preset: str = "streaming"
    """Name of the preset that the rules start from."""
    lufs: float | None = None
    """Integrated loudness to reach in LUFS, or null for the preset's."""
    true_peak: float | None = None
    """Highest true peak in dBTP, or null for the preset's."""
    reference_amount: float = 1.0
    """How far to go towards the reference, 0 to 1."""
    reference_without: tuple[str, ...] = ()
    """Parts that the reference does not decide: eq, loudness, dynamics, width."""
    format: str = "wav"
    """Container of the master: wav or flac."""
    bits: int = 0
    """Bits of a sample: 16, 24 or 32 (float); 0 keeps the song's."""
    songs: int = 1
    """Number of songs; several are an album and keep their relative loudness."""
    overrides: tuple[Artifact, ...] = ()
    """Moves that a person changed or dropped (overrides/1), a document a song, named as its other artifacts."""
    client: str = ""
    """Which client asked: counted for its limit of jobs at once."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "assetIds": list(self.asset_ids),
            "referenceAssetId": self.reference_asset_id,
            "preset": self.preset,
            "lufs": self.lufs,
            "truePeak": self.true_peak,
            "referenceAmount": self.reference_amount,
            "referenceWithout": list(self.reference_without),
            "format": self.format,
            "bits": self.bits,
            "songs": self.songs,
            "overrides": [item.to_wire() for item in self.overrides],
            "client": self.client,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Mastering:
        """Read an Avro record."""
        return cls(
            asset_ids=tuple(wire["assetIds"]),
            reference_asset_id=wire["referenceAssetId"],
            preset=wire["preset"],
            lufs=wire["lufs"],
            true_peak=wire["truePeak"],
            reference_amount=wire["referenceAmount"],
            reference_without=tuple(wire["referenceWithout"]),
            format=wire["format"],
            bits=wire["bits"],
            songs=wire["songs"],
            overrides=tuple(Artifact.from_wire(item) for item in wire["overrides"]),
            client=wire["client"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """What a client wants of a karaoke video; the same in every event of the job."""

    width: int = 1280
    """Width of the picture in pixels."""
    height: int = 720
    """Height of the picture in pixels."""
    fps: int = 30
    """Pictures a second."""
    color: str = "#101a30"
    """Colour of the background as #rrggbb."""
    gradient_to: str = ""
    """Colour at the bottom as #rrggbb, the background runs to it; empty for one colour."""
    cover_asset_id: str = ""
    """The picture behind the lyrics instead; empty for none."""
    title_card: bool = True
    """True: title and artist are shown before the first line."""
    countdown: bool = True
    """True: 3, 2, 1 before the first line after a break."""
    vocals: str = "none"
    """none: the backing track alone; guide: with quiet vocals."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "width": self.width,
            "height": self.height,
            "fps": self.fps,
            "color": self.color,
            "gradientTo": self.gradient_to,
            "coverAssetId": self.cover_asset_id,
            "titleCard": self.title_card,
            "countdown": self.countdown,
            "vocals": self.vocals,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Video:
        """Read an Avro record."""
        return cls(
            width=wire["width"],
            height=wire["height"],
            fps=wire["fps"],
            color=wire["color"],
            gradient_to=wire["gradientTo"],
            cover_asset_id=wire["coverAssetId"],
            title_card=wire["titleCard"],
            countdown=wire["countdown"],
            vocals=wire["vocals"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What a channel wants of the provider of generated songs; the same in every event of the job."""

    channel_id: str
    """The channel that asked."""
    user_id: str
    """Who asked, as the client named them; empty when it did not."""
    prompt: str = ""
    """What to sing about, or the lyrics themselves."""
    style: str = ""
    """Style of the music; empty lets the provider choose by the prompt."""
    title: str = ""
    """Title of the song; empty when the channel has none."""
    model: str = ""
    """The provider's model, in the provider's words."""
    instrumental: bool = False
    """True: without singing."""
    chain: str = ""
    """What becomes of the finished song besides the clip: karaoke, mastering, or empty for nothing."""
    requested_ms: int = 0
    """When the job was accepted, Unix time in milliseconds: its time runs from here."""
    refusal: str = ""
    """Why the job was refused when it was accepted (no_credits, callback_url_not_configured); empty for a job that goes on."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "channelId": self.channel_id,
            "userId": self.user_id,
            "prompt": self.prompt,
            "style": self.style,
            "title": self.title,
            "model": self.model,
            "instrumental": self.instrumental,
            "chain": self.chain,
            "requestedMs": self.requested_ms,
            "refusal": self.refusal,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Generation:
        """Read an Avro record."""
        return cls(
            channel_id=wire["channelId"],
            user_id=wire["userId"],
            prompt=wire["prompt"],
            style=wire["style"],
            title=wire["title"],
            model=wire["model"],
            instrumental=wire["instrumental"],
            chain=wire["chain"],
            requested_ms=wire["requestedMs"],
            refusal=wire["refusal"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Song:
    """One of the songs that the provider made for a request."""

    song_id: str
    """The provider's id of the song."""
    title: str = ""
    """Its title."""
    audio_url: str = ""
    """Where the provider keeps the sound; it expires."""
    image_url: str = ""
    """Where the provider keeps the cover; it expires. Empty for none."""
    duration_ms: int = 0
    """Length in milliseconds as the provider says it; 0 when it does not."""
    tags: str = ""
    """The provider's words for the style."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "songId": self.song_id,
            "title": self.title,
            "audioUrl": self.audio_url,
            "imageUrl": self.image_url,
            "durationMs": self.duration_ms,
            "tags": self.tags,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Song:
        """Read an Avro record."""
        return cls(
            song_id=wire["songId"],
            title=wire["title"],
            audio_url=wire["audioUrl"],
            image_url=wire["imageUrl"],
            duration_ms=wire["durationMs"],
            tags=wire["tags"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """What a client wants extracted of one file; the same in every event of the item."""

    task_id: str
    """The task that the item belongs to; the work's trackId. A single file is a task of its own, with its item's id."""
    index: int = 0
    """Place of the item in its task, from 0."""
    count: int = 1
    """Items of the task."""
    concurrency: int = 0
    """At most so many items of the task are in work at once; 0 for as many as there is room for."""
    input_uri: str = ""
    """The file as the client named it: asset:, s3:// or file://. The bytes of an asset are the work's artifact 'source'."""
    video_id: str
    """The client's own name for the input; empty for none."""
    extractors: tuple[str, ...] = ()
    """Names of the extractors; empty for all the usual ones."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """JSON object of the parameters of an extractor, by its name."""
    device: str = "auto"
    """auto (what the worker is set to), cpu or gpu."""
    client: str = ""
    """Which client asked. Shares and limits are by tenant, by client where access control is off."""
    expected_seconds: float = 0.0
    """What the item is thought to take on one core, in seconds; 0 when nobody knows."""
    requested_ms: int = 0
    """When the task was accepted, Unix time in milliseconds."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "taskId": self.task_id,
            "index": self.index,
            "count": self.count,
            "concurrency": self.concurrency,
            "inputUri": self.input_uri,
            "videoId": self.video_id,
            "extractors": list(self.extractors),
            "parameters": dict(self.parameters),
            "device": self.device,
            "client": self.client,
            "expectedSeconds": self.expected_seconds,
            "requestedMs": self.requested_ms,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Extraction:
        """Read an Avro record."""
        return cls(
            task_id=wire["taskId"],
            index=wire["index"],
            count=wire["count"],
            concurrency=wire["concurrency"],
            input_uri=wire["inputUri"],
            video_id=wire["videoId"],
            extractors=tuple(wire["extractors"]),
            parameters=dict(wire["parameters"]),
            device=wire["device"],
            client=wire["client"],
            expected_seconds=wire["expectedSeconds"],
            requested_ms=wire["requestedMs"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractorOutcome:
    """How one extractor did with a file; its features are in the manifest."""

    name: str = ""
    """The extractor."""
    version: str = ""
    """Its version; empty where there is no such extractor."""
    device: str = ""
    """Where it computed: cpu or cuda."""
    status: str = "ok"
    """ok, failed or skipped."""
    seconds: float = 0.0
    """Time it took, in seconds."""
    code: str = ""
    """Stable word for the error; empty for none."""
    message: str = ""
    """The error in words; empty for none."""
    fallback: bool = False
    """True when another device than asked did the work."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "name": self.name,
            "version": self.version,
            "device": self.device,
            "status": self.status,
            "seconds": self.seconds,
            "code": self.code,
            "message": self.message,
            "fallback": self.fallback,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> ExtractorOutcome:
        """Read an Avro record."""
        return cls(
            name=wire["name"],
            version=wire["version"],
            device=wire["device"],
            status=wire["status"],
            seconds=wire["seconds"],
            code=wire["code"],
            message=wire["message"],
            fallback=wire["fallback"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionReported:
    """How full the waiting room of extractions is, and where a successor of the reporter begins to read."""

    topic: ClassVar[str] = "admission-reported"

    reporter_id: str
    """Always 'admission': one reports for all."""
    waiting: int = 0
    """Items that wait for their turn."""
    in_flight: int = 0
    """Items that are released and not done."""
    waiting_seconds: float = 0.0
    """Work that waits, in seconds of one core."""
    items_per_second: float = 0.0
    """Items done a second, over the last minute."""
    clients: Mapping[str, int] = field(default_factory=dict)
    """Items that wait, by whom they are counted for: the tenant, or the client where access control is off."""
    sequence: int = 0
    """The sequence of the newest release."""
    virtual_now: float = 0.0
    """The clock of fair shares, in seconds of work."""
    served: Mapping[str, float] = field(default_factory=dict)
    """Until when each client is served on that clock, where that is ahead of it."""
    marks: Mapping[str, int] = field(default_factory=dict)
    """Offset of each partition ('topic/partition') before which nothing is needed any more."""
    reported_ms: int = 0
    """When, Unix time in milliseconds."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "reporterId": self.reporter_id,
            "waiting": self.waiting,
            "inFlight": self.in_flight,
            "waitingSeconds": self.waiting_seconds,
            "itemsPerSecond": self.items_per_second,
            "clients": dict(self.clients),
            "sequence": self.sequence,
            "virtualNow": self.virtual_now,
            "served": dict(self.served),
            "marks": dict(self.marks),
            "reportedMs": self.reported_ms,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> AdmissionReported:
        """Read an Avro record."""
        return cls(
            reporter_id=wire["reporterId"],
            waiting=wire["waiting"],
            in_flight=wire["inFlight"],
            waiting_seconds=wire["waitingSeconds"],
            items_per_second=wire["itemsPerSecond"],
            clients=dict(wire["clients"]),
            sequence=wire["sequence"],
            virtual_now=wire["virtualNow"],
            served=dict(wire["served"]),
            marks=dict(wire["marks"]),
            reported_ms=wire["reportedMs"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """Every word of the lyrics has its times or a reason why not."""

    topic: ClassVar[str] = "aligned"

    work: Work
    """The job's context."""
    words: int = 0
    """Number of words."""
    placed: int = 0
    """Number of words with times."""
    seconds: float = 0.0
    """Time the step took."""
    reused: bool = False
    """True when a stored result of the same work was adopted."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "words": self.words,
            "placed": self.placed,
            "seconds": self.seconds,
            "reused": self.reused,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Aligned:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            words=wire["words"],
            placed=wire["placed"],
            seconds=wire["seconds"],
            reused=wire["reused"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Analyzed:
    """The songs and the reference were measured."""

    topic: ClassVar[str] = "analyzed"

    work: Work
    """The job's context; its trackId is the master's id."""
    mastering: Mastering
    """What was asked for."""
    lufs: float | None = None
    """Integrated loudness of the song, or of the whole album, in LUFS; null for silence."""
    true_peak: float | None = None
    """Highest true peak in dBTP; null for silence."""
    seconds: float = 0.0
    """Time the step took."""
    reused: bool = False
    """True when a stored result of the same work was adopted."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "mastering": self.mastering.to_wire(),
            "lufs": self.lufs,
            "truePeak": self.true_peak,
            "seconds": self.seconds,
            "reused": self.reused,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Analyzed:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            mastering=Mastering.from_wire(wire["mastering"]),
            lufs=wire["lufs"],
            true_peak=wire["truePeak"],
            seconds=wire["seconds"],
            reused=wire["reused"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The alignment was judged against the audio."""

    topic: ClassVar[str] = "checked"

    work: Work
    """The job's context."""
    score: float = 0.0
    """Quality from 0 (useless) to 1."""
    flags: int = 0
    """Number of flags raised."""
    seconds: float = 0.0
    """Time the step took."""
    reused: bool = False
    """True when a stored result of the same work was adopted."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "score": self.score,
            "flags": self.flags,
            "seconds": self.seconds,
            "reused": self.reused,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Checked:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            score=wire["score"],
            flags=wire["flags"],
            seconds=wire["seconds"],
            reused=wire["reused"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipMade:
    """The clip of a generated song was made and stored."""

    topic: ClassVar[str] = "clip-made"

    work: Work
    """The job's context; its trackId is the clip's id."""
    generation: Generation
    """What was asked for."""
    task_id: str
    """The provider's task."""
    songs: tuple[Song, ...] = ()
    """The songs, as in generated."""
    chained_job_id: str
    """The karaoke or mastering job that goes on with the song; empty for none."""
    chained_track_id: str
    """Its track or master."""
    seconds: float = 0.0
    """Time the step took."""
    reused: bool = False
    """True when a stored result of the same work was adopted."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "generation": self.generation.to_wire(),
            "taskId": self.task_id,
            "songs": [item.to_wire() for item in self.songs],
            "chainedJobId": self.chained_job_id,
            "chainedTrackId": self.chained_track_id,
            "seconds": self.seconds,
            "reused": self.reused,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> ClipMade:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            generation=Generation.from_wire(wire["generation"]),
            task_id=wire["taskId"],
            songs=tuple(Song.from_wire(item) for item in wire["songs"]),
            chained_job_id=wire["chainedJobId"],
            chained_track_id=wire["chainedTrackId"],
            seconds=wire["seconds"],
            reused=wire["reused"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The rules said what to do, and why."""

    topic: ClassVar[str] = "decided"

    work: Work
    """The job's context; its trackId is the master's id."""
    mastering: Mastering
    """What was asked for."""
    moves: int = 0
    """Number of moves that will be made, over all songs."""
    seconds: float = 0.0
    """Time the step took."""
    reused: bool = False
    """True when a stored result of the same work was adopted."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "mastering": self.mastering.to_wire(),
            "moves": self.moves,
            "seconds": self.seconds,
            "reused": self.reused,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Decided:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            mastering=Mastering.from_wire(wire["mastering"]),
            moves=wire["moves"],
            seconds=wire["seconds"],
            reused=wire["reused"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionAdmitted:
    """It is the item's turn: an extraction worker takes it."""

    topic: ClassVar[str] = "extraction-admitted"

    work: Work
    """The item's context: jobId is the item's id, trackId the task's."""
    extraction: Extraction
    """What was asked for."""
    sequence: int = 0
    """Order of release over all items, from 1."""
    virtual_start: float = 0.0
    """When the item's turn came on the clock of fair shares, in seconds of work."""
    virtual_finish: float = 0.0
    """Until when its client is served on that clock."""
    waited_seconds: float = 0.0
    """Time from the request to the release."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "extraction": self.extraction.to_wire(),
            "sequence": self.sequence,
            "virtualStart": self.virtual_start,
            "virtualFinish": self.virtual_finish,
            "waitedSeconds": self.waited_seconds,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> ExtractionAdmitted:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            extraction=Extraction.from_wire(wire["extraction"]),
            sequence=wire["sequence"],
            virtual_start=wire["virtualStart"],
            virtual_finish=wire["virtualFinish"],
            waited_seconds=wire["waitedSeconds"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionRequested:
    """The features of one file are wanted; a batch is one such event for each of its items."""

    topic: ClassVar[str] = "extraction-requested"

    work: Work
    """The item's context: jobId is the item's id, trackId the task's."""
    extraction: Extraction
    """What was asked for."""
    reason: str = "request"
    """request, retry or replay."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "extraction": self.extraction.to_wire(),
            "reason": self.reason,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> ExtractionRequested:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            extraction=Extraction.from_wire(wire["extraction"]),
            reason=wire["reason"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesExtracted:
    """The item is done. Its manifest is the work's artifact 'manifest', the arrays of an extractor that of the extractor's name."""

    topic: ClassVar[str] = "features-extracted"

    work: Work
    """The item's context: jobId is the item's id, trackId the task's."""
    extraction: Extraction
    """What was asked for."""
    status: str = "completed"
    """completed, or failed when no extractor has a result."""
    extractors: tuple[ExtractorOutcome, ...] = ()
    """How each extractor did, in the order of the manifest."""
    code: str = ""
    """Stable word for the reason of a failure; empty for none."""
    message: str = ""
    """The reason in words; empty for none."""
    input_sha256: str = ""
    """Digest of the file as read, in hex."""
    duration_seconds: float = 0.0
    """Length of the sound."""
    seconds: float = 0.0
    """Time the step took."""
    reused: bool = False
    """True when a stored result of the same work was adopted."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "extraction": self.extraction.to_wire(),
            "status": self.status,
            "extractors": [item.to_wire() for item in self.extractors],
            "code": self.code,
            "message": self.message,
            "inputSha256": self.input_sha256,
            "durationSeconds": self.duration_seconds,
            "seconds": self.seconds,
            "reused": self.reused,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> FeaturesExtracted:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            extraction=Extraction.from_wire(wire["extraction"]),
            status=wire["status"],
            extractors=tuple(ExtractorOutcome.from_wire(item) for item in wire["extractors"]),
            code=wire["code"],
            message=wire["message"],
            input_sha256=wire["inputSha256"],
            duration_seconds=wire["durationSeconds"],
            seconds=wire["seconds"],
            reused=wire["reused"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """The provider has made the songs, and they are in the store."""

    topic: ClassVar[str] = "generated"

    work: Work
    """The job's context; its trackId is the clip's id."""
    generation: Generation
    """What was asked for."""
    task_id: str
    """The provider's task."""
    songs: tuple[Song, ...] = ()
    """The songs; the artifacts song-1, song-2, cover-1, lyrics-1, … of the job are theirs, in order."""
    late: bool = False
    """True when the job's time was over before."""
    seconds: float = 0.0
    """Time from the request to this."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "generation": self.generation.to_wire(),
            "taskId": self.task_id,
            "songs": [item.to_wire() for item in self.songs],
            "late": self.late,
            "seconds": self.seconds,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Generated:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            generation=Generation.from_wire(wire["generation"]),
            task_id=wire["taskId"],
            songs=tuple(Song.from_wire(item) for item in wire["songs"]),
            late=wire["late"],
            seconds=wire["seconds"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationDue:
    """The next move of a job towards the provider is due: the request itself, or a look at how it goes. Most of them wait in a delay topic."""

    topic: ClassVar[str] = "generation-due"

    work: Work
    """The job's context; its trackId is the clip's id."""
    generation: Generation
    """What was asked for."""
    step: str = ""
    """send: ask the provider for the song (paid). read: look at the task."""
    number: int = 1
    """Which send or read of the job, from 1."""
    task_id: str
    """The provider's task; empty while none is known."""
    sent_ms: int = 0
    """When the request was sent, Unix time in milliseconds; 0 before."""
    late_looks: int = 0
    """Looks since the job's time was over."""
    cause: str = ""
    """Why it is uncertain that the request reached the provider; empty when it is not."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "generation": self.generation.to_wire(),
            "step": self.step,
            "number": self.number,
            "taskId": self.task_id,
            "sentMs": self.sent_ms,
            "lateLooks": self.late_looks,
            "cause": self.cause,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> GenerationDue:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            generation=Generation.from_wire(wire["generation"]),
            step=wire["step"],
            number=wire["number"],
            task_id=wire["taskId"],
            sent_ms=wire["sentMs"],
            late_looks=wire["lateLooks"],
            cause=wire["cause"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationHinted:
    """A callback came in on a job's own address. It is believed in nothing: it causes a look at the provider's record."""

    topic: ClassVar[str] = "generation-hinted"

    work: Work
    """The job's context; its trackId is the clip's id."""
    generation: Generation
    """What was asked for."""
    hint_id: str
    """The callback."""
    task_id: str
    """The task that it names; empty when it names none."""
    callback_type: str = ""
    """What the callback says it is: text, first, complete or error."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "generation": self.generation.to_wire(),
            "hintId": self.hint_id,
            "taskId": self.task_id,
            "callbackType": self.callback_type,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> GenerationHinted:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            generation=Generation.from_wire(wire["generation"]),
            hint_id=wire["hintId"],
            task_id=wire["taskId"],
            callback_type=wire["callbackType"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequested:
    """A channel asked for a song and a clip of it."""

    topic: ClassVar[str] = "generation-requested"

    work: Work
    """The job's context; its trackId is the clip's id."""
    generation: Generation
    """What was asked for."""
    reason: str = "request"
    """request, retry or replay."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "generation": self.generation.to_wire(),
            "reason": self.reason,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> GenerationRequested:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            generation=Generation.from_wire(wire["generation"]),
            reason=wire["reason"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationUpdated:
    """Where a job stands at the provider."""

    topic: ClassVar[str] = "generation-updated"

    job_id: str
    """The job."""
    track_id: str
    """The clip."""
    tenant: str = "default"
    """Whose job it is."""
    attempt: int = 1
    """The attempt of the job this belongs to, from 1."""
    channel_id: str
    """The channel that asked."""
    stage: int = 40
    """20 request sent, 30 task created, 40 pending, 90 failed, 99 out of time."""
    sequence: int = 0
    """Order within the stage; greater is newer."""
    task_id: str
    """The provider's task; empty while none is known."""
    code: str = ""
    """Stable word for what is the matter; empty when nothing is."""
    detail: str = ""
    """The provider's own words, without secrets."""
    status: str = ""
    """The task's status in the provider's words."""
    next_ms: int = 0
    """When the provider is asked next, Unix time in milliseconds; 0 for never."""
    sends: int = 0
    """Requests sent so far that the provider may have taken: 0 or 1."""
    reads: int = 0
    """Looks at the task so far."""
    callback: bool = False
    """True when a callback caused this."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "jobId": self.job_id,
            "trackId": self.track_id,
            "tenant": self.tenant,
            "attempt": self.attempt,
            "channelId": self.channel_id,
            "stage": self.stage,
            "sequence": self.sequence,
            "taskId": self.task_id,
            "code": self.code,
            "detail": self.detail,
            "status": self.status,
            "nextMs": self.next_ms,
            "sends": self.sends,
            "reads": self.reads,
            "callback": self.callback,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> GenerationUpdated:
        """Read an Avro record."""
        return cls(
            job_id=wire["jobId"],
            track_id=wire["trackId"],
            tenant=wire["tenant"],
            attempt=wire["attempt"],
            channel_id=wire["channelId"],
            stage=wire["stage"],
            sequence=wire["sequence"],
            task_id=wire["taskId"],
            code=wire["code"],
            detail=wire["detail"],
            status=wire["status"],
            next_ms=wire["nextMs"],
            sends=wire["sends"],
            reads=wire["reads"],
            callback=wire["callback"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequested:
    """A client asked for a karaoke track from an asset."""

    topic: ClassVar[str] = "import-requested"

    work: Work
    """The job's context."""
    asset_id: str = ""
    """The asset."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "assetId": self.asset_id,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> ImportRequested:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            asset_id=wire["assetId"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCanceled:
    """The job must not go on. A publish already committed wins."""

    topic: ClassVar[str] = "job-canceled"

    job_id: str
    """The job."""
    track_id: str
    """The track."""
    tenant: str = "default"
    """Whose job it is."""
    attempt: int = 1
    """The attempt of the job this belongs to, from 1."""
    reason: str = ""
    """Why, in words."""
    by: str = "owner"
    """owner or operator."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "jobId": self.job_id,
            "trackId": self.track_id,
            "tenant": self.tenant,
            "attempt": self.attempt,
            "reason": self.reason,
            "by": self.by,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> JobCanceled:
        """Read an Avro record."""
        return cls(
            job_id=wire["jobId"],
            track_id=wire["trackId"],
            tenant=wire["tenant"],
            attempt=wire["attempt"],
            reason=wire["reason"],
            by=wire["by"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailed:
    """The job's tries are spent, or its input was refused."""

    topic: ClassVar[str] = "job-failed"

    job_id: str
    """The job."""
    track_id: str
    """The track."""
    tenant: str = "default"
    """Whose job it is."""
    attempt: int = 1
    """The attempt of the job this belongs to, from 1."""
    stage: str = ""
    """The stage that gave up."""
    try_number: int = 1
    """The number of tries."""
    code: str = ""
    """Stable word for the reason."""
    message: str = ""
    """The reason in words that a musician understands."""
    version: int = 0
    """The track version that the job would have published; 0 when unknown."""
    callback_id: str = ""
    """Webhook endpoint of the job, resolved by the delivery service; empty for none."""
    replay_id: str = ""
    """Names the replay that caused the job; empty for ordinary jobs."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "jobId": self.job_id,
            "trackId": self.track_id,
            "tenant": self.tenant,
            "attempt": self.attempt,
            "stage": self.stage,
            "tryNumber": self.try_number,
            "code": self.code,
            "message": self.message,
            "version": self.version,
            "callbackId": self.callback_id,
            "replayId": self.replay_id,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> JobFailed:
        """Read an Avro record."""
        return cls(
            job_id=wire["jobId"],
            track_id=wire["trackId"],
            tenant=wire["tenant"],
            attempt=wire["attempt"],
            stage=wire["stage"],
            try_number=wire["tryNumber"],
            code=wire["code"],
            message=wire["message"],
            version=wire["version"],
            callback_id=wire["callbackId"],
            replay_id=wire["replayId"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRetried:
    """A failed job starts a new attempt; events of older attempts are stale from here on."""

    topic: ClassVar[str] = "job-retried"

    job_id: str
    """The job."""
    track_id: str
    """The track."""
    tenant: str = "default"
    """Whose job it is."""
    attempt: int = 1
    """The new attempt."""
    from_stage: str = ""
    """The stage it starts from."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "jobId": self.job_id,
            "trackId": self.track_id,
            "tenant": self.tenant,
            "attempt": self.attempt,
            "fromStage": self.from_stage,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> JobRetried:
        """Read an Avro record."""
        return cls(
            job_id=wire["jobId"],
            track_id=wire["trackId"],
            tenant=wire["tenant"],
            attempt=wire["attempt"],
            from_stage=wire["fromStage"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LyricsEdited:
    """A person changed the lyrics or their times; a draft version exists."""

    topic: ClassVar[str] = "lyrics-edited"

    track_id: str
    """The track; record key."""
    tenant: str = "default"
    """Whose track it is."""
    version: int = 0
    """The draft's version."""
    parent: int = 0
    """The version it was made from."""
    language: str = ""
    """BCP 47 language; empty when unknown."""
    lyrics: Artifact | None = None
    """The draft's lyrics document (lyrics/1)."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "trackId": self.track_id,
            "tenant": self.tenant,
            "version": self.version,
            "parent": self.parent,
            "language": self.language,
            "lyrics": None if self.lyrics is None else self.lyrics.to_wire(),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> LyricsEdited:
        """Read an Avro record."""
        return cls(
            track_id=wire["trackId"],
            tenant=wire["tenant"],
            version=wire["version"],
            parent=wire["parent"],
            language=wire["language"],
            lyrics=None if wire["lyrics"] is None else Artifact.from_wire(wire["lyrics"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mastered:
    """The master was rendered, measured again and stored."""

    topic: ClassVar[str] = "mastered"

    work: Work
    """The job's context; its trackId is the master's id."""
    mastering: Mastering
    """What was asked for."""
    lufs: float | None = None
    """Integrated loudness of the master in LUFS; null for silence."""
    true_peak: float | None = None
    """Highest true peak of the master in dBTP; null for silence."""
    shortfalls: int = 0
    """Number of wishes that could not be met; the report states each."""
    seconds: float = 0.0
    """Time the step took."""
    reused: bool = False
    """True when a stored result of the same work was adopted."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "mastering": self.mastering.to_wire(),
            "lufs": self.lufs,
            "truePeak": self.true_peak,
            "shortfalls": self.shortfalls,
            "seconds": self.seconds,
            "reused": self.reused,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Mastered:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            mastering=Mastering.from_wire(wire["mastering"]),
            lufs=wire["lufs"],
            true_peak=wire["truePeak"],
            shortfalls=wire["shortfalls"],
            seconds=wire["seconds"],
            reused=wire["reused"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MasteringRequested:
    """A song, or an album, is to be mastered; or one of its stages is to run again."""

    topic: ClassVar[str] = "mastering-requested"

    work: Work
    """The job's context; its trackId is the master's id."""
    mastering: Mastering
    """What was asked for."""
    reason: str = "request"
    """request, overrides, retry or replay."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "mastering": self.mastering.to_wire(),
            "reason": self.reason,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> MasteringRequested:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            mastering=Mastering.from_wire(wire["mastering"]),
            reason=wire["reason"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    """Something that webhooks tell, written behind the projection that shows it."""

    topic: ClassVar[str] = "notified"

    notification_id: str
    """The webhook-id of every delivery of it, the same in every try."""
    track_id: str
    """The track or master it is about; record key. The endpoint's id where it is about one."""
    job_id: str
    """The job; empty where none is behind it."""
    tenant: str = "default"
    """Whose it is."""
    type: str = ""
    """Event type, e.g. track.ready."""
    version: int = 0
    """The track's version; 0 where there is none."""
    sequence: int = 0
    """Place among the track's notifications, from 1."""
    occurred_ms: int = 0
    """When it happened, Unix ms."""
    callback_id: str
    """The callback of the job, told beside the standing endpoints; empty for none."""
    code: str = ""
    """Stable word for the reason of a failure."""
    message: str = ""
    """The reason in words."""
    stage: str = ""
    """The stage that gave up."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "notificationId": self.notification_id,
            "trackId": self.track_id,
            "jobId": self.job_id,
            "tenant": self.tenant,
            "type": self.type,
            "version": self.version,
            "sequence": self.sequence,
            "occurredMs": self.occurred_ms,
            "callbackId": self.callback_id,
            "code": self.code,
            "message": self.message,
            "stage": self.stage,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Notified:
        """Read an Avro record."""
        return cls(
            notification_id=wire["notificationId"],
            track_id=wire["trackId"],
            job_id=wire["jobId"],
            tenant=wire["tenant"],
            type=wire["type"],
            version=wire["version"],
            sequence=wire["sequence"],
            occurred_ms=wire["occurredMs"],
            callback_id=wire["callbackId"],
            code=wire["code"],
            message=wire["message"],
            stage=wire["stage"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A version became available. Versions are immutable; the current one is the greatest published."""

    topic: ClassVar[str] = "published"

    work: Work
    """The job's context."""
    score: float = 0.0
    """Quality from 0 to 1, from the check."""
    seconds: float = 0.0
    """Time the step took."""
    needs_review: bool = False
    """True when it is below the quality bar and nobody has looked at it yet."""
    reasons: tuple[str, ...] = ()
    """Why it is below the bar, in sentences."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "score": self.score,
            "seconds": self.seconds,
            "needsReview": self.needs_review,
            "reasons": list(self.reasons),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Published:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            score=wire["score"],
            seconds=wire["seconds"],
            needs_review=wire["needsReview"],
            reasons=tuple(wire["reasons"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReprocessRequested:
    """Run part of the pipeline (again): from work.fromStage on. Retries, re-alignments, roll-backs and replays come this way."""

    topic: ClassVar[str] = "reprocess-requested"

    work: Work
    """The job's context."""
    reason: str = "reprocess"
    """reprocess, retry, rollback or replay."""
    steps: tuple[str, ...] = ()
    """The API steps as the client named them."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "reason": self.reason,
            "steps": list(self.steps),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> ReprocessRequested:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            reason=wire["reason"],
            steps=tuple(wire["steps"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Separated:
    """The song was split into vocals and backing."""

    topic: ClassVar[str] = "separated"

    work: Work
    """The job's context."""
    seconds: float = 0.0
    """Time the step took."""
    reused: bool = False
    """True when a stored result of the same work was adopted."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "seconds": self.seconds,
            "reused": self.reused,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Separated:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            seconds=wire["seconds"],
            reused=wire["reused"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed:
    """A try of a step failed; the runtime will try again unless a job-failed follows."""

    topic: ClassVar[str] = "step-failed"

    job_id: str
    """The job."""
    track_id: str
    """The track."""
    tenant: str = "default"
    """Whose job it is."""
    attempt: int = 1
    """The attempt of the job this belongs to, from 1."""
    stage: str = ""
    """The stage."""
    try_number: int = 1
    """The try that failed, from 1."""
    code: str = ""
    """Stable word for the reason."""
    message: str = ""
    """The reason in words that a musician understands."""
    retry_after_ms: int = -1
    """Delay until the next try; -1 when there is none."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "jobId": self.job_id,
            "trackId": self.track_id,
            "tenant": self.tenant,
            "attempt": self.attempt,
            "stage": self.stage,
            "tryNumber": self.try_number,
            "code": self.code,
            "message": self.message,
            "retryAfterMs": self.retry_after_ms,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> StepFailed:
        """Read an Avro record."""
        return cls(
            job_id=wire["jobId"],
            track_id=wire["trackId"],
            tenant=wire["tenant"],
            attempt=wire["attempt"],
            stage=wire["stage"],
            try_number=wire["tryNumber"],
            code=wire["code"],
            message=wire["message"],
            retry_after_ms=wire["retryAfterMs"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepProgressed:
    """Life signs of a step."""

    topic: ClassVar[str] = "step-progressed"

    job_id: str
    """The job."""
    track_id: str
    """The track."""
    tenant: str = "default"
    """Whose job it is."""
    attempt: int = 1
    """The attempt of the job this belongs to, from 1."""
    stage: str = ""
    """The stage."""
    try_number: int = 1
    """Try of this step within the attempt, from 1."""
    sequence: int = 0
    """Order within the try, from 0."""
    state: str = ""
    """started, progress, heartbeat, done or canceled."""
    progress: float = 0.0
    """Share of the step done, 0 to 1."""
    note: str = ""
    """What it is doing, in words."""
    elapsed_seconds: float = 0.0
    """Time since the try started."""
    sla_seconds: float = 0.0
    """Soft limit for this song: longer is shown as overdue."""
    hard_seconds: float = 0.0
    """Hard limit: longer is killed and tried again."""
    worker: str = ""
    """Which worker has it: host and process."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "jobId": self.job_id,
            "trackId": self.track_id,
            "tenant": self.tenant,
            "attempt": self.attempt,
            "stage": self.stage,
            "tryNumber": self.try_number,
            "sequence": self.sequence,
            "state": self.state,
            "progress": self.progress,
            "note": self.note,
            "elapsedSeconds": self.elapsed_seconds,
            "slaSeconds": self.sla_seconds,
            "hardSeconds": self.hard_seconds,
            "worker": self.worker,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> StepProgressed:
        """Read an Avro record."""
        return cls(
            job_id=wire["jobId"],
            track_id=wire["trackId"],
            tenant=wire["tenant"],
            attempt=wire["attempt"],
            stage=wire["stage"],
            try_number=wire["tryNumber"],
            sequence=wire["sequence"],
            state=wire["state"],
            progress=wire["progress"],
            note=wire["note"],
            elapsed_seconds=wire["elapsedSeconds"],
            sla_seconds=wire["slaSeconds"],
            hard_seconds=wire["hardSeconds"],
            worker=wire["worker"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcribed:
    """The vocals were turned into lyrics."""

    topic: ClassVar[str] = "transcribed"

    work: Work
    """The job's context."""
    words: int = 0
    """Number of words heard."""
    seconds: float = 0.0
    """Time the step took."""
    reused: bool = False
    """True when a stored result of the same work was adopted."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "words": self.words,
            "seconds": self.seconds,
            "reused": self.reused,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Transcribed:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            words=wire["words"],
            seconds=wire["seconds"],
            reused=wire["reused"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadCompleted:
    """A client finished an upload and the gateway checked that it is audio of the promised size."""

    topic: ClassVar[str] = "upload-completed"

    asset_id: str
    """The asset; record key."""
    upload_id: str
    """The upload it came from."""
    tenant: str = "default"
    """Whose asset it is."""
    filename: str = ""
    """Base name the client gave."""
    format: str = ""
    """Container found in the first bytes, e.g. flac."""
    purpose: str = "karaoke"
    """What it is for: karaoke or mastering."""
    source: Artifact
    """The object. Its sha256 is the client's promise until a stage has read the bytes; empty without one."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "assetId": self.asset_id,
            "uploadId": self.upload_id,
            "tenant": self.tenant,
            "filename": self.filename,
            "format": self.format,
            "purpose": self.purpose,
            "source": self.source.to_wire(),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> UploadCompleted:
        """Read an Avro record."""
        return cls(
            asset_id=wire["assetId"],
            upload_id=wire["uploadId"],
            tenant=wire["tenant"],
            filename=wire["filename"],
            format=wire["format"],
            purpose=wire["purpose"],
            source=Artifact.from_wire(wire["source"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRendered:
    """The video was rendered and stored; it is the work's artifact 'video'."""

    topic: ClassVar[str] = "video-rendered"

    work: Work
    """The job's context; its version is the one that is shown."""
    video: Video
    """What was asked for."""
    seconds: float = 0.0
    """Time the step took."""
    reused: bool = False
    """True when a stored result of the same work was adopted."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "video": self.video.to_wire(),
            "seconds": self.seconds,
            "reused": self.reused,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> VideoRendered:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            video=Video.from_wire(wire["video"]),
            seconds=wire["seconds"],
            reused=wire["reused"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRequested:
    """A published version is to be shown as a karaoke video."""

    topic: ClassVar[str] = "video-requested"

    work: Work
    """The job's context; its version is the one that is shown."""
    video: Video
    """What was asked for."""
    reason: str = "request"
    """request or retry."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "work": self.work.to_wire(),
            "video": self.video.to_wire(),
            "reason": self.reason,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> VideoRequested:
        """Read an Avro record."""
        return cls(
            work=Work.from_wire(wire["work"]),
            video=Video.from_wire(wire["video"]),
            reason=wire["reason"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAttempted:
    """How a delivery of one notification to one endpoint stands after an attempt; attempt 0 says that it is owed."""

    topic: ClassVar[str] = "webhook-attempted"

    endpoint_id: str
    """The endpoint, or the callback of a job; record key."""
    notification_id: str
    """The webhook-id."""
    tenant: str = "default"
    """Whose it is."""
    type: str = ""
    """Event type."""
    track_id: str
    """The track it is about."""
    sequence: int = 0
    """Place among the track's notifications."""
    round: int = 0
    """0 at first; each redelivery that somebody asks for is another round."""
    attempt: int = 0
    """Attempts made in this round."""
    outcome: str = "owed"
    """owed, failed, delivered, exhausted or dropped."""
    body: str = ""
    """What is sent; empty once nothing more will be."""
    due_ms: int = 0
    """When the next attempt is due, Unix ms; 0 for none."""
    status: int = 0
    """HTTP status of the answer; 0 for none."""
    error: str = ""
    """Stable word for why no 2xx came; empty for one."""
    detail: str = ""
    """The same in words."""
    duration_ms: int = 0
    """How long the attempt took."""
    response: str = ""
    """How the answer's body begins."""
    failing_since_ms: int = 0
    """Since when every attempt at the endpoint has failed, Unix ms; 0 when it has not."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "endpointId": self.endpoint_id,
            "notificationId": self.notification_id,
            "tenant": self.tenant,
            "type": self.type,
            "trackId": self.track_id,
            "sequence": self.sequence,
            "round": self.round,
            "attempt": self.attempt,
            "outcome": self.outcome,
            "body": self.body,
            "dueMs": self.due_ms,
            "status": self.status,
            "error": self.error,
            "detail": self.detail,
            "durationMs": self.duration_ms,
            "response": self.response,
            "failingSinceMs": self.failing_since_ms,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> WebhookAttempted:
        """Read an Avro record."""
        return cls(
            endpoint_id=wire["endpointId"],
            notification_id=wire["notificationId"],
            tenant=wire["tenant"],
            type=wire["type"],
            track_id=wire["trackId"],
            sequence=wire["sequence"],
            round=wire["round"],
            attempt=wire["attempt"],
            outcome=wire["outcome"],
            body=wire["body"],
            due_ms=wire["dueMs"],
            status=wire["status"],
            error=wire["error"],
            detail=wire["detail"],
            duration_ms=wire["durationMs"],
            response=wire["response"],
            failing_since_ms=wire["failingSinceMs"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpointChanged:
    """A standing webhook endpoint as its owner wants it. Neither its URL nor its secrets: the URL lies in the artifact store, secrets are derived."""

    topic: ClassVar[str] = "webhook-endpoint-changed"

    endpoint_id: str
    """The endpoint; record key."""
    tenant: str = "default"
    """Whose it is."""
    callback_id: str
    """Where its URL is kept."""
    types: tuple[str, ...] = ()
    """Event types it is told; none for all."""
    description: str = ""
    """The owner's note."""
    state: str = "active"
    """active, paused or deleted."""
    revision: int = 1
    """Counts the changes, from 1; the greatest one holds."""
    enabled: int = 0
    """Counts how often it was put back to work: a verdict on an earlier count is void."""
    generation: int = 1
    """Number of the newest secret, from 1."""
    previous_until_ms: tuple[int, ...] = ()
    """Until when the secrets before it still sign, the newest of them first, Unix ms."""
    created_ms: int = 0
    """When it was made, Unix ms."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "endpointId": self.endpoint_id,
            "tenant": self.tenant,
            "callbackId": self.callback_id,
            "types": list(self.types),
            "description": self.description,
            "state": self.state,
            "revision": self.revision,
            "enabled": self.enabled,
            "generation": self.generation,
            "previousUntilMs": list(self.previous_until_ms),
            "createdMs": self.created_ms,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> WebhookEndpointChanged:
        """Read an Avro record."""
        return cls(
            endpoint_id=wire["endpointId"],
            tenant=wire["tenant"],
            callback_id=wire["callbackId"],
            types=tuple(wire["types"]),
            description=wire["description"],
            state=wire["state"],
            revision=wire["revision"],
            enabled=wire["enabled"],
            generation=wire["generation"],
            previous_until_ms=tuple(wire["previousUntilMs"]),
            created_ms=wire["createdMs"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpointJudged:
    """What the deliveries found out about an endpoint: it is called no more, or again."""

    topic: ClassVar[str] = "webhook-endpoint-judged"

    endpoint_id: str
    """The endpoint, or the callback of a job; record key."""
    tenant: str = "default"
    """Whose it is."""
    verdict: str = "disabled"
    """disabled or enabled."""
    reason: str = ""
    """gone (410), failing, or answers again."""
    enabled: int = 0
    """The count of the endpoint's configuration that was judged."""
    number: int = 1
    """Counts the verdicts on the endpoint, from 1; the greatest one holds."""
    failing_since_ms: int = 0
    """Since when every attempt has failed, Unix ms."""

    def to_wire(self) -> dict[str, Any]:
        """The Avro record."""
        return {
            "endpointId": self.endpoint_id,
            "tenant": self.tenant,
            "verdict": self.verdict,
            "reason": self.reason,
            "enabled": self.enabled,
            "number": self.number,
            "failingSinceMs": self.failing_since_ms,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> WebhookEndpointJudged:
        """Read an Avro record."""
        return cls(
            endpoint_id=wire["endpointId"],
            tenant=wire["tenant"],
            verdict=wire["verdict"],
            reason=wire["reason"],
            enabled=wire["enabled"],
            number=wire["number"],
            failing_since_ms=wire["failingSinceMs"],
        )


Event = (
    AdmissionReported
    | Aligned
    | Analyzed
    | Checked
    | ClipMade
    | Decided
    | ExtractionAdmitted
    | ExtractionRequested
    | FeaturesExtracted
    | Generated
    | GenerationDue
    | GenerationHinted
    | GenerationRequested
    | GenerationUpdated
    | ImportRequested
    | JobCanceled
    | JobFailed
    | JobRetried
    | LyricsEdited
    | Mastered
    | MasteringRequested
    | Notified
    | Published
    | ReprocessRequested
    | Separated
    | StepFailed
    | StepProgressed
    | Transcribed
    | UploadCompleted
    | VideoRendered
    | VideoRequested
    | WebhookAttempted
    | WebhookEndpointChanged
    | WebhookEndpointJudged
)


EVENTS: Mapping[str, type[Event]] = {
    AdmissionReported.topic: AdmissionReported,
    Aligned.topic: Aligned,
    Analyzed.topic: Analyzed,
    Checked.topic: Checked,
    ClipMade.topic: ClipMade,
    Decided.topic: Decided,
    ExtractionAdmitted.topic: ExtractionAdmitted,
    ExtractionRequested.topic: ExtractionRequested,
    FeaturesExtracted.topic: FeaturesExtracted,
    Generated.topic: Generated,
    GenerationDue.topic: GenerationDue,
    GenerationHinted.topic: GenerationHinted,
    GenerationRequested.topic: GenerationRequested,
    GenerationUpdated.topic: GenerationUpdated,
    ImportRequested.topic: ImportRequested,
    JobCanceled.topic: JobCanceled,
    JobFailed.topic: JobFailed,
    JobRetried.topic: JobRetried,
    LyricsEdited.topic: LyricsEdited,
    Mastered.topic: Mastered,
    MasteringRequested.topic: MasteringRequested,
    Notified.topic: Notified,
    Published.topic: Published,
    ReprocessRequested.topic: ReprocessRequested,
    Separated.topic: Separated,
    StepFailed.topic: StepFailed,
    StepProgressed.topic: StepProgressed,
    Transcribed.topic: Transcribed,
    UploadCompleted.topic: UploadCompleted,
    VideoRendered.topic: VideoRendered,
    VideoRequested.topic: VideoRequested,
    WebhookAttempted.topic: WebhookAttempted,
    WebhookEndpointChanged.topic: WebhookEndpointChanged,
    WebhookEndpointJudged.topic: WebhookEndpointJudged,
}
