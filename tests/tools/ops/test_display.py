"""Tables fit, ids stay whole, secrets stay out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tools.ops.display import clean, table_lines

SIGNED = "https://store.example/a.flac?X-Amz-Signature=5ec2e7&X-Amz-Expires=300"


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(st.text(max_size=80), st.text(max_size=20)), min_size=1, max_size=5),
    width=st.integers(40, 120),
)
def test_only_the_flowing_column_is_cut(rows: list[tuple[str, str]], width: int) -> None:
    lines = table_lines(("why", "id"), rows, "why", width)
    assert len(lines) == len(rows) + 1
    assert all(cell_len(line) <= max(width, 12 + 2 + 40) for line in lines)
    for line, (_, whole) in zip(lines[1:], rows, strict=True):
        shown = "".join(letter if letter.isprintable() else " " for letter in whole)
        assert line.endswith(shown.rstrip())


def test_nothing_is_cut_where_there_is_no_width() -> None:
    [_, line] = table_lines(("id", "why"), [("a", "x" * 300)], "why", None)
    assert line == "a   " + "x" * 300


def test_whole_numbers_stand_to_the_right() -> None:
    assert table_lines(("n", "name"), [(5, "a"), (100, "b")], "", 80) == [
        "  n  name",
        "  5  a",
        "100  b",
    ]


def test_strange_bytes_cannot_move_the_cursor() -> None:
    [_, line] = table_lines(("why",), [("a\x1b[2Jb\r\nc",)], "", None)
    assert line == "a [2Jb  c"


def test_signed_queries_and_keys_are_never_shown() -> None:
    [_, line] = table_lines(("why",), [(f"cannot read {SIGNED}",)], "", None)
    assert "5ec2e7" not in line
    assert "https://store.example/a.flac" in line
    nested = clean({"a": [{"b": f"see {SIGNED}"}], "n": 3, "none": None})
    assert "5ec2e7" not in str(nested)
    assert nested["n"] == 3
