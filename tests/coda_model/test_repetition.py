"""Fills that write once more what stands beside them."""

import pytest

from coda_model.repetition import repeats_neighbour


@pytest.mark.parametrize(
    ("before", "fill", "after", "expected"),
    [
        ("load(first)\n", "load(first)", "\n", True),
        ("load(first)\n", "load(second)", "\n", False),
        ("load(first)\n    ", "load(first)", "\n", True),  # whatever the indentation
        ("\n", "load(first)", "\nload(first)\n", True),  # behind the hole too
        ("load(first)\nload(", "first", ")\n", True),  # of the hole's whole line
        ("load(first)\n", "load(first)\nstop()", "\n", False),
        ("load(first)\n" + "x = 1\n" * 4, "load(first)", "\n", True),
        ("load(first)\n" + "x = 1\n" * 5, "load(first)", "\n", False),  # too far away
        ("return x\n", "return x", "\n", False),  # too short to say anything
        ("", "", "", False),
    ],
)
def test_repeats_neighbour(before: str, fill: str, after: str, expected: bool) -> None:
    assert repeats_neighbour(before, fill, after) is expected
