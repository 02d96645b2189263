"""Every case of golden/holes.txt: the hole at a cursor, its kind, and whether it may grow over several lines."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from coda_lsp.holes import HoleSpan, hole_at_cursor

GOLDEN = Path(__file__).parent / "golden" / "holes.txt"


@dataclass(frozen=True)
class Case:
    language_id: str
    kind: str
    title: str
    marked: str

    @property
    def text(self) -> str:
        return self.marked.replace("▮", "").replace("⟦", "").replace("⟧", "")

    @property
    def cursor(self) -> int:
        return self.marked.index("▮")

    def expected(self) -> HoleSpan | None:
        kind, _, lines = self.kind.partition(" ")
        if kind == "none":
            return None
        end = self.marked.index("⟧") - 2
        return HoleSpan(self.cursor, end, lines != "several lines", kind)


def read_cases() -> list[Case]:
    cases = []
    for block in GOLDEN.read_text(encoding="utf-8").split("\n=== ")[1:]:
        header, _, body = block.partition("\n")
        language_id, kind, title = header.split(" | ")
        cases.append(Case(language_id, kind, title, body.removesuffix("\n")))
    return cases


CASES = read_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.language_id}: {case.title}")
def test_hole(case: Case):
    assert hole_at_cursor(case.text, case.cursor, case.language_id) == case.expected()


@pytest.mark.parametrize("line_end", ["\r\n", "\r"], ids=["CRLF", "CR"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.language_id}: {case.title}")
def test_hole_with_other_line_ends(case: Case, line_end: str):
    other = Case(case.language_id, case.kind, case.title, case.marked.replace("\n", line_end))
    assert hole_at_cursor(other.text, other.cursor, other.language_id) == other.expected()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.language_id}: {case.title}")
def test_a_suggestion_that_was_asked_for_always_has_a_hole(case: Case):
    span = hole_at_cursor(case.text, case.cursor, case.language_id, invoked=True)
    assert span == (case.expected() or HoleSpan(case.cursor, case.cursor, True, case.title.rpartition(" asked ")[2]))


def test_the_table_is_large_enough_to_mean_something():
    assert len(CASES) >= 200
    kinds = {case.kind.partition(" ")[0] for case in CASES}
    rules = {"line-tail", "line-middle", "brackets", "blank-line", "between-statements", "block-body"}
    assert kinds == {*rules, "string", "comment", "none"}
    assert len({case.language_id for case in CASES}) >= 10
    assert len({(case.language_id, case.title) for case in CASES}) == len(CASES)
