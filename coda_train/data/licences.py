"""Which licences may be trained on: free text, classifiers and SPDX expressions become an SPDX expression or None."""

import re
from collections.abc import Iterable

PERMISSIVE = frozenset(
    (
        *(
            "0BSD",
            "AFL-3.0",
            "Apache-1.1",
            "Apache-2.0",
            "BSD-1-Clause",
            "BSD-2-Clause",
            "BSD-3-Clause",
            "BSD-4-Clause",
        ),
        *(
            "BSL-1.0",
            "CC0-1.0",
            "CNRI-Python",
            "HPND",
            "ISC",
            "MIT",
            "MIT-0",
            "MIT-CMU",
            "NCSA",
            "PostgreSQL",
            "PSF-2.0",
        ),
        *("Python-2.0", "Unicode-3.0", "Unlicense", "WTFPL", "X11", "Zlib", "ZPL-2.1"),
    )
)

# Copyleft first: a text that names both is treated as the stricter one.
_NAMES = (
    (r"affero|\bagpl", "AGPL-3.0"),
    (r"lesser general public|library general public|\blgpl", "LGPL-2.1"),
    (r"general public licen[sc]e|\bgnu gpl|\bgpl(?:v?\d|\b)", "GPL-3.0"),
    (r"mozilla public|\bmpl\b", "MPL-2.0"),
    (r"european union public|\beupl", "EUPL-1.2"),
    (r"eclipse public", "EPL-2.0"),
    (r"proprietary|commercial|all rights reserved\.?$", "LicenseRef-Proprietary"),
    (r"apache", "Apache-2.0"),
    (r"\bmit[- ]cmu\b", "MIT-CMU"),
    (r"\bmit[- ]0\b|mit no attribution", "MIT-0"),
    (r"\bmit\b|\bexpat\b", "MIT"),
    (r"\b0bsd\b", "0BSD"),
    (r"2[- ]clause|simplified bsd|freebsd", "BSD-2-Clause"),
    (r"\bbsd\b|3[- ]clause", "BSD-3-Clause"),
    (r"\bisc\b|iscl", "ISC"),
    (r"python software foundation|\bpsf", "PSF-2.0"),
    (r"unlicen[sc]e", "Unlicense"),
    (r"\bcc0\b|creative commons zero", "CC0-1.0"),
    (r"\bzlib\b", "Zlib"),
    (r"zope public|\bzpl\b", "ZPL-2.1"),
    (r"historical permission|\bhpnd\b", "HPND"),
    (r"boost software", "BSL-1.0"),
)

_TEXTS = (
    (r"gnu affero general public", "AGPL-3.0"),
    (r"gnu (?:lesser|library) general public", "LGPL-2.1"),
    (r"gnu general public", "GPL-3.0"),
    (r"mozilla public licen[sc]e", "MPL-2.0"),
    (r"european union public licen[sc]e", "EUPL-1.2"),
    (r"eclipse public licen[sc]e", "EPL-2.0"),
    (r"apache licen[sc]e,?\s+version 2\.0|licenses/license-2\.0", "Apache-2.0"),
    (r"permission is hereby granted, free of charge", "MIT"),
    (r"redistribution and use in source and binary forms.*neither the name", "BSD-3-Clause"),
    (r"redistribution and use in source and binary forms", "BSD-2-Clause"),
    (r"permission to use, copy, modify, and(?:/or)? distribute this software.*for any purpose", "ISC"),
    (r"python software foundation license|psf license agreement", "PSF-2.0"),
    (r"this is free and unencumbered software", "Unlicense"),
    (r"provided 'as-is', without any express or implied", "Zlib"),
    (r"cc0 1\.0 universal", "CC0-1.0"),
)

_SPDX_TAG = re.compile(r"SPDX-License-Identifier:\s*([\w.+()\- ]+)")
_OPENING = re.compile(r"""(?:\s+|\#[^\n]*|[rRuUbB]{0,2}(?P<quote>\"{3}|'{3}).*?(?:(?P=quote)|\Z))*""", re.DOTALL)
_HEADER_CHARS = 4_000


def is_permissive(expression: str | None) -> bool:
    """True when an SPDX expression allows use under permissive terms alone: every part of AND, one part of OR.

    Brackets are read strictly: an expression that holds an AND anywhere must be permissive in all its parts.
    """
    if not expression:
        return False
    terms = [term.strip(" ()") for term in re.split(r"\s+(?:AND|OR)\s+", expression)]
    fits = [re.split(r"\s+WITH\s+", term)[0] in PERMISSIVE for term in terms]
    return all(fits) if " AND " in expression else any(fits)


def from_expression(text: str) -> str | None:
    """The SPDX expression in `text` if every word of it looks like an SPDX id, else None."""
    text = " ".join(text.split())
    if not text or len(text) > 300:
        return None
    terms = [term.strip(" ()") for term in re.split(r"\s+(?:AND|OR|WITH)\s+", text)]
    spdx = all(re.fullmatch(r"[A-Za-z0-9][\w.+-]*", term) and (term in PERMISSIVE or "-" in term) for term in terms)
    return text if spdx else None


def from_name(text: str) -> str | None:
    """SPDX id of a short free-text name such as "BSD 3-Clause" or "Apache License, Version 2.0"."""
    return from_expression(text) or _first_match(_NAMES, text.lower())


def from_classifiers(classifiers: Iterable[str]) -> str | None:
    """SPDX expression of trove classifiers; several licences join with AND, for nothing says that one may choose."""
    names = [c.rsplit("::", 1)[1] for c in classifiers if c.startswith("License ::")]
    found = sorted({spdx for name in names if (spdx := _first_match(_NAMES, name.lower()))})
    return " AND ".join(found) or None


def from_text(text: str) -> str | None:
    """SPDX id of a licence's full text, judged by the phrases in its first 4,000 characters."""
    return _first_match(_TEXTS, " ".join(text[:_HEADER_CHARS].lower().split()))


def from_header(source: str) -> str | None:
    """SPDX id stated in the opening comments and docstring of a source file, None if they state none."""
    opening = _OPENING.match(source[:_HEADER_CHARS])
    head = opening[0] if opening else ""
    if tag := _SPDX_TAG.search(head):
        return from_expression(tag[1].strip())
    return from_text(re.sub(r"^[#\s]+", "", head, flags=re.MULTILINE))


def _first_match(table: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((spdx for pattern, spdx in table if re.search(pattern, text)), None)
