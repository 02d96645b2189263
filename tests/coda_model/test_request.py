import pytest

from coda_model.errors import CodaError, InputError
from coda_model.request import Hole, InfillOptions


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (Hole, "hint", 3),
        (Hole, "single_line", 1),
        (Hole, "max_tokens", 0),
        (Hole, "max_tokens", 513),
        (Hole, "max_tokens", True),
        (Hole, "max_tokens", None),
        (Hole, "length", 0),
        (Hole, "length", 2.0),
        (InfillOptions, "candidates", 0),
        (InfillOptions, "candidates", 9),
        (InfillOptions, "steps", 0),
        (InfillOptions, "steps", "4"),
        (InfillOptions, "algorithm", "greedy"),
        (InfillOptions, "algorithm", None),
        (InfillOptions, "temperature", -0.1),
        (InfillOptions, "temperature", float("nan")),
        (InfillOptions, "temperature", float("inf")),
        (InfillOptions, "top_p", 1.1),
        (InfillOptions, "top_k", 0),
        (InfillOptions, "alg_temp", -1),
        (InfillOptions, "context_tokens", -1),
        (InfillOptions, "deadline_ms", -1),
        (InfillOptions, "seed", -1),
        (InfillOptions, "seed", 2**63),
    ],
)
def test_a_value_out_of_range_is_named(kind: type, field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"^{field} must be .*{value!r}".replace("\\", "")) as caught:
        kind(**{field: value})
    assert isinstance(caught.value, CodaError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Hole, {"hint": "", "single_line": True, "max_tokens": 512, "length": 512}),
        (InfillOptions, {"candidates": 8, "steps": 1, "algorithm": "origin", "temperature": 0, "top_p": 0}),
        (InfillOptions, {"top_k": 1, "alg_temp": 0.0, "context_tokens": 0, "deadline_ms": 0, "seed": 2**63 - 1}),
    ],
)
def test_the_ends_of_the_ranges(kind: type, values: dict) -> None:
    made = kind(**values)
    assert {name: getattr(made, name) for name in values} == values
