"""``melisma topics``: list, follow, provision."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from schemas.work import EVERY_STAGE
from tools.ops import display
from tools.ops.buckets import bucket_findings
from tools.ops.provisioning import Finding, all_findings, apply, retentions, wanted
from tools.ops.tail import Line, line_of, tail
from tools.ops.times import shown
from tools.ops.workplace import Workplace, fail, workplace
from topics.artifacts.s3_settings import S3Settings
from topics.catalog import CATALOG, FOREVER
from topics.log.kafka.settings import KafkaSettings
from topics.registry import RegistrySettings

_DAY_MS = 86_400_000


def ls(*, every: bool, data: Path | None, output: display.Output) -> None:
    """The catalog's topics, with what the log has of them; ``every`` adds the rest of the log."""
    with workplace(data) as place:
        found = dict(place.log.topics())
        names = [place.codec.on_log(name) for name in CATALOG]
        names += sorted(set(wanted(place.codec)) - set(names))
        names += sorted(set(found) - set(names)) if every else []
        ends: dict[str, int] = {}
        for tp, end in place.log.end_offsets([n for n in names if n in found]).items():
            ends[tp.topic] = ends.get(tp.topic, 0) + end
        rows = [_topic(place, name, found, ends) for name in names]
        if output == "json":
            display.print_json(rows)
            return
        if not every:  # retry tiers and dead letters that hold nothing are no news
            rows = [r for r in rows if r["topic"] in names[: len(CATALOG)] or r["written"]]
        display.print_table(
            ("topic", "partitions", "written", "kept", "owner", "about"),
            [
                (
                    row["topic"],
                    "missing" if row["partitions"] is None else row["partitions"],
                    row["written"],
                    _kept(row["retentionMs"]),
                    row["owner"],
                    row["about"],
                )
                for row in rows
            ],
            empty="",
            flowing="about",
        )


def follow(
    topic: str, *, decode: bool, last: int | None, on: bool, data: Path | None,
    output: display.Output,
) -> None:  # fmt: skip
    """Print records of a topic."""
    with workplace(data) as place:
        name = place.codec.on_log(topic)
        present = place.log.topics()
        if name not in present:
            name = topic  # named as it is on the log
        if name not in present:
            fail(f"there is no topic '{topic}' on the log; see melisma topics ls --all")
        for record in tail(place.log, name, last=last, follow=on):
            line = line_of(record, place.codec, decode=decode)
            if output == "json":
                display.print_json_line(line.to_json())
            else:
                _print(line)


def show_diff(*, data: Path | None, output: display.Output) -> None:
    """Print what is missing or different. Status 0 whatever it is."""
    with workplace(data, create=True) as place:
        _show(_findings(place), output, everything=False)


def check(*, data: Path | None, output: display.Output) -> None:
    """As `show_diff`, with status 1 unless everything is there and fits."""
    with workplace(data, create=True) as place:
        findings = _findings(place)
        _show(findings, output, everything=False)
        if any(each.bad for each in findings):
            raise typer.Exit(1)


def provision(*, data: Path | None, output: display.Output) -> None:
    """Create what is missing. Status 1 when something is left that cannot be put right."""
    with workplace(data, create=True) as place:
        before = _findings(place)
        after = [
            *apply(place.log, RegistrySettings(), place.codec, KafkaSettings()),
            *bucket_findings(S3Settings.read(), place.settings.cors_origins, repair=True),
        ]
        made = [each for each in before if each.applies and _now(each, after)]
        if output == "json":
            display.print_json(
                {"made": [_finding(e) for e in made], "left": [_finding(e) for e in after if e.bad]}
            )
        else:
            kinds = {
                what: sum(e.what == what for e in made) for what in ("topic", "config", "schema")
            }
            for each in made:
                print(f"{each.what:<8}{each.topic}")
            print(
                f"{kinds['topic']} topics and {kinds['schema']} schemas made, "
                f"{kinds['config']} topics configured anew"
            )
        left = [each for each in after if each.bad]
        for each in [*left, *(each for each in after if each.verdict == "forbidden")]:
            typer.echo(f"melisma: {each.what} {each.topic}: {each.detail}", err=True)
        if left:
            raise typer.Exit(1)


def _findings(place: Workplace) -> list[Finding]:
    origins = place.settings.cors_origins
    return [
        *all_findings(place.log, RegistrySettings(), KafkaSettings(), place.codec),
        *bucket_findings(S3Settings.read(), origins, repair=False),
    ]


def _now(before: Finding, after: Sequence[Finding]) -> bool:
    return any(
        (each.what, each.topic, each.verdict) == (before.what, before.topic, "ok") for each in after
    )


def _show(findings: Sequence[Finding], output: display.Output, *, everything: bool) -> None:
    different = [each for each in findings if everything or each.verdict != "ok"]
    if output == "json":
        display.print_json(
            {
                "compared": len(findings),
                "different": [_finding(each) for each in different],
                "ok": not any(each.bad for each in findings),
            }
        )
        return
    display.print_table(
        ("", "topic", "is", "detail"),
        [(each.what, each.topic, each.verdict, each.detail) for each in different],
        empty=f"all {len(findings)} are as the catalog has them",
        flowing="detail",
    )


def _finding(each: Finding) -> dict[str, Any]:
    return {
        "what": each.what, "topic": each.topic, "verdict": each.verdict, "detail": each.detail
    }  # fmt: skip


def _topic(
    place: Workplace, name: str, found: dict[str, int], ends: dict[str, int]
) -> dict[str, Any]:
    entry = CATALOG.get(place.codec.in_catalog(name))
    own = place.codec.in_catalog(name).split(".")[0]
    return {
        "topic": name,
        "partitions": found.get(name),
        "written": ends.get(name, 0),
        "retentionMs": retentions(place.codec).get(name),
        "owner": entry.owner if entry else own if own in EVERY_STAGE else "",
        "about": entry.doc if entry else "",
    }


def _kept(retention_ms: int | None) -> str:
    if retention_ms is None:
        return ""
    return "for ever" if retention_ms == FOREVER else f"{retention_ms // _DAY_MS} days"


def _print(line: Line) -> None:
    record = line.record
    key = "" if record.key is None else record.key.decode(errors="replace")
    size = "tombstone" if record.value is None else f"{len(record.value)} bytes"
    what = f"  POISON: {line.poison}" if line.poison else f"  {size}"
    print(
        f"{shown(record.timestamp_ms)}  {record.partition}/{record.offset}  {display.clean(key)}"
        + (what if line.value is None else f"  {line.kind}"),
        flush=True,
    )
    if line.value is not None:
        import json

        for row in json.dumps(display.clean(line.value), ensure_ascii=False, indent=2).splitlines():
            print(f"    {row}")
        sys.stdout.flush()
