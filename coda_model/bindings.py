"""Starts of a line that bind what the code behind it needs.

Where a whole line is missing and what follows reads a name that nothing has bound, the line most likely binds it:
`for op in …:` before a body with `op`, `balance = …` before a sum. A model that fills a line from its surest token on
seldom finds that by itself.
"""

import re
import sys
from dataclasses import dataclass

from coda_model.python_block import PythonBlock

_LEAVES = re.compile(r"\s*(?:return|raise|break|continue)\b")


@dataclass(frozen=True)
class Binding:
    """The start of a line, and how many tokens may follow."""

    head: str
    lengths: tuple[int, ...]


def needed_binding(before: str, after: str, language: str | None) -> Binding | None:
    """A line that binds what `after` reads and nothing has bound, where a hole is all there is of a line.

    The head holds the line's indentation where `before` does not.
    """
    line = before[before.rfind("\n") + 1 :]
    if language != "python" or line.strip() or (after.strip(" \t") and after.lstrip(" \t")[0] not in "\r\n"):
        return None
    lead, header = _place(before[: len(before) - len(line)], line, after)
    block = PythonBlock([before, after])
    tree = block.parse([lead[len(line) :] + ("if True:" if header else "pass")])
    if tree is None:
        return None
    hole = block.lines_before + 1
    names = [name for name, (line_number, _) in block.missing_names(tree).items() if line_number > hole]
    return _line(names, lead[len(line) :], header, after)


def _line(names: list[str], lead: str, header: bool, after: str) -> Binding | None:
    called = next((name for name in names if header and re.search(rf"\b{re.escape(name)}\(", after)), None)
    if called:
        return Binding(f"{lead}def {called}(", (2, 4, 6))
    if not names:
        return None
    name = names[0]
    if header:
        return Binding(f"{lead}for {name} in", (2, 3, 4, 6))
    if name in sys.stdlib_module_names and re.search(rf"\b{re.escape(name)}\.", after):
        return Binding(f"{lead}import {name}", (0,))
    return Binding(f"{lead}{name} =", (1, 2, 4, 6))


def _place(before: str, line: str, after: str) -> tuple[str, bool]:
    """The indentation of a statement at the hole, and whether it has to be the head of a block."""
    above = next((row for row in reversed(before.splitlines()) if row.strip()), "")
    below = next((row for row in after.splitlines() if row.strip()), "")
    last, following = _indentation(above), _indentation(below)
    unit = "\t" if "\t" in following else "    "
    if line:
        lead = line
    elif above.rstrip().endswith(":"):
        lead = following if last < following <= last + unit else last + unit
    elif _LEAVES.match(above) and following.startswith(last):
        lead = last.removesuffix(unit)  # nothing may stand there any more
    else:
        lead = min(last, following, key=len)
    return lead, len(following) > len(lead)


def _indentation(row: str) -> str:
    return row[: len(row) - len(row.lstrip())]
