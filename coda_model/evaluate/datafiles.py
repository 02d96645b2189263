"""Rows of a benchmark: from a local file, or from the Hugging Face Hub by name."""

import gzip
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coda_model.errors import CodaError

Row = dict[str, Any]


# The Hub keeps every public dataset as Parquet too, on this branch, by configuration and split.
_PARQUET_BRANCH = "refs/convert/parquet"


@dataclass(frozen=True)
class HubRows:
    """A dataset on the Hub."""

    repo: str
    configuration: str
    split: str = "test"


def read_rows(path: Path, required: Iterable[str]) -> list[Row]:
    """The rows of a .jsonl, .jsonl.gz or .parquet file. Raises CodaError where it is damaged or of another schema."""
    try:
        if path.suffix == ".parquet":
            rows = _read_parquet(path)
        else:
            with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
                rows = [json.loads(line) for line in file.read().decode("utf-8").splitlines() if line.strip()]
    except FileNotFoundError:
        raise CodaError(f"There is no file {path}.") from None
    except IsADirectoryError:
        raise CodaError(f"{path} is a folder, not a file of rows.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CodaError(f"{path} is truncated or no gzip file ({error}).") from None
    except UnicodeDecodeError:
        raise CodaError(f"{path} is not UTF-8 text.") from None
    except ValueError as error:
        raise CodaError(f"{path} does not hold one JSON object a line ({error}).") from None
    except OSError as error:
        raise CodaError(f"{path} cannot be read ({error.strerror or error}).") from None
    if not rows:
        raise CodaError(f"{path} holds no rows.")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise CodaError(f"{path}: row {number} is no JSON object.")
        missing = [name for name in required if name not in row]
        if missing:
            raise CodaError(
                f"{path} has another schema: row {number} lacks {', '.join(missing)} (it has {', '.join(row)})."
            )
    return rows


def _read_parquet(path: Path) -> list[Row]:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise CodaError("Parquet files need pyarrow: pip install 'coda-lsp[eval]'.") from None
    return parquet.read_table(path).to_pylist()


def fetch(rows: HubRows | None, task: str) -> Path:
    """Download a benchmark's file, once. Raises CodaError where that is not possible."""
    if rows is None:
        raise CodaError(f"{task} is not on the Hub in this form: name its file with --data (see docs/evaluation.md).")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        name = f"{rows.configuration}/{rows.split}/0000.parquet"
        return Path(hf_hub_download(rows.repo, name, repo_type="dataset", revision=_PARQUET_BRANCH))
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CodaError(
            f"The rows of {task} could not be fetched from the Hub dataset {rows.repo} ({reason}): "
            "name a local file with --data."
        ) from None
