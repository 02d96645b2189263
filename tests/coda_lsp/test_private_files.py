"""Which files stay private: by git's rules, as git itself says, and by their names."""

import shutil
import subprocess
from pathlib import Path

import pytest

from coda_lsp.git_ignored import is_git_ignored
from coda_lsp.private_files import path_of, privacy, refusal
from coda_lsp.settings import Settings

FILES = (
    "main.py",
    "debug.log",
    "keep.log",
    "build/out.py",
    "build/deep/out.py",
    "sub/build/out.py",
    "top.txt",
    "sub/top.txt",
    "sub/data.csv",
    "sub/kept.csv",
    "sub/x/y/deep.tmp",
    "vendor/lib.py",
    "vendor/ours/lib.py",
    "excluded.md",
    "spaced name.bin",
)
RULES = {
    ".gitignore": "*.log\n!keep.log\n/build/\n/top.txt\n# a comment\nvendor/*\n!vendor/ours/\n*.bin\n",
    "sub/.gitignore": "*.csv\n!kept.csv\nx/**/*.tmp\n!/build/\n",
    ".git/info/exclude": "excluded.md\n",
}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no config"))
    root = tmp_path / "repository"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x = 1\n")
    (root / ".git" / "info").mkdir(parents=True)
    for name, rules in RULES.items():
        (root / name).write_text(rules)
    return root


@pytest.mark.parametrize(
    ("name", "ignored"),
    zip(
        FILES,
        (False, True, False, True, True, False, True, False, True, False, True, True, False, True, True),
        strict=True,
    ),
)
def test_rules(repository: Path, name: str, ignored: bool) -> None:
    assert is_git_ignored(repository / name) == ignored


def test_git_agrees(repository: Path) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")
    subprocess.run([git, "init", "-q", str(repository)], check=True, capture_output=True)
    (repository / ".git" / "info" / "exclude").write_text(RULES[".git/info/exclude"])
    command = [git, "-C", str(repository), "-c", "core.excludesFile=", "check-ignore", "--no-index", "--stdin", "-z"]
    said = subprocess.run(command, input="\0".join(FILES).encode(), capture_output=True).stdout.decode().split("\0")
    assert {name for name in FILES if is_git_ignored(repository / name)} == set(filter(None, said))


def test_a_rule_that_changes_counts_at_once(repository: Path) -> None:
    assert not is_git_ignored(repository / "main.py")
    (repository / ".gitignore").write_text("main.py\nmore than before, so that the time is not all that differs\n")
    assert is_git_ignored(repository / "main.py")


def test_outside_and_inside_of_git(repository: Path) -> None:
    assert not is_git_ignored(repository.parent / "elsewhere.py")
    assert is_git_ignored(repository / ".git" / "config")


def test_what_is_private_and_why(repository: Path) -> None:
    (repository / "harmless.py").symlink_to(repository / "debug.log")
    (repository / "notes.py").symlink_to(repository / ".env")
    reasons = {
        "main.py": None,
        "not there yet.py": None,
        "debug.log": "is ignored by git",
        "harmless.py": "is ignored by git",
        ".env": "holds secrets by its name",
        "notes.py": "holds secrets by its name",
        "id_rsa": "holds secrets by its name",
        "server.pem": "holds secrets by its name",
    }
    assert {name: privacy((repository / name).as_uri()) for name in reasons} == reasons
    assert privacy("untitled:Untitled-1") is None
    assert privacy("file://[broken/x.py") == "has no readable address"
    assert privacy("file:///a%00b.py") == "has no readable address"


def test_only_a_team_server_is_kept_from_them(repository: Path) -> None:
    remote = Settings(server_url="https://team.example")
    ignored = (repository / "debug.log").as_uri()
    assert refusal(ignored, Settings()) is None
    assert refusal(ignored, remote) == "This file is ignored by git and is not sent to a team server."
    assert refusal((repository / "main.py").as_uri(), remote) is None


def test_paths() -> None:
    assert path_of("file:///a%20b/c.py") == Path("/a b/c.py")
    assert path_of("untitled:1") is None
    assert path_of("file://[broken/x.py") is None
