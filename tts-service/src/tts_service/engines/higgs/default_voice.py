"""The built-in voice: one reference per language, which the model has spoken itself, with the weights it belongs to.

Without a reference the model chooses another voice for every text. So it speaks one text per language once, and those
codes precede every phrase in the built-in voice, as a recording precedes a phrase in a cloned voice.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tts_service.engines.higgs.delay import Codes
from tts_service.engines.higgs.phrase_limits import FRAME_MS
from tts_service.engines.higgs.prompt import VoiceReference, prepare_text
from tts_service.engines.higgs.voices import CODEC_BOOKS, CODEC_CODES
from tts_service.synthesis.watchdog import expected_speech_ms

log = logging.getLogger(__name__)

# Even sentences of 8 to 10 s; a calm speaker needs up to 16 s.
REFERENCE_TEXTS: Mapping[str, str] = {
    "en": "Good evening, and welcome. The weather stays calm this week, with mild mornings, a little rain on Thursday, "
    "and clear skies again by the weekend.",
    "de": "Guten Abend und willkommen. Das Wetter bleibt diese Woche ruhig, mit milden Morgen, etwas Regen am "
    "Donnerstag und klarem Himmel am Wochenende.",
    "es": "Buenas noches y bienvenidos. El tiempo sigue tranquilo esta semana, con mañanas suaves, algo de lluvia el "
    "jueves y cielos despejados el domingo.",
    "zh": "晚上好，欢迎收听。本周天气平稳，早晨温和，星期四有小雨，周末天空放晴。",
    "ko": "안녕하세요, 반갑습니다. 이번 주 날씨는 평온하고, 아침은 포근하며, 목요일에는 비가 조금 오겠습니다.",
}
# A reference, its transcript and a phrase of 160 characters fit into this context.
MIN_CONTEXT_TOKENS = 1024
# A fast speaker needs about half of a calm speaker's time; less is a text that was not spoken to its end.
_MIN_OF_EXPECTED = 0.4
_FOLDER = ".default-voice"
_MAX_FILE_BYTES = 1 << 20
# Bytes of a weights file that identify it: samples at even distances.
_SAMPLES, _SAMPLE_BYTES = 32, 1 << 14


def max_reference_frames(language: str) -> int:
    """Maximum number of frames of the reference in `language`: a calm speaker's time for its text."""
    return math.ceil(expected_speech_ms(REFERENCE_TEXTS[language], 1.0) / FRAME_MS)


def is_long_enough(language: str, frames: int) -> bool:
    """Whether so many frames can hold the whole text of the reference in `language`."""
    return frames >= _MIN_OF_EXPECTED * max_reference_frames(language)


def identify_voice(folders: Sequence[Path], seed: int) -> str:
    """Identify the model in `folders` (configurations, tokenizer, samples of the weights), and the seed. Blocking.

    The format of the weights is not part of it, so that the voice stays when only that changes.
    """
    digest = hashlib.sha256(f"{seed}".encode())
    for number, folder in enumerate(folders):
        for path in sorted((*folder.glob("*.json"), *folder.glob("*.safetensors"))):
            size = path.stat().st_size
            digest.update(f"\0{number}/{path.name}\0{size}\0".encode())
            with path.open("rb") as file:
                for sample in range(_SAMPLES):
                    file.seek(max(size - _SAMPLE_BYTES, 0) * sample // (_SAMPLES - 1))
                    digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


class DefaultVoice:
    """The references of the built-in voice by language, kept in a folder if there is one. `load` comes first."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = None if folder is None else folder / _FOLDER
        self._identity = ""
        self._references: dict[str, VoiceReference] = {}

    @property
    def missing_languages(self) -> list[str]:
        """The languages without a reference."""
        return [language for language in REFERENCE_TEXTS if language not in self._references]

    def find_reference(self, language: str) -> VoiceReference | None:
        """The reference in `language`; None if there is none."""
        return self._references.get(language)

    def load(self, identity: str) -> None:
        """Load the references that were made with this identity; log and skip others. Blocking."""
        if identity == self._identity:
            return
        self._identity = identity
        self._references = {}
        if self._folder is None:
            return
        for language in REFERENCE_TEXTS:
            try:
                self._references[language] = self._read(self._folder / f"{language}.json", language)
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
                extra = {"language": language, "reason": str(error) or repr(error), "effect": "it is made again"}
                log.warning("reference of the default voice not used", extra=extra)

    def save_reference(self, language: str, frames: Codes) -> None:
        """Use `frames`, shape [n, books], as the reference in `language`, and store them. Blocking."""
        self._references[language] = VoiceReference(reference_transcript(language), frames)
        if self._folder is None:
            return
        content = {
            "identity": self._identity,
            "transcript": reference_transcript(language),
            "frames": frames.tolist(),
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            made = self._folder / f"{language}.json.part"
            made.write_text(json.dumps(content, ensure_ascii=False), "utf-8")
            made.replace(made.with_suffix(""))
        except OSError as error:
            extra = {"language": language, "reason": repr(error), "effect": "the next start makes another one"}
            log.warning("reference of the default voice not stored", extra=extra)

    def _read(self, path: Path, language: str) -> VoiceReference:
        """Read a stored reference. Raises `ValueError`, `KeyError` or `TypeError` unless it is whole and fits."""
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise ValueError("the file is too large")
        content = json.loads(path.read_text("utf-8"))
        if content["identity"] != self._identity:
            raise ValueError("it was made with other weights or another seed")
        if content["transcript"] != reference_transcript(language):
            raise ValueError("it speaks another text")
        frames = np.array(content["frames"])
        fits = frames.ndim == 2 and frames.shape[1] == CODEC_BOOKS and np.issubdtype(frames.dtype, np.integer)
        if not fits or not ((frames >= 0) & (frames < CODEC_CODES)).all():
            raise ValueError("the file does not hold frames of this codec")
        if not is_long_enough(language, len(frames)) or len(frames) > max_reference_frames(language):
            raise ValueError(f"{len(frames)} frames are not the length of its text")
        return VoiceReference(content["transcript"], frames.astype(np.int64))


def reference_transcript(language: str) -> str:
    """The text of the reference in `language`, as the model receives it."""
    return prepare_text(REFERENCE_TEXTS[language], language)
