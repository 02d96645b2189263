"""The folder of a run: its settings, a line for each row as soon as it is known, and the result at last."""

import json
import os
import tempfile
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from coda_model.errors import CodaError
from coda_model.evaluate.settings import Settings

SETTINGS, ROWS, RESULTS, REPORT = "settings.json", "rows.jsonl", "results.json", "report.html"


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise CodaError(f"{path} is missing: is {path.parent} the folder of an evaluation?") from None
    except (OSError, ValueError) as error:
        raise CodaError(f"{path} cannot be read as JSON ({error}).") from None
    if not isinstance(value, dict):
        raise CodaError(f"{path} holds no JSON object.")
    return value


class RunFolder:
    """Rows are appended and flushed one by one, so that a run that was killed goes on after its last whole row."""

    def __init__(self, path: Path, settings: Settings) -> None:
        """Open a new folder, or that of a run with the same settings; `rows` are those already there.

        Raises CodaError where the folder holds anything else. Nothing in it is changed then.
        """
        self.path = path
        self.rows: dict[tuple[str, int], dict[str, Any]] = {}
        if path.is_dir() and any(path.iterdir()):
            self._check(settings)
            self._read_rows()
        elif path.exists() and not path.is_dir():
            raise CodaError(f"{path} is a file; --out needs a folder.")
        else:
            path.mkdir(parents=True, exist_ok=True)
            write_json(path / SETTINGS, asdict(settings))
        self._file = (path / ROWS).open("a", encoding="utf-8")

    def _check(self, settings: Settings) -> None:
        if not (self.path / SETTINGS).is_file():
            raise CodaError(f"{self.path} holds other files and no evaluation: choose an empty folder with --out.")
        old, new = read_json(self.path / SETTINGS), asdict(settings)
        differing = [field.name for field in fields(Settings) if old.get(field.name) != new[field.name]]
        if differing:
            changes = ", ".join(f"{name} was {old.get(name)!r} and is {new[name]!r}" for name in differing)
            raise CodaError(f"{self.path} holds a run with other settings ({changes}): choose another --out.")

    def _read_rows(self) -> None:
        file = self.path / ROWS
        if not file.is_file():
            return
        raw = file.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]  # a line that a kill cut short is done again
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                row = json.loads(line)
                self.rows[row["id"], row["sample"]] = row
            except (ValueError, KeyError, TypeError):
                raise CodaError(f"{file} is damaged in line {number}: choose another --out.") from None
        if len(whole) < len(raw):
            os.truncate(file, len(whole))

    def add(self, row: dict[str, Any]) -> None:
        self.rows[row["id"], row["sample"]] = row
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def finish(self, order: list[tuple[str, int]], results: dict[str, Any]) -> None:
        """Put the rows into order and write the results."""
        self._file.close()
        lines = [json.dumps(self.rows[key]) + "\n" for key in order]
        write_text(self.path / ROWS, "".join(lines))
        write_json(self.path / RESULTS, results)

    def close(self) -> None:
        self._file.close()


def read_rows_of(folder: Path) -> list[dict[str, Any]]:
    """The rows of a finished run. Raises CodaError where it is none."""
    try:
        return [json.loads(line) for line in (folder / ROWS).read_text("utf-8").splitlines()]
    except FileNotFoundError:
        raise CodaError(f"{folder / ROWS} is missing: is {folder} the folder of an evaluation?") from None
    except (OSError, ValueError) as error:
        raise CodaError(f"{folder / ROWS} cannot be read ({error}).") from None
