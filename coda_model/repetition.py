"""A fill that writes once more what stands right beside it, as a small model likes to do."""

# Lines on each side that are compared, and characters from which on a line says enough to be compared.
_LINES, _LEAST = 5, 9


def repeats_neighbour(before: str, fill: str, after: str) -> bool:
    """Whether the line that the hole is a part of would be, with this fill, that of a line near it once more.

    The indentation is left out. A fill of several lines never is, nor is a short line: many stand often.
    """
    *above, head = before.split("\n")[-_LINES - 1 :]
    tail, *below = after.split("\n")[: _LINES + 1]
    line = (head + fill + tail).strip()
    return len(line) >= _LEAST and line in {near.strip() for near in (*above, *below)}
