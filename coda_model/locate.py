"""Where a checkpoint comes from: shipped with the program, a local folder, or the Hugging Face Hub."""

import re
from pathlib import Path

from coda_model.errors import CodaError

BUNDLED = "bundled"

# Weights as safetensors and everything that is plain text; never pickles, never code.
_ALLOWED_FILES = ["*.json", "*.safetensors", "merges.txt", "README.md", "LICENSE*"]
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def checkpoint_name(path: str) -> str:
    """The short name of a checkpoint for people: `bundled`, the Hub id, or the folder's name."""
    if path == BUNDLED or (_HUB_ID.fullmatch(path) and not Path(path).exists()):
        return path
    return Path(path).resolve().name


def locate_checkpoint(path: str) -> Path:
    """The folder that holds a checkpoint; a Hub id is downloaded (with a progress bar) unless it is in the cache.

    Raises CodaError where there is no such checkpoint or the Hub does not answer.
    """
    if path == BUNDLED:
        folder = Path(__file__).parent / BUNDLED
        if not (folder / "config.json").is_file():
            raise CodaError("This installation holds no bundled model: name a checkpoint folder or a Hub id instead.")
        return folder
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise CodaError(f"{path} is a file, but a checkpoint is a folder with config.json and *.safetensors.")
    if not _HUB_ID.fullmatch(path):
        raise CodaError(f"There is no checkpoint folder {path}, and it is no Hub id (owner/name) either.")
    return _download(path)


def _download(repo_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(repo_id, allow_patterns=_ALLOWED_FILES))
    except GatedRepoError:
        raise CodaError(
            f"{repo_id} on the Hugging Face Hub asks for consent: accept it there and run `hf auth login`."
        ) from None
    except RepositoryNotFoundError:
        raise CodaError(
            f"There is no folder {repo_id} here and no public model of that name on the Hugging Face Hub."
        ) from None
    except HFValidationError:
        raise CodaError(f"There is no folder {repo_id} here, and it is no valid Hub id (owner/name).") from None
    except Exception as error:  # those of whichever HTTP library the Hub's client uses, and its own
        raise CodaError(
            f"{repo_id} could not be fetched from the Hugging Face Hub ({type(error).__name__}): "
            "connect to the network once, or give the path of a local checkpoint folder."
        ) from None
