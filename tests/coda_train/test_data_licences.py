"""Which licences are recognised and which of them may be trained on."""

import pytest

from coda_train.data import licences

MIT_TEXT = "Copyright (c) 2020 A\n\nPermission is hereby granted, free of charge, to any person obtaining a copy"
BSD_TEXT = "Redistribution and use in source and binary forms, with or without modification, are permitted"


@pytest.mark.parametrize(
    ("expression", "permissive"),
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-2.0-only", True),
        ("MPL-2.0 AND MIT", False),
        ("(MIT OR GPL-3.0) AND BSD-3-Clause", False),
        ("Apache-2.0 WITH LLVM-exception AND MIT", True),
        ("GPL-3.0-or-later", False),
        ("LicenseRef-Proprietary", False),
        ("", False),
        (None, False),
    ],
)
def test_permissive_expressions(expression: str | None, permissive: bool) -> None:
    assert licences.is_permissive(expression) is permissive


@pytest.mark.parametrize(
    ("name", "spdx"),
    [
        ("MIT", "MIT"),
        ("MIT License", "MIT"),
        ("BSD-3-Clause", "BSD-3-Clause"),
        ("New BSD License", "BSD-3-Clause"),
        ("Simplified BSD", "BSD-2-Clause"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("GNU LGPL v2.1", "LGPL-2.1"),
        ("GPLv3", "GPL-3.0"),
        ("GNU General Public License", "GPL-3.0"),
        ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
        ("MIT or GPL", "GPL-3.0"),
        ("see the website", None),
        ("", None),
    ],
)
def test_names(name: str, spdx: str | None) -> None:
    assert licences.from_name(name) == spdx


@pytest.mark.parametrize(
    ("classifiers", "expression"),
    [
        (["License :: OSI Approved :: MIT License"], "MIT"),
        (["License :: OSI Approved", "License :: OSI Approved :: ISC License (ISCL)"], "ISC"),
        (["License :: OSI Approved :: BSD License", "License :: OSI Approved :: Apache Software License"],
         "Apache-2.0 AND BSD-3-Clause"),
        (["Programming Language :: Python"], None),
    ],
)  # fmt: skip
def test_classifiers(classifiers: list[str], expression: str | None) -> None:
    assert licences.from_classifiers(classifiers) == expression


@pytest.mark.parametrize(
    ("text", "spdx"),
    [
        (MIT_TEXT, "MIT"),
        (BSD_TEXT, "BSD-2-Clause"),
        (BSD_TEXT + "\nNeither the name of the copyright\nholder", "BSD-3-Clause"),
        ("                 Apache License\n           Version 2.0, January 2004", "Apache-2.0"),
        ("GNU GENERAL PUBLIC LICENSE\n Version 2", "GPL-3.0"),
        ("Mozilla Public License Version 2.0", "MPL-2.0"),
        ("Ask the author.", None),
    ],
)
def test_texts(text: str, spdx: str | None) -> None:
    assert licences.from_text(text) == spdx


@pytest.mark.parametrize(
    ("source", "spdx"),
    [
        ("#!/bin/python\n# SPDX-License-Identifier: MIT\nimport a\n", "MIT"),
        ("# SPDX-License-Identifier: GPL-2.0-only\n", "GPL-2.0-only"),
        ('# -*- coding: utf-8 -*-\n# Licensed under the Apache License, Version 2.0\n"""Doc."""\n', "Apache-2.0"),
        ('"""Doc.\n\nThis is under the\nGNU General\nPublic License.\n"""\nx = 1\n', "GPL-3.0"),
        ("'''An unfinished docstring: GNU General Public License", "GPL-3.0"),
        ('import a\nNAMES = ["GNU General Public License"]\n', None),
        ("", None),
    ],
)
def test_headers(source: str, spdx: str | None) -> None:
    assert licences.from_header(source) == spdx
