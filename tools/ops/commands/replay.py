"""``melisma replay``: recorded events become jobs that make new versions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import typer

from gateway.identifiers import new_seed
from schemas.work import EVERY_STAGE, EVERY_STEP, EXTRACTION_STAGES, VIDEO_STAGES
from tools.ops import display, reading
from tools.ops.replay import WORK_TOPICS, Order, Request
from tools.ops.replaying import Plan, Selection, plan_all, publish, survey
from tools.ops.times import instant_ms, paced, rate_per_second
from tools.ops.workplace import checked, confirm, fail, workplace


def replay(
    selection: Selection,
    order: Order,
    *,
    data: Path | None,
    dry_run: bool,
    per_second: float | None,
    yes: bool,
    output: display.Output,
) -> None:
    """Plan, ask, write, and say what was done."""
    order = order if order.replay_id else _named(order)
    with workplace(data) as place, ExitStack() as parts:
        topics = [
            place.codec.on_log(name)
            for name in {*selection.topics(), "reprocess-requested", "mastering-requested"}
        ]
        with display.progress("reading", reading.count(place.log, topics)) as counted:
            found = survey(place.log, place.codec, selection, order.replay_id, counted)
        store = parts.enter_context(place.projection())
        plan = plan_all(found, store, order)
        written: dict[str, int] = {}  # job -> version
        if plan.requests and not dry_run:
            many = _counted(len(plan.requests), "track")
            confirm(f"run {order.stage} and what follows again for {many}", yes=yes)
            rows = parts.enter_context(place.reservations())
            slow = paced(plan.requests, per_second, clock=time.monotonic, sleep=time.sleep)
            works = publish(
                slow,
                log=place.log,
                codec=place.codec,
                reservations=rows,
                replay_id=order.replay_id,
                now_ms=place.now_ms,
                **({"batch": 1} if per_second is not None else {}),
            )
            try:
                with display.progress("requesting", len(plan.requests)) as counted:
                    for work in works:
                        written[work.job_id] = work.version
                        counted(1)
            except BaseException:
                # whatever stopped it, its operator needs the id to go on
                typer.echo(
                    f"{len(written)} of {many} requested; the same command with"
                    f" --id {order.replay_id} goes on",
                    err=True,
                )
                raise
    _show(plan, order, written, dry_run=dry_run, output=output)


def selection_of(
    topic: str | None, job: str | None, track: str | None, since: str | None, until: str | None
) -> Selection:
    """The selection that the options name; one of topic, job and track is needed."""
    if not (topic or job or track):
        fail("name a topic, --job or --track to replay")
    if topic and topic not in WORK_TOPICS:
        fail(f"'{topic}' holds no work to begin again from; choose {', '.join(WORK_TOPICS)}")
    now_ms = time.time_ns() // 1_000_000
    return Selection(
        topic=topic or "",
        job_id=job or "",
        track_id=track or "",
        from_ms=checked(instant_ms, since, now_ms),
        to_ms=checked(instant_ms, until, now_ms),
    )


def stage_of(name: str) -> str:
    """A stage by its own name or by that of its API step."""
    stage = EVERY_STEP.get(name, name)
    if stage not in EVERY_STAGE:
        fail(f"there is no stage '{name}'; the stages are {', '.join(EVERY_STAGE)}")
    if stage in EXTRACTION_STAGES:
        fail("an extraction makes no version that a replay could make anew; ask for it again")
    if stage in VIDEO_STAGES:
        fail("a video makes no version that a replay could make anew; ask for the video again")
    return stage


def rate_of(text: str | None) -> float | None:
    """Events a second, None for no limit."""
    rate: float | None = checked(rate_per_second, text)
    return rate


def _named(order: Order) -> Order:
    from dataclasses import replace

    return replace(order, replay_id=f"rpl_{new_seed()[:12]}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _show(
    plan: Plan, order: Order, written: dict[str, int], *, dry_run: bool, output: display.Output
) -> None:
    if output == "json":
        display.print_json(
            {
                "replayId": order.replay_id,
                "stage": order.stage,
                "dryRun": dry_run,
                "requested": [_request(each, written) for each in plan.requests],
                "skipped": [
                    {
                        "tenant": each.tenant,
                        "trackId": each.track_id,
                        "reason": each.reason,
                        "why": each.why,
                        "source": each.source.place if each.source else None,
                    }
                    for each in plan.skipped
                ],
                "poisoned": plan.poisoned,
            }
        )
        return
    display.print_table(
        ("track", "version", "from", "job"),
        list(_rows(plan, written)),
        empty="nothing to replay",
    )
    _more(len(plan.requests))
    if plan.skipped:
        print()
        display.print_table(
            ("left alone", "why"),
            [(each.track_id, each.why) for each in plan.skipped[: display.MOST_ROWS]],
            empty="",
            flowing="why",
        )
        _more(len(plan.skipped))
    done = "would be requested" if dry_run else "requested"
    print(
        f"\n{_counted(len(plan.requests) if dry_run else len(written), 'job')} {done}"
        f" from {order.stage} on, {_counted(len(plan.skipped), 'track')} left alone"
        + (f", {_counted(plan.poisoned, 'unreadable record')} passed over" if plan.poisoned else "")
        + ("" if dry_run or not written else f"; replay {order.replay_id}")
    )


def _rows(plan: Plan, written: dict[str, int]) -> Iterator[tuple[Any, ...]]:
    for each in plan.requests[: display.MOST_ROWS]:
        version = written.get(each.work.job_id)
        shown = f"≥ {each.floor + 1}" if version is None else version
        yield each.work.track_id, shown, each.source.place, each.work.job_id


def _more(number: int) -> None:
    if number > display.MOST_ROWS:
        print(f"… and {number - display.MOST_ROWS} more; -o json has them all")


def _request(request: Request, written: dict[str, int]) -> dict[str, Any]:
    return {
        "tenant": request.work.tenant,
        "trackId": request.work.track_id,
        "jobId": request.work.job_id,
        "version": written.get(request.work.job_id),
        "source": request.source.place,
        "sourceEventId": request.source.event_id,
        "replays": request.replays,
    }
