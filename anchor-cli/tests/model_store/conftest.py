"""A package index, a hub and a store that fetches from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from anchor_cli.model_store.pull import ModelStore
from file_store import file_store_of
from hub_double import Hub, serving
from registry_double import CopyingClient, Registry, client_environment, serving_registry


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """An empty package index and npm registry, the only ones that pip and npm know."""
    with serving_registry(Registry()) as registry:
        for name, value in client_environment(registry, tmp_path).items():
            monkeypatch.setenv(name, value)
        yield registry


@pytest.fixture
def big_hub() -> Iterator[Hub]:
    """The hub of the row `big`; empty, so that it answers 404."""
    with serving(Hub({})) as hub:
        yield hub


@pytest.fixture
def pip_store(registry: Registry, big_hub: Hub, tmp_path: Path) -> ModelStore:
    """A store that fetches packages with pip."""
    return file_store_of(registry, big_hub, tmp_path)


@pytest.fixture
def file_store(pip_store: ModelStore, registry: Registry) -> ModelStore:
    """A store that copies packages, without pip."""
    return replace(pip_store, packages=lambda stop: CopyingClient(stop, registry=registry))
