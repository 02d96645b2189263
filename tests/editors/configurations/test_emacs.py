"""The two configurations in a real Emacs: each starts the server and has a line of a file and a hole filled."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

EMACS = Path(os.environ["CODA_TEST_EMACS"])
CONFIGURATIONS = Path(__file__).parents[3] / "editors" / "emacs"
LIMIT_S = 300.0

FILLED = "def add(a, b):\n    alpha + beta * gamma\n        # delta\n\n\nprint(add(1, 2))\n"
HOLE_FILLED = "\n\ndef later():\n    alpha + beta * gamma\n        # delta\n"


@pytest.fixture
def environment(tmp_path: Path, server_on_path: dict[str, str]) -> dict[str, str]:
    """With the folders that Emacs was built for where it was fetched to."""
    root = EMACS.parents[1]
    [share] = (root / "share" / "emacs").glob("[0-9]*")
    [programs] = (root / "libexec" / "emacs").glob("*/*")
    folders = {"EMACSLOADPATH": share / "lisp", "EMACSDATA": share / "etc", "EMACSDOC": share / "etc"}
    places = {**folders, "EMACSPATH": programs, "HOME": tmp_path}
    return {**os.environ, **server_on_path, **{name: str(place) for name, place in places.items()}}


def run(environment: dict[str, str], client: str, settings: dict[str, Any], file: Path) -> None:
    """Batch Emacs with one of our configurations and the script of the same client, to its end."""
    [dump] = (EMACS.parents[1] / "libexec" / "emacs").glob("*/*/*.pdmp")
    packages = (EMACS.parents[1] / "share" / "emacs" / "site-lisp" / "elpa-src").iterdir()
    given = " ".join(f':{name} "{value}"' for name, value in settings.items())
    subprocess.run(
        [
            *(EMACS, f"--dump-file={dump}", "--batch", "--no-site-file"),
            # It would compile pieces of itself with the compiler it came with, which is nowhere that it looks.
            *("--eval", "(setq native-comp-jit-compilation nil native-comp-enable-subr-trampolines nil)"),
            *(part for package in packages for part in ("-L", package)),
            *("-l", CONFIGURATIONS / f"coda-{client}.el"),
            *("--eval", f"(setq coda-settings '({given}))"),
            *("-l", Path(__file__).with_name(f"{client}.el"), file),
        ],
        cwd=file.parent,
        env=environment,
        check=True,
        timeout=LIMIT_S,
    )


def test_eglot_fills(environment: dict[str, str], known_model: dict[str, Any], edited: Path) -> None:
    run(environment, "eglot", known_model, edited)
    assert edited.read_text() == FILLED + HOLE_FILLED


def test_lsp_mode_suggests_and_fills(environment: dict[str, str], known_model: dict[str, Any], edited: Path) -> None:
    run(environment, "lsp-mode", known_model, edited)
    assert edited.read_text() == FILLED + "total = -alpha + beta * gamma\n" + HOLE_FILLED
