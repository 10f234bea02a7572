"""Times as the formats write them."""

from __future__ import annotations


def clock(ms: int, mark: str = ".") -> str:
    """``hh:mm:ss.mmm``, as WebVTT, TTML and (with a comma) SRT have it."""
    seconds, rest = divmod(ms, 1000)
    minutes, second = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}{mark}{rest:03}"


def hundredths(ms: int) -> str:
    """``mm:ss.xx``, as LRC has it. Rounded down: early is easier to sing to than late."""
    minutes, rest = divmod(ms // 10, 6000)
    return f"{minutes:02}:{rest // 100:02}.{rest % 100:02}"
