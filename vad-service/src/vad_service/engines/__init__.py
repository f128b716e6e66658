"""The speech models there are."""

from __future__ import annotations

ENGINES = {
    "silero": "vad_service.engines.silero:Silero",
    "energy": "vad_service.engines.energy:Energy",
}
