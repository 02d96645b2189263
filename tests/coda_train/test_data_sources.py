"""Packages, versions and licences of the files in projects, site-packages and standard libraries."""

from pathlib import Path

import pytest

from coda_train.data.sources import Package, find_files

MIT = "Permission is hereby granted, free of charge, to any person"
GPL = "GNU GENERAL PUBLIC LICENSE Version 3"
MPL = "Mozilla Public License Version 2.0"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def found(root: Path) -> dict[str, Package]:
    return {file.relative: file.package for file in find_files(root, [".py"])}


def installed(name: str, metadata: str, record: str = "", more: dict[str, str] | None = None) -> dict[str, str]:
    files = {"METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n{metadata}\n", **(more or {})}
    folder = f"{name}-1.2.dist-info"
    if record:
        files["RECORD"] = record
    return {f"{folder}/{file}": text for file, text in files.items()}


@pytest.mark.parametrize(
    ("metadata", "more", "licence"),
    [
        ("License-Expression: BSD-3-Clause", {}, "BSD-3-Clause"),
        ("Classifier: License :: OSI Approved :: MIT License", {}, "MIT"),
        ("License: Apache 2.0", {}, "Apache-2.0"),
        ("", {"LICENSE": MIT}, "MIT"),
        ("License: see LICENSE", {"LICENSE": GPL}, "GPL-3.0"),
        ("", {}, None),
    ],
)
def test_licence_of_a_distribution(tmp_path: Path, metadata: str, more: dict[str, str], licence: str | None) -> None:
    record = "my_pkg/a.py,,\nmy_pkg-1.2.dist-info/METADATA,,\n" + "".join(f"my_pkg-1.2.dist-info/{m},,\n" for m in more)
    write(tmp_path, {"my_pkg/a.py": "", **installed("my_pkg", metadata, record, more)})
    assert found(tmp_path) == {"my_pkg/a.py": Package("my-pkg", "1.2", licence)}


def test_only_recorded_files_of_a_distribution(tmp_path: Path) -> None:
    record = "pkg/a.py,,\npkg/data.txt,,\npkg/gone.py,,\n../../bin/tool.py,,\n"
    write(tmp_path, {"pkg/a.py": "", "pkg/b.py": "", "stray.py": "", **installed("pkg", "License: MIT", record)})
    assert list(found(tmp_path)) == ["pkg/a.py"]


def test_a_distribution_without_record_is_found_by_its_top_level_modules(tmp_path: Path) -> None:
    egg = {"PKG-INFO": "Metadata-Version: 2.1\nName: six\nVersion: 1.16\nLicense: MIT\n", "top_level.txt": "six\nsub\n"}
    files = {f"six-1.16.egg-info/{name}": text for name, text in egg.items()}
    write(tmp_path, {"six.py": "", "sub/deep/a.py": "", "other.py": "", **files})
    assert found(tmp_path) == dict.fromkeys(["six.py", "sub/deep/a.py"], Package("six", "1.16", "MIT"))


def test_vendored_copyleft_keeps_its_own_licence(tmp_path: Path) -> None:
    record = "pkg/a.py,,\npkg/_vendor/bad/sub/b.py,,\npkg/_vendor/good/c.py,,\n"
    vendored = {"pkg/_vendor/bad/LICENSE": MPL, "pkg/_vendor/bad/sub/b.py": "", "pkg/_vendor/good/LICENSE.txt": MIT}
    write(
        tmp_path, {"pkg/a.py": "", "pkg/_vendor/good/c.py": "", **vendored, **installed("pkg", "License: ISC", record)}
    )
    licences = {path: package.licence for path, package in found(tmp_path).items()}
    assert licences == {"pkg/a.py": "ISC", "pkg/_vendor/bad/sub/b.py": "MPL-2.0", "pkg/_vendor/good/c.py": "ISC"}


def test_standard_library_with_its_site_packages(tmp_path: Path) -> None:
    library = tmp_path / "python3.11"
    site = {f"site-packages/{k}": v for k, v in installed("pkg", "License: MIT", "pkg/a.py,,\n").items()}
    write(library, {"os.py": "", "json/decoder.py": "", "site-packages/pkg/a.py": "", **site})
    cpython = Package("cpython", "3.11", "PSF-2.0")
    assert found(library) == {"os.py": cpython, "json/decoder.py": cpython, "pkg/a.py": Package("pkg", "1.2", "MIT")}


@pytest.mark.parametrize(
    ("files", "package"),
    [
        ({"pyproject.toml": 'name = "My.Tool"\nversion = "3"\nlicense = "MIT"'}, Package("my-tool", "3", "MIT")),
        ({"pyproject.toml": 'name = "t"\nlicense = {text = "BSD"}'}, Package("t", "", "BSD-3-Clause")),
        ({"pyproject.toml": 'name = "t"\nlicense = {file = "LICENSE"}', "LICENSE": MIT}, Package("t", "", "MIT")),
        ({"COPYING": GPL}, Package("folder", "", "GPL-3.0")),
        ({"pyproject.toml": "name = \n", "LICENSE.md": MIT}, Package("folder", "", "MIT")),
        ({"license.py": MIT}, Package("folder", "", None)),
    ],
)
def test_a_project_folder(tmp_path: Path, files: dict[str, str], package: Package) -> None:
    tables = {name: f"[project]\n{text}" if name.endswith(".toml") else text for name, text in files.items()}
    write(tmp_path / "folder", {"src/a.py": "", **tables})
    assert found(tmp_path / "folder")["src/a.py"] == package


def test_a_folder_of_projects(tmp_path: Path) -> None:
    write(tmp_path / "all", {"one/LICENSE": MIT, "one/src/a.py": "", "two/COPYING": GPL, "two/b.py": "", "c.py": ""})
    expected = {"one/src/a.py": Package("one", "", "MIT"), "two/b.py": Package("two", "", "GPL-3.0")}
    assert found(tmp_path / "all") == {**expected, "c.py": Package("all", "", None)}


def test_hidden_folders_links_and_caches_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, {".git/a.py": "", "__pycache__/b.py": "", "c.py": "", "d.txt": ""})
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "e.py").symlink_to(tmp_path / "c.py")
    assert list(found(tmp_path)) == ["c.py"]


def test_a_source_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="is not a folder"):
        list(find_files(tmp_path / "none", [".py"]))
