"""The self-test: one turn with a recorded question, and how much of the question was recognised."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import cast

from rich.text import Text
from service_kit.errors import AnchorError, PeerFailed, root_cause

from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import open_session
from anchor_cli.client.turn import TurnResult, run_turn
from anchor_cli.settings import MeshSettings

# Seconds of the reply that the self-test plays before it interrupts.
LISTEN_S = 1.0
_CONTRACTIONS = {"'s": " is", "'re": " are", "'m": " am", "'ll": " will", "'ve": " have", "n't": " not"}
# Lists the recordings of a folder with their texts.
_LIST = "questions.toml"


async def run_self_test(settings: MeshSettings) -> TurnResult:
    """Run one turn with recorded speech against the running mesh. Raises `AnchorError` when it fails."""
    clip = load_clip(settings.root / settings.self_test_wav)
    try:
        async with open_session(settings.audio_url, headers=settings.authorization) as session:
            turn = await run_turn(session, clip, LISTEN_S)
    except Exception as error:
        cause = root_cause(error)
        if isinstance(cause, AnchorError):
            raise PeerFailed("mesh.self_test_failed", f"the self-test turn failed: {cause}") from error
        raise
    if not turn.transcript:
        raise PeerFailed("mesh.self_test_failed", "the self-test turn failed: no words were recognised")
    return turn


def spoken_text(recording: Path) -> str:
    """What a recording says, by the list of recordings beside it; empty when the list does not name it."""
    try:
        listed = tomllib.loads((recording.parent / _LIST).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return ""
    entries = cast("object", listed.get("question"))
    if not isinstance(entries, list):
        return ""
    named = [entry for entry in cast("list[dict[str, object]]", entries) if entry.get("file") == recording.name]
    return str(named[0].get("text", "")) if named else ""


def compare_words(spoken: str, transcript: str) -> Text:
    """One line: what was said, and whether it was recognised word by word; empty for an unknown text."""
    if not spoken:
        return Text()
    line = Text.assemble(("said      ", "dim"), spoken)
    if _words(spoken) == _words(transcript):
        return line.append("  every word recognised", "green")
    return line.append("  recognised otherwise: the engine of speech to text decides that (docs/engines.md)", "yellow")


def _words(text: str) -> list[str]:
    """The words without case and punctuation; English contractions are written out ("how's": "how is")."""
    plain = text.casefold().replace("\u2019", "'")
    for short, full in _CONTRACTIONS.items():
        plain = plain.replace(short, full)
    return "".join(letter if letter.isalnum() else " " for letter in plain).split()
