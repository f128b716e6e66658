"""The embedding process: it checks the package, has no sockets and no environment."""

from __future__ import annotations

import shutil
from importlib.metadata import Distribution, PackagePath, files
from pathlib import Path

import pytest
from orchestrator.knowledge.embeddings.worker import PACKAGE, PackageDamaged, check_package


def installed_copy(folder: Path) -> list[PackagePath]:
    """Copy the installed package, without its large files that are not in use."""
    original = files(PACKAGE)
    assert original is not None
    for path in original:
        if not path.name.endswith(("enpt-q4.bin", "sae.bin", ".pyc")) and ".." not in path.parts:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(path.locate()), folder / path)
    copied = Distribution.at(next(folder.glob("*.dist-info"))).files
    assert copied is not None
    return copied


def test_installed_package_is_undamaged():
    check_package(files(PACKAGE))


@pytest.mark.parametrize("name", ["e5-small-q4.bin", "_core.py", "_engine"])
def test_flipped_bit_is_noticed(tmp_path: Path, name: str):
    copied = installed_copy(tmp_path)
    check_package(copied)
    (damaged,) = (path for path in (tmp_path / PACKAGE).iterdir() if path.name.startswith(name))
    with damaged.open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)[0]
        file.seek(1000)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(PackageDamaged, match=f"{name}.* damaged"):
        check_package(copied)


def test_missing_model_is_noticed(tmp_path: Path):
    copied = installed_copy(tmp_path)
    (tmp_path / PACKAGE / "e5-small-q4.bin").unlink()
    with pytest.raises(PackageDamaged, match="missing"):
        check_package(copied)


def test_missing_package_is_noticed():
    with pytest.raises(PackageDamaged, match="not installed"):
        check_package(None)
