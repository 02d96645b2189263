"""Drafts for the tests of what is done with them."""

import torch

from coda_model.draft import Draft, OpenHole

PREFIX, SUFFIX = [10, 11, 12], [13, 14]


def open_hole(slots: list[int | None], **changes: object) -> OpenHole:
    values: dict = {"max_tokens": 8, "fixed": False, "single_line": False, "expansions_left": 8} | changes
    return OpenHole(slots=slots, **values)


def draft_of(*holes: OpenHole) -> Draft:
    texts = [PREFIX, *[SUFFIX] * len(holes)]
    return Draft(texts, list(holes), 0.0, torch.Generator().manual_seed(0))
