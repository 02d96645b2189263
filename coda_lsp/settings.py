"""What a user may set: one frozen record, read from `initializationOptions` or the "coda" configuration section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any


def _setting(
    default: bool | int | float | str | None,
    description: str,
    *,
    kind: type,
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    secret: bool = False,
) -> Any:
    """A dataclass field that carries what validation and the JSON schema need; a `None` default allows null."""
    metadata = {"description": description, "kind": kind, "choices": choices, "minimum": minimum, "maximum": maximum}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """The settings of one session, all valid; JSON keys are the same names in camelCase."""

    enable: str = _setting(
        "automatic",
        "When suggestions appear: while typing (automatic), only when asked for (manual), or never (off).",
        kind=str,
        choices=("automatic", "manual", "off"),
    )
    model: str = _setting(
        "bundled",
        "The model: 'bundled', the path of a checkpoint directory, or a Hugging Face Hub id such as 'owner/name'.",
        kind=str,
    )
    device: str = _setting(
        "auto",
        "Where the model runs: 'auto' takes the GPU when there is one; otherwise a PyTorch device such as 'cuda:1'.",
        kind=str,
    )
    dtype: str = _setting(
        "auto",
        "The number format of the weights: 'auto' takes the fastest one that keeps quality on the device.",
        kind=str,
        choices=("auto", "float32", "bfloat16", "float16", "int8"),
    )
    server_url: str | None = _setting(
        None,
        "Address of a team server (http:// or https://); no local engine is started when it is set.",
        kind=str,
    )
    server_token: str | None = _setting(
        None,
        "The token that the team server asks for.",
        kind=str,
        secret=True,
    )
    python: str | None = _setting(
        None,
        "The Python interpreter that runs the engine; unset, the one that runs the language server.",
        kind=str,
    )
    in_strings: bool = _setting(False, "Suggest inside string literals while typing.", kind=bool)
    in_comments: bool = _setting(False, "Suggest inside comments while typing.", kind=bool)
    multi_line: bool = _setting(True, "Suggest whole blocks where the syntax asks for one; off, one line.", kind=bool)
    max_tokens: int = _setting(48, "Upper bound of a suggestion's length, in tokens.", kind=int, minimum=1, maximum=512)
    context_tokens: int = _setting(
        512,
        "Tokens of the document around the cursor that the model reads; fewer is faster.",
        kind=int,
        minimum=16,
        maximum=32768,
    )
    snippet_tokens: int = _setting(
        128,
        "How many of the context's tokens may come from other files; 0 sends nothing of them.",
        kind=int,
        minimum=0,
        maximum=8192,
    )
    context_from_open_files: bool = _setting(True, "Send snippets of other open files to the model.", kind=bool)
    context_from_recent_edits: bool = _setting(
        True, "Send snippets of where other files were edited lately to the model.", kind=bool
    )
    context_from_imports: bool = _setting(
        True, "Send signatures of what the document imports from the workspace to the model.", kind=bool
    )
    steps: int | None = _setting(
        None,
        "Denoising steps; unset, one for each token. Fewer is faster and less accurate.",
        kind=int,
        minimum=1,
        maximum=1024,
    )
    algorithm: str = _setting(
        "entropy_bound",
        "The rule that chooses which masked tokens are committed first.",
        kind=str,
        choices=("origin", "maskgit_plus", "topk_margin", "entropy", "threshold", "factor", "entropy_bound"),
    )
    minimum_confidence: float = _setting(
        0.25,
        "A suggestion less certain than this is not shown while typing; 0 shows all of them.",
        kind=float,
        minimum=0.0,
        maximum=1.0,
    )
    deadline_ms: int | None = _setting(
        None,
        "After this many milliseconds the engine commits what is still masked at once; unset, it takes its time.",
        kind=int,
        minimum=1,
        maximum=600_000,
    )
    candidates: int = _setting(
        3, "Alternatives to offer when a suggestion is asked for, best first.", kind=int, minimum=1, maximum=8
    )
    hole_marker: str = _setting("__FILL__", "What marks a hole anywhere in the code.", kind=str)
    counters: bool = _setting(
        True, "Count locally what is shown and accepted, for the command coda.stats; nothing is sent.", kind=bool
    )
    log_level: str = _setting(
        "info",
        "How much goes to the log.",
        kind=str,
        choices=("debug", "info", "warning", "error"),
    )


DEFAULTS = Settings()


def parse_settings(raw: object, base: Settings = DEFAULTS) -> tuple[Settings, tuple[str, ...]]:
    """Read camelCase JSON into settings, on top of `base`.

    Returns the settings and one sentence for each thing that was wrong. A wrong value keeps base's, null means the
    default, unknown keys are reported, and an object whose only key is "coda" stands for that section.
    """
    if raw is None:
        return base, ()
    if isinstance(raw, Mapping) and set(raw) == {"coda"}:
        return parse_settings(raw["coda"], base)
    if not isinstance(raw, Mapping):
        return base, (f"The coda settings must be a JSON object, not {_shown(raw)}.",)
    known = {_camel_case(item.name): item for item in fields(Settings)}
    values: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in raw.items():
        item = known.get(str(key))
        if item is None:
            problems.append(_unknown_key(str(key), tuple(known)))
            continue
        if value is None:
            values[item.name] = item.default
            continue
        try:
            values[item.name] = _validated(item, value)
        except ValueError as error:
            problems.append(f"coda.{key} {error}.")
    return replace(base, **values), tuple(problems)


def json_schema() -> dict[str, Any]:
    """A JSON schema (draft 2020-12) of the settings object, for editor plugins and documentation."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "CoDA settings",
        "type": "object",
        "additionalProperties": False,
        "properties": {_camel_case(item.name): _property_schema(item) for item in fields(Settings)},
    }


def _validated(item: Field[Any], value: object) -> bool | int | float | str:
    """The value as the field's type; raises ValueError with the rest of a sentence that starts with the key."""
    kind = item.metadata["kind"]
    if kind is bool:
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false, not {_shown(value)}")
        return value
    if kind is str:
        return _validated_text(item, value)
    minimum, maximum = item.metadata["minimum"], item.metadata["maximum"]
    whole = kind is int
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not minimum <= value <= maximum or (whole and value != int(value)):
        noun = "a whole number" if whole else "a number"
        raise ValueError(f"must be {noun} from {minimum:g} to {maximum:g}, not {_shown(value)}")
    return kind(value)


def _validated_text(item: Field[Any], value: object) -> str:
    choices = item.metadata["choices"]
    if choices and value not in choices:
        raise ValueError(f"must be one of {', '.join(choices)}, not {_shown(value)}")
    if not isinstance(value, str) or not value.strip():
        given = f", not {_shown(value)}" if item.repr else ""
        raise ValueError(f"must be a text that is not empty{given}")
    if item.name == "server_url" and not value.startswith(("http://", "https://")):
        raise ValueError(f"must start with http:// or https://, not {_shown(value)}")
    return value.strip()


def _property_schema(item: Field[Any]) -> dict[str, Any]:
    names = {bool: "boolean", int: "integer", float: "number", str: "string"}
    name = names[item.metadata["kind"]]
    schema: dict[str, Any] = {
        "type": name if item.default is not None else [name, "null"],
        "default": item.default,
        "description": item.metadata["description"],
    }
    if item.metadata["choices"]:
        schema["enum"] = list(item.metadata["choices"])
    if item.metadata["minimum"] is not None:
        schema |= {"minimum": item.metadata["minimum"], "maximum": item.metadata["maximum"]}
    return schema


def _unknown_key(key: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(key, known, n=1)
    hint = f"; did you mean coda.{close[0]}?" if close else "."
    return f"There is no setting coda.{key}{hint}"


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
