import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.runtime.conversation import (
    Begin,
    Broken,
    Failed,
    Line,
    Message,
    Progress,
    Ready,
    Returned,
    Sized,
    Waiting,
    decode,
    encode,
)

floats = st.floats(allow_nan=False, allow_infinity=False)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Ready, floats),
    st.builds(Progress, floats, st.text()),
    st.builds(Sized, floats),
    st.builds(Waiting, st.booleans()),
    st.builds(Failed, st.text(), st.text(), st.text(), floats, st.text(), st.text()),
    st.builds(
        Begin, st.text(), st.just({"a": [1, None]}), st.text(), st.text(), st.integers(), st.text()
    ),
)


@given(messages)
def test_what_is_said_is_heard(message: Message) -> None:
    assert decode(encode(message)[4:]) == message


@given(st.binary())
def test_anything_else_is_broken_not_obeyed(body: bytes) -> None:
    with pytest.raises(Broken):
        decode(body)


def test_nan_is_not_said() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode(Returned((("separated", {"seconds": float("nan")}),)))


def test_a_line_ends_with_its_other_side() -> None:
    ours, theirs = socket.socketpair()
    line = Line(ours)
    theirs.sendall(encode(Ready(1.0)) + b"\x00\x00")
    theirs.close()
    assert line.hear() == Ready(1.0)
    assert line.hear() is None
    line.close()


def test_a_frame_without_end_is_refused() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(b"\xff\xff\xff\xff")
        line = Line(ours)
        with pytest.raises(Broken, match="frame"):
            line.hear()
        line.close()
