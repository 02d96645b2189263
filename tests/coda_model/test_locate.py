from pathlib import Path
from typing import Any, ClassVar

import huggingface_hub
import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from coda_model import locate
from coda_model.errors import CodaError
from coda_model.locate import checkpoint_name, locate_checkpoint


class Answer:
    """As much of an HTTP response as the Hub's errors look at."""

    headers: ClassVar[dict[str, str]] = {}
    request = None
    status_code = 404


ANSWER: Any = Answer()


def test_a_folder_is_itself(tmp_path: Path) -> None:
    assert locate_checkpoint(str(tmp_path)) == tmp_path


def test_bundled_is_next_to_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate, "__file__", str(tmp_path / "locate.py"))
    with pytest.raises(CodaError, match="no bundled model"):
        locate_checkpoint("bundled")
    (tmp_path / "bundled").mkdir()
    (tmp_path / "bundled" / "config.json").write_text("{}")
    assert locate_checkpoint("bundled") == tmp_path / "bundled"


@pytest.mark.parametrize("path", ["nowhere", "/no/such/folder", "a/b/c", "./x/", "-a/b"])
def test_what_is_neither_folder_nor_hub_id(path: str) -> None:
    with pytest.raises(CodaError, match="no Hub id"):
        locate_checkpoint(path)


def test_a_file_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(CodaError, match="is a file"):
        locate_checkpoint(str(tmp_path / "model.safetensors"))


def test_a_hub_id_is_downloaded_without_pickles_and_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(repo_id: str, allow_patterns: list[str]) -> str:
        asked.append((repo_id, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert locate_checkpoint("owner/name") == tmp_path
    (repo_id, patterns) = asked[0]
    assert repo_id == "owner/name"
    assert {"*.json", "*.safetensors"} <= set(patterns)
    assert not any(
        pattern.endswith((".py", ".bin", ".pt", ".pkl", "*")) for pattern in patterns if pattern != "LICENSE*"
    )


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (LocalEntryNotFoundError("offline"), "connect to the network once"),
        (OfflineModeIsEnabled("offline"), "connect to the network once"),
        (ConnectionError("refused"), "connect to the network once"),
        (HfHubHTTPError("server error", response=ANSWER), "connect to the network once"),
        (RepositoryNotFoundError("no", response=ANSWER), "no public model of that name"),
        (GatedRepoError("gated", response=ANSWER), "asks for consent"),
    ],
)
def test_hub_faults_in_one_sentence(fault: Exception, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: object, **__: object) -> str:
        raise fault

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(CodaError, match=message):
        locate_checkpoint("owner/name")


@pytest.mark.parametrize(
    ("path", "name"), [("bundled", "bundled"), ("owner/name", "owner/name"), ("/models/coda-small/", "coda-small")]
)
def test_names(path: str, name: str) -> None:
    assert checkpoint_name(path) == name
