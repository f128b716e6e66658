"""Settings from the environment, and their validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from vad_service.settings import VadSettings


def test_environment_names_have_the_prefix_or_are_shared(monkeypatch):
    monkeypatch.setenv("VAD_STOP_SILENCE_MS", "64")
    monkeypatch.setenv("ANCHOR_MODELS_DIR", "/somewhere")
    monkeypatch.setenv("ANCHOR_MODELS_LOCK", "/somewhere/models.lock")
    settings = VadSettings()
    assert settings.edge_thresholds.stop_silence_ms == 64
    assert (settings.models_dir, settings.models_lock) == (Path("/somewhere"), Path("/somewhere/models.lock"))


def test_repeated_predictions_can_be_turned_off(monkeypatch):
    monkeypatch.setenv("VAD_TURN_END_AGAIN_MS", "[]")
    assert VadSettings().edge_thresholds.turn_end_silences_ms == (200,)


def test_default_ports_are_those_of_the_mesh():
    assert (VadSettings().grpc_port, VadSettings().http_port) == (9082, 8002)


@pytest.mark.parametrize(
    "out_of_order",
    [
        {"stop_probability": 0.6},
        {"start_probability": 0.9},
        {"faint_stop_probability": 0.3},
        {"turn_end_silence_ms": 64},
        {"turn_end_silence_ms": 500},
        {"turn_end_again_ms": (900, 500)},
    ],
)
def test_thresholds_out_of_order_are_refused(out_of_order: dict[str, Any]):
    with pytest.raises(ValidationError):
        VadSettings(**out_of_order)
