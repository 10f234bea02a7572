"""``melisma dlq``: look at dead letters, write them to their topics again, or let them be."""

from __future__ import annotations

import getpass
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.identifiers import new_seed
from tools.ops import difference, display, headers, reading
from tools.ops.deadletters import (
    OWNERS,
    Filter,
    Left,
    Letter,
    Mark,
    Resend,
    plan,
    read,
    resend,
    topics,
    verdicts,
)
from tools.ops.deadletters import drop as mark_dropped
from tools.ops.times import instant_ms, paced, rfc3339, shown
from tools.ops.workplace import Workplace, checked, confirm, fail, workplace
from topics.catalog import HANDLED

_BATCH = 100  # letters in one transaction, far below its 10 s time-out
_PRODUCER = "dead-letters"
"""One name: of two operators the later one fences the earlier off, so nothing is sent twice."""


def ls(wanted: Filter, *, data: Path | None, output: display.Output) -> None:
    """List letters, the oldest first."""
    with workplace(data) as place:
        letters = _read(place, wanted)
        if output == "json":
            display.print_json([_summary(letter) for letter in letters])
            return
        display.print_table(
            ("letter", "since", "code", "topic", *(("handled",) if wanted.handled else ()), "why"),
            [
                (
                    letter.id,
                    shown(letter.record.timestamp_ms),
                    letter.said("code"),
                    place.codec.in_catalog(letter.said("topic")),
                    *((letter.mark.action if letter.mark else "",) if wanted.handled else ()),
                    letter.said("message"),
                )
                for letter in letters
            ],
            empty="no dead letters" if wanted.handled else "no dead letters that nobody handled",
            flowing="why",
        )


def show(letter_id: str, *, diff: bool, data: Path | None, output: display.Output) -> None:
    """Everything that is known of one letter."""
    with workplace(data) as place:
        letter = _one(place, letter_id)
        compared = difference.compared(place.log, place.codec, letter) if diff else []
        if output == "json":
            display.print_json({**_detail(letter), **({"diff": compared} if diff else {})})
            return
        error = {name: letter.said(name) for name in ("stage", "code", "class", "attempts")}
        display.print_fields(
            {
                "letter": letter.id,
                "since": shown(letter.record.timestamp_ms),
                **error,
                "message": letter.said("message"),
                "read from": letter.origin,
                "job": letter.job_id,
                "key": _text(letter.record.key),
                "replays": letter.replays or "",
                "handled": _handled(letter.mark),
            }
        )
        print("\nheaders")
        for name, value in letter.record.headers:
            if not name.startswith("melisma.error."):
                print(f"  {name}: {display.clean(_text(value))}")
        print(f"\nvalue{'' if letter.event else f' is no event: {letter.poison}'}")
        lines = (
            difference.pretty(display.clean(letter.event.event.to_wire())).splitlines()
            if letter.event
            else difference.described(letter.record.value)
        )
        print("\n".join(f"  {line}" for line in lines))
        if diff:
            print("\ndiff")
            print("\n".join(f"  {display.clean(line)}" for line in compared))


def replay(
    wanted: Filter,
    *,
    reason: str | None,
    dry_run: bool,
    per_second: float | None,
    max_replays: int,
    again: bool,
    yes: bool,
    data: Path | None,
    output: display.Output,
) -> None:
    """Write letters to the topics they came from, and mark them."""
    if not reason and not dry_run:
        fail("--reason is missing; it is kept with the records that are written again")
    with workplace(data) as place:
        # Opened before the marks are read: whoever else is replaying can commit nothing after it.
        producer = None if dry_run else _producer(place)
        try:
            letters = _read(place, wanted)
            _all_found(wanted, letters)
            resends, left = plan(
                letters,
                verdicts(place.log, place.codec),
                frozenset(place.log.topics()),
                max_replays=max_replays,
                again=again,
            )
            mark = Mark(
                "replayed",
                reason or "",
                place.now_ms(),
                getpass.getuser(),
                f"rpl_{new_seed()[:12]}",
            )
            if producer is not None and resends:
                many = f"{len(resends)} record{'' if len(resends) == 1 else 's'}"
                confirm(f"write {many} to the topics they came from", yes=yes)
                slow = list(_chunks(resends, 1 if per_second is not None else _BATCH))
                with display.progress("replaying", len(resends)) as counted:
                    for some in paced(slow, per_second, clock=time.monotonic, sleep=time.sleep):
                        resend(producer, place.codec, some, mark)
                        counted(len(some))
        finally:
            if producer is not None:
                producer.close()
        _show_replay(place, resends, left, mark, dry_run=dry_run, output=output)


def drop(
    wanted: Filter,
    *,
    reason: str | None,
    dry_run: bool,
    yes: bool,
    data: Path | None,
    output: display.Output,
) -> None:
    """Mark letters as not worth another try."""
    if not reason and not dry_run:
        fail("--reason is missing; it is kept with the mark")
    with workplace(data) as place:
        letters = [each for each in _read(place, wanted) if each.mark is None]
        if not letters:
            _all_found(wanted, _read(place, wanted))
        mark = Mark("dropped", reason or "", place.now_ms(), getpass.getuser())
        if letters and not dry_run:
            many = f"{len(letters)} dead letter{'' if len(letters) == 1 else 's'}"
            confirm(f"drop {many} (the bytes stay in the topic)", yes=yes)
            producer = _producer(place)
            try:
                for some in _chunks(letters, _BATCH):
                    mark_dropped(producer, place.codec, some, mark)
            finally:
                producer.close()
        if output == "json":
            display.print_json({"dryRun": dry_run, "dropped": [each.id for each in letters]})
            return
        for letter in letters[: display.MOST_ROWS]:
            print(letter.id)
        print(f"{len(letters)} {'would be dropped' if dry_run else 'dropped'}")


def _producer(place: Workplace) -> Any:
    place.log.provision({place.codec.on_log(HANDLED): 1})  # a log of before has none
    return place.log.producer(_PRODUCER)


def _read(place: Workplace, wanted: Filter) -> list[Letter]:
    with display.progress("reading", reading.count(place.log, topics(place.codec))) as counted:
        letters = list(read(place.log, place.codec, wanted, counted))
    return sorted(letters, key=lambda one: (one.record.timestamp_ms, one.id))


def _one(place: Workplace, letter_id: str) -> Letter:
    wanted = Filter(ids=(letter_id,), handled=True)
    letters = _read(place, wanted)
    _all_found(wanted, letters)
    return letters[0]


def _all_found(wanted: Filter, letters: Sequence[Letter]) -> None:
    missing = set(wanted.ids) - {letter.id for letter in letters}
    if missing:
        fail(f"there is no dead letter '{min(missing)}'; see melisma dlq ls --all")


def _chunks(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[at : at + size] for at in range(0, len(items), size)]


def _show_replay(
    place: Workplace,
    resends: Sequence[Resend],
    left: Sequence[Left],
    mark: Mark,
    *,
    dry_run: bool,
    output: display.Output,
) -> None:
    if output == "json":
        display.print_json(
            {
                "replayId": mark.replay_id,
                "dryRun": dry_run,
                "reason": mark.reason,
                "replayed": [
                    {
                        "letters": [letter.id for letter in each.letters],
                        "topic": each.letter.said("topic"),
                        "origin": each.letter.origin,
                        "jobId": each.letter.job_id or None,
                        "replays": each.letter.replays + 1,
                    }
                    for each in resends
                ],
                "left": [{"letter": each.letter.id, "why": each.why} for each in left],
            }
        )
        return
    display.print_table(
        ("letter", "to topic", "job"),
        [
            (
                ", ".join(letter.id for letter in each.letters),
                place.codec.in_catalog(each.letter.said("topic")),
                each.letter.job_id,
            )
            for each in resends[: display.MOST_ROWS]
        ],
        empty="no dead letter to replay",
    )
    if left:
        print()
        display.print_table(
            ("left alone", "why"),
            [(each.letter.id, each.why) for each in left[: display.MOST_ROWS]],
            empty="",
            flowing="why",
        )
    done = "would be replayed" if dry_run else f"replayed as {mark.replay_id}"
    print(f"\n{len(resends)} {done}, {len(left)} left alone")


def _summary(letter: Letter) -> dict[str, Any]:
    return {
        "letter": letter.id,
        "stage": letter.owner,
        "at": rfc3339(letter.record.timestamp_ms),
        "code": letter.said("code"),
        "class": letter.said("class"),
        "message": letter.said("message"),
        "attempts": letter.said("attempts"),
        "origin": letter.origin or None,
        "jobId": letter.job_id or None,
        "replays": letter.replays,
        "handled": None
        if letter.mark is None
        else {
            "action": letter.mark.action,
            "reason": letter.mark.reason,
            "by": letter.mark.by,
            "at": rfc3339(letter.mark.at_ms),
            "replayId": letter.mark.replay_id or None,
        },
    }


def _detail(letter: Letter) -> dict[str, Any]:
    value = letter.record.value
    return {
        **_summary(letter),
        "key": _text(letter.record.key),
        "headers": [[name, _text(each)] for name, each in letter.record.headers],
        "event": letter.event.event.to_wire() if letter.event else None,
        "poison": letter.poison or None,
        "valueHex": None if letter.event or value is None else value.hex(),
        "replayReason": headers.text(letter.record.headers, headers.REASON) or None,
    }


def _text(value: bytes | None) -> str:
    """Bytes that are text as they are, others in hex."""
    if value is None:
        return ""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return f"0x{value.hex()}"
    return text if text.isprintable() else f"0x{value.hex()}"


def _handled(mark: Mark | None) -> str:
    if mark is None:
        return ""
    return f"{mark.action} {shown(mark.at_ms)} by {mark.by or 'somebody'}: {mark.reason}"


def filter_of(
    ids: Sequence[str],
    stage: str | None,
    code: str | None,
    job: str | None,
    since: str | None,
    until: str | None,
    *,
    handled: bool,
) -> Filter:
    """The filter that the options name."""
    if stage and stage not in OWNERS:
        fail(f"'{stage}' has no dead letters of its own; choose {', '.join(OWNERS)}")
    now_ms = time.time_ns() // 1_000_000
    return Filter(
        ids=tuple(ids),
        owner=stage or "",
        code=code or "",
        job_id=job or "",
        from_ms=checked(instant_ms, since, now_ms),
        to_ms=checked(instant_ms, until, now_ms),
        handled=handled,
    )


def narrowed(wanted: Filter, *, everything: bool) -> None:
    """Refuse to act on every letter unless that was said."""
    given = wanted.ids or wanted.owner or wanted.code or wanted.job_id
    if not given and wanted.from_ms is None and wanted.to_ms is None and not everything:
        fail("name letters, a filter, or --everything")
