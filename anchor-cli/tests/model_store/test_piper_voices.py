"""Voices of Piper: by their own names, in one folder, each with the licence of its model card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from anchor_cli.app import app
from anchor_cli.model_store.hub.piper_voices import is_voice, voice_files
from anchor_cli.model_store.pull import ModelStore
from hub_double import COMMIT, Hub, placed, serving, store_of
from service_kit.engines.hub import read_trusted
from service_kit.errors import EngineFailed, InvalidRequest, PeerFailed
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
LESSAC, ROHAN = "en/en_US/lessac/medium/", "hi/hi_IN/rohan/medium/"
# ONNX begins with the version of its format.
WEIGHTS = b"\x08\x08" + bytes(5000)
FILES = {
    f"{LESSAC}en_US-lessac-medium.onnx": WEIGHTS,
    f"{LESSAC}en_US-lessac-medium.onnx.json": b'{"audio": {}}',
    f"{LESSAC}MODEL_CARD": b"# Model card\n\n* Speakers: 1\n\n## Dataset\n\n* License: Blizzard 2013\n",
    f"{ROHAN}hi_IN-rohan-medium.onnx": WEIGHTS + b"hi",
    f"{ROHAN}hi_IN-rohan-medium.onnx.json": b'{"audio": {}, "language": "hi"}',
}
PIPER = """
[[model]]
kind = "hub"
name = "piper"
repository = "rhasspy/piper-voices"
revision = "main"
licence = "each voice its own"
files = []
"""


@pytest.fixture
def voices_hub():
    with serving(Hub(dict(FILES))) as hub:
        yield hub


@pytest.fixture
def voice_store(voices_hub: Hub, tmp_path: Path) -> ModelStore:
    store = replace(store_of(voices_hub, tmp_path), piper_voices=("hi_IN-rohan-medium",))
    store.lock.write_text(PIPER)
    return store


def said_by(store: ModelStore) -> str:
    return "\n".join(store.progress.lines)  # type: ignore[attr-defined]


def test_voice_is_pulled_by_its_own_name(voice_store: ModelStore, voices_hub: Hub) -> None:
    voice_store.pull(["en_US-lessac-medium"])
    assert set(placed(voice_store)) == {
        "piper/en_US-lessac-medium.onnx",
        "piper/en_US-lessac-medium.onnx.json",
        "trusted.lock",
    }
    assert placed(voice_store)["piper/en_US-lessac-medium.onnx"] == WEIGHTS
    assert (f"/rhasspy/piper-voices/resolve/{COMMIT}/{LESSAC}en_US-lessac-medium.onnx", "") in voices_hub.asked
    # The licence is said before the download.
    assert "licence of en_US-lessac-medium: Blizzard 2013, from rhasspy" in voice_store.progress.lines[0]  # type: ignore[attr-defined]
    voices_hub.asked.clear()
    voice_store.pull(["en_US-lessac-medium"])
    voice_store.pull(["en_US-lessac-medium"], offline=True)
    assert voices_hub.asked == []


def test_piper_stands_for_the_voices_of_the_settings(voice_store: ModelStore) -> None:
    voice_store.pull(["piper"])
    assert "piper/hi_IN-rohan-medium.onnx" in placed(voice_store)
    # Its card cannot be read: the address stands for the licence.
    assert f"of hi_IN-rohan-medium: not known, see {voice_store.hub_url}/rhasspy" in said_by(voice_store)


def test_later_voice_is_of_the_commit_of_the_first(voice_store: ModelStore) -> None:
    voice_store.pull(["piper"])
    voice_store.pull(["en_US-lessac-medium"])
    pinned = read_trusted(voice_store.folder)
    assert len(pinned) == 4
    assert {found.commit for found in pinned.values()} == {COMMIT}
    voice_store.pull(["piper", "en_US-lessac-medium"], offline=True)


def test_changed_voice_is_found(voice_store: ModelStore) -> None:
    voice_store.pull(["piper"])
    (voice_store.folder / "piper/hi_IN-rohan-medium.onnx").write_bytes(WEIGHTS + b"ho")
    with pytest.raises(EngineFailed, match=r"missing or changed: piper/hi_IN-rohan-medium\.onnx"):
        voice_store.pull(["piper"], offline=True)


def test_voice_that_the_repository_lacks_is_named(voice_store: ModelStore, voices_hub: Hub) -> None:
    with pytest.raises(PeerFailed, match=r"has no file de/de_DE/nobody/low/de_DE-nobody-low\.onnx"):
        voice_store.pull(["de_DE-nobody-low"])
    assert voices_hub.fetched == []


@pytest.mark.parametrize("name", ["en_US-lessac", "en_US-lessac-huge", "en_US-../../x-medium", "EN_us-a-low", ""])
def test_other_names_are_no_voices(voice_store: ModelStore, name: str) -> None:
    assert not is_voice(name)
    with pytest.raises(ValueError, match="not the name of a voice"):
        voice_files(name)
    with pytest.raises(InvalidRequest, match="no profile or model"):
        voice_store.pull([name])


def test_settings_name_the_voices(voices_hub: Hub, tmp_path: Path) -> None:
    environment = {
        "ANCHOR_MODELS_LOCK": str(ROOT / "models.lock"),
        "ANCHOR_MODELS_DIR": str(tmp_path),
        "ANCHOR_MODELS_HUB_URL": voices_hub.url,
        "PIPER_MODEL_PATH": "/models/en_US-lessac-medium.onnx",
        "NO_PROXY": "127.0.0.1",
    }
    result = CliRunner().invoke(app, ["pull", "piper"], env=environment)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "piper/en_US-lessac-medium.onnx").read_bytes() == WEIGHTS
    listed = CliRunner().invoke(app, ["pull"], env=environment)
    assert "voices of Piper here: en_US-lessac-medium" in listed.output
