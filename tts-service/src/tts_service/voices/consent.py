"""A person's consent to the cloning of their voice: checked before a voice is learned, stored in the voice's folder."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

from service_kit.errors import InvalidRequest
from service_kit.parsing.documents import parse_json

from tts_service.engine import ConsentSummary, VoiceConsent

CONSENT_FILE, RECORDING_FILE = "consent.json", "consent.wav"
# The longest recorded statement, 30 s of PCM16 mono at 16 kHz, plus its header.
MAX_CONSENT_RECORDING_BYTES = 30 * 16_000 * 2 + 4_096
_MIN_STATEMENT_CHARS, _MAX_STATEMENT_CHARS = 10, 2_000
_MAX_NAME_CHARS = 60
_ID = re.compile(r"cons_[0-9a-f]{8,64}")


def check_consent(consent: VoiceConsent) -> None:
    """Raises `InvalidRequest` for a consent that does not say who consented to what, and when."""
    summary = consent.summary
    if not consent.statement.strip():
        raise InvalidRequest(
            "tts.consent_missing",
            "a voice is learned only with the consent of the person that it belongs to: send their statement,"
            " written or recorded",
        )
    if not _MIN_STATEMENT_CHARS <= len(consent.statement.strip()) <= _MAX_STATEMENT_CHARS:
        raise InvalidRequest(
            "tts.consent_statement",
            f"a statement of consent has {_MIN_STATEMENT_CHARS} to {_MAX_STATEMENT_CHARS} characters,"
            ' such as "I consent that this voice anchor speaks with my voice"',
        )
    name = summary.name.strip()
    if not (0 < len(name) <= _MAX_NAME_CHARS and name.isprintable()):
        raise InvalidRequest("tts.consent_name", f"the name of the person has 1 to {_MAX_NAME_CHARS} characters")
    if not _ID.fullmatch(summary.id):
        raise InvalidRequest("tts.consent_id", "the consent's id must be cons_ and hexadecimal digits")
    if summary.given_unix_s <= 0:
        raise InvalidRequest("tts.consent_time", "the consent has no time")
    if len(consent.recording_wav) > MAX_CONSENT_RECORDING_BYTES:
        raise InvalidRequest(
            "tts.consent_recording", f"the recording of the consent is larger than {MAX_CONSENT_RECORDING_BYTES} bytes"
        )


def write_consent(folder: Path, consent: VoiceConsent) -> None:
    """Write the consent into a voice's folder, in place of an earlier one."""
    recording = folder / RECORDING_FILE
    recording.unlink(missing_ok=True)
    if consent.recording_wav:
        recording.write_bytes(consent.recording_wav)
    fields = {**asdict(consent.summary), "statement": consent.statement, "recording": bool(consent.recording_wav)}
    (folder / CONSENT_FILE).write_text(json.dumps(fields, ensure_ascii=False), "utf-8")


def read_consent(folder: Path) -> ConsentSummary | None:
    """Read the consent of a voice's folder; None where there is none. Raises `ValueError` and `KeyError`."""
    path = folder / CONSENT_FILE
    if not path.is_file():
        return None
    fields = parse_json(path.read_text("utf-8"))
    return ConsentSummary(str(fields["id"]), str(fields["name"]), str(fields["language"]), int(fields["given_unix_s"]))
