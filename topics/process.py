"""What tells this process from every other one on the bus."""

from __future__ import annotations

import os
import socket


def process_name() -> str:
    """Host and process id. Producers of one name fence each other off, so names hold this."""
    return f"{socket.gethostname()}-{os.getpid()}"
