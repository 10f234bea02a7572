"""Version numbers of tracks: each given out once, by however many gateways.

A track's partition has a row for each holder and, static, the last number. Both are written in one
conditional batch, so a number without its holder, or a holder with two numbers, cannot be; and who
asks again after an answer that got lost reads the number it was given.
"""

from __future__ import annotations

import random
import time

from gateway.projection.cassandra.session import CassandraSession
from gateway.projection.store import StoreError

_READ = "SELECT last, number FROM versions WHERE tenant = ? AND track_id = ? AND holder = ?"
_LAST = "SELECT last FROM versions WHERE tenant = ? AND track_id = ? LIMIT 1"
_RAISE = "UPDATE versions SET last = ? WHERE tenant = ? AND track_id = ? IF last = ?"
_HOLD = "INSERT INTO versions (tenant, track_id, holder, number) VALUES (?, ?, ?, ?) IF NOT EXISTS"

_PATIENCE_S = 10.0
"""Decisions take 5 to 20 ms each, so whoever lost for this long is one of hundreds at one track."""

_PAUSE_S = (0.002, 0.05)  # shortest and longest pause after a lost race
_WHAT = "give out a version"


def next_version(
    session: CassandraSession,
    tenant: str,
    track_id: str,
    holder: str,
    floor: int,
    rng: random.Random,
) -> int:
    """The holder's number: the one it has, or the next above all numbers and above ``floor``."""
    deadline = time.monotonic() + _PATIENCE_S
    pause_s, longest_s = _PAUSE_S
    while True:
        held = session.row(_WHAT, _READ, tenant, track_id, holder)
        if held is not None and held[1] is not None:
            return int(held[1])
        row = session.row(_WHAT, _LAST, tenant, track_id)
        last = None if row is None else row[0]
        number = max(0 if last is None else int(last), floor) + 1
        decision = session.batch(
            [
                session.bind(_RAISE, number, tenant, track_id, last),
                session.bind(_HOLD, tenant, track_id, holder, number),
            ]
        )
        if session.decide(_WHAT, decision):
            return number
        if time.monotonic() > deadline:
            raise StoreError(
                f"no version of track {track_id} could be given out: too many ask for one at once; "
                "try again"
            )
        time.sleep(rng.uniform(0, pause_s))  # racers that wait equally long meet again
        pause_s = min(pause_s * 2, longest_s)
