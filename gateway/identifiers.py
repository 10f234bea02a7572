"""Ids that follow from one seed, so that a request tried twice creates the same things twice."""

from __future__ import annotations

import uuid
from typing import Literal

Kind = Literal[
    "upload",
    "asset",
    "track",
    "job",
    "callback",
    "master",
    "mastering",
    "video",
    "extraction",
    "batch",
    "item",
    "webhook",
    "message",
]

MASTER = "mst"
"""What the ids of masters begin with; the rest of the product keeps them as tracks."""

VIDEO = "vid"
"""What the ids of jobs that make a video begin with: they make no version of their track."""

EXTRACTION = "ext"
"""What the ids of extractions of single files begin with: task, item and job in one."""

BATCH = "bat"
"""What the ids of tasks of many files begin with: no job themselves."""

ITEM = "itm"
"""What the ids of the jobs of a batch begin with: they are listed there, and nowhere else."""

_PREFIX: dict[Kind, str] = {
    "upload": "upl",
    "asset": "ast",
    "track": "trk",
    "job": "job",
    "callback": "cbk",
    "master": MASTER,
    "mastering": "mas",  # a job that makes a version of a master
    "video": VIDEO,
    "extraction": EXTRACTION,
    "batch": BATCH,
    "item": ITEM,
    "webhook": "whk",  # an endpoint
    "message": "msg",  # what an endpoint is told
}
_NAMESPACE = uuid.UUID("8d1f0c52-0a6e-5b3b-9c1e-6d656c69736d")


def new_seed() -> str:
    """A random seed: 122 bits, so ids made from it cannot be guessed."""
    return uuid.uuid4().hex


def derive(seed: str, kind: Kind) -> str:
    """The id of that kind that belongs to a seed."""
    return f"{_PREFIX[kind]}_{uuid.uuid5(_NAMESPACE, f'{seed}/{kind}').hex}"
