"""What workers do with the units of a source: judge the texts and sign them."""

from dataclasses import dataclass

import numpy as np

from coda_train.data import decontaminate, filters, licences
from coda_train.data.deduplicate import Signer, exact_digest
from coda_train.data.sources import SourceError, Text, Unit, canonical_name

CONTENTS = ("code", "python", "text")


@dataclass(frozen=True)
class Rules:
    """What a document must be like to be taken.

    Attributes:
        content: "code" (written by hand, `.py` files parse), "python" (every document parses) or "text" (not blank).
        licence: SPDX expression for documents that state none.
        licences: those accepted: "permissive", "any", or SPDX expressions.
        exclude: packages never taken, in the form PEP 503 compares; of `owner/name` the name counts.
        max_bytes: larger documents are dropped.
    """

    content: str = "code"
    licence: str | None = None
    licences: tuple[str, ...] = ("permissive",)
    exclude: frozenset[str] = frozenset()
    max_bytes: int = 200_000

    def accepts(self, licence: str | None) -> bool:
        """Whether a document under this SPDX expression, None if unknown, may be taken."""
        if "any" in self.licences or licence in self.licences:
            return True
        return "permissive" in self.licences and licences.is_permissive(licence)


@dataclass(frozen=True)
class Candidate:
    """A document that may be taken: the `row` of its unit, what is known of it, its size and its digest."""

    row: int
    path: str
    package: str
    version: str
    licence: str
    chars: int
    bytes: int
    digest: bytes


@dataclass(frozen=True)
class Drop:
    """A document that is not taken, and why."""

    reason: str
    package: str
    licence: str | None = None


_worker: dict = {}


def set_up(rules: Rules, digests: frozenset[bytes] = frozenset()) -> None:
    """Prepare a worker for `inspect` and `examine`; `digests` are the benchmarks' 30-grams."""
    _worker.update(rules=rules, digests=digests, signer=Signer())


def inspect(unit: Unit) -> list[Candidate | Drop]:
    """A first look at every document of a unit. Raises SourceError if the unit is damaged."""
    rules: Rules = _worker["rules"]
    return [_judge(row, text, rules) for row, text in enumerate(unit.read(rules.max_bytes))]


def examine(item: tuple[Unit, tuple[int, ...]]) -> list[np.ndarray | str]:
    """A full look at some rows of a unit: for each its MinHash signature, or the reason to drop it."""
    unit, rows = item
    rules: Rules = _worker["rules"]
    return [_sign(text, rules) for text in pick(unit, rows, rules.max_bytes)]


def pick(unit: Unit, rows: tuple[int, ...], max_bytes: int) -> list[Text]:
    """Some rows of a unit. Raises SourceError for a source that has lost some since it was inspected."""
    wanted = frozenset(rows)
    found = [text for row, text in enumerate(unit.read(max_bytes)) if row in wanted]
    if len(found) != len(rows):
        raise SourceError(f"a source changed while the corpus was built: {len(rows) - len(found)} documents are gone")
    return found


def _judge(row: int, text: Text, rules: Rules) -> Candidate | Drop:
    package = text.package
    stated = package.licence or rules.licence
    if canonical_name(package.name.rsplit("/", 1)[-1]) in rules.exclude:
        return Drop("excluded package", package.name)
    if stated and not rules.accepts(stated):
        return Drop("licence", package.name, stated)
    if text.text is None:
        return Drop(text.fault, package.name)
    header = licences.from_header(text.text) if rules.content != "text" else None
    licence = header if header and not rules.accepts(header) else stated or header
    if not rules.accepts(licence):
        return Drop("licence", package.name, licence)
    if rules.content == "text":
        fault = None if text.text.strip() else "empty"
    else:
        fault = filters.quality_fault(text.text, text.path)
    if fault:
        return Drop(fault, package.name)
    size = len(text.text.encode())
    digest = exact_digest(text.text)
    return Candidate(row, text.path, package.name, package.version, licence or "", len(text.text), size, digest)


def _sign(text: Text, rules: Rules) -> np.ndarray | str:
    python = rules.content == "python" or (rules.content == "code" and text.path.endswith(".py"))
    if text.text is None or (python and not filters.parses(text.text)):
        return "does not parse"
    if decontaminate.is_contaminated(text.text, _worker["digests"]):
        return "benchmark 30-gram"
    return _worker["signer"].signature(text.text)
