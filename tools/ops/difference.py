"""What tells a dead letter from a record that was fine: its neighbour, or the golden example."""

from __future__ import annotations

import difflib
import json
import struct
from collections.abc import Sequence

from schemas import avsc
from tools.ops import reading
from tools.ops.deadletters import Letter, known_topic
from topics.codec import Codec, Poison
from topics.log import Log, Record, TopicPartition

_NEAR = 200  # offsets before and behind in which a neighbour is looked for
_HEAD = 64  # bytes shown of what is no event


def pretty(value: object) -> str:
    """JSON for people."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def neighbour(log: Log, codec: Codec, letter: Letter) -> Record | None:
    """The readable record nearest to where the letter's record was first read."""
    if not letter.origin or not known_topic(letter, codec):
        return None
    tp = TopicPartition(letter.said("topic"), int(letter.said("partition")))
    at = int(letter.said("offset"))
    ends = log.end_offsets([tp.topic]) if tp.topic in log.topics() else {}
    if tp not in ends:
        return None
    start = {each: end for each, end in ends.items() if each != tp} | {tp: max(at - _NEAR, 0)}
    best: Record | None = None
    for record in reading.records(log, [tp.topic], start=start):
        if record.tp != tp or record.offset == at:
            continue
        if record.offset > at + _NEAR:
            break
        if best is not None and abs(best.offset - at) <= abs(record.offset - at):
            continue
        try:
            codec.decode(record)
        except Poison:
            continue
        best = record
    return best


def compared(log: Log, codec: Codec, letter: Letter) -> list[str]:
    """A unified diff: from a record that was fine to this one."""
    topic = known_topic(letter, codec)
    if not topic:
        return [f"topic '{letter.said('topic')}' is not in the catalog: nothing to compare with"]
    beside = neighbour(log, codec, letter)
    if letter.event is None:
        name, fine = _fine_bytes(codec, topic, beside)
        return _unified(name, described(fine), letter.id, described(letter.record.value))
    if beside is not None:
        name = f"{beside.topic}/{beside.partition}/{beside.offset}"
        fine_event = codec.decode(beside).event.to_wire()
    else:
        name, fine_event = f"golden example of {topic}", dict(avsc.golden(topic))
    theirs = pretty(fine_event).splitlines()
    return _unified(name, theirs, letter.id, pretty(letter.event.event.to_wire()).splitlines())


def described(value: bytes | None) -> list[str]:
    """Bytes that may be an event: length, the Confluent prefix, the first bytes in hex."""
    if value is None:
        return ["no value (a tombstone)"]
    lines = [f"{len(value)} bytes"]
    if len(value) >= 5:
        magic, schema_id = struct.unpack_from(">bI", value)
        lines.append(f"magic byte {magic}")
        lines.append(f"schema id {schema_id}")
    for at in range(0, min(len(value), _HEAD), 16):
        row = value[at : at + 16]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{at:04x}  {row.hex(' '):<47}  {letters}")
    if len(value) > _HEAD:
        lines.append(f"… {len(value) - _HEAD} more bytes")
    return lines


def _fine_bytes(codec: Codec, topic: str, beside: Record | None) -> tuple[str, bytes | None]:
    if beside is not None:
        return f"{beside.topic}/{beside.partition}/{beside.offset}", beside.value
    from schemas.events import EVENTS
    from topics.codec import Envelope

    event = EVENTS[topic].from_wire(avsc.golden(topic))
    golden = Envelope(event, id="golden", source="golden", time_ms=0, traceparent="")
    return f"golden example of {topic}", codec.encode(golden).value


def _unified(name: str, fine: Sequence[str], letter: str, bad: Sequence[str]) -> list[str]:
    lines = difflib.unified_diff(fine, bad, name, f"dead letter {letter}", n=2, lineterm="")
    return list(lines) or ["no difference"]
