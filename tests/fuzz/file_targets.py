"""Files that people and programs write: .env, personas, knowledge, model headers, backups."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import tarfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from anchor_cli.backup.archive import MANIFEST, STORE, read_archive
from anchor_cli.doctor.machine import LocalMachine
from anchor_cli.dotenv_file import load_env_file, read_env_text, read_value, set_variable
from anchor_cli.plan.env_file import VOXTRAL_PROFILE, merge_env
from anchor_cli.plan.gguf_header import read_gguf_header
from anchor_cli.settings import MeshSettings
from choices import Choices
from dotenv import dotenv_values
from mutations import TEXTS, WIDE_INTEGERS, mutate, mutated_seed, text_of
from oracle import check_error, stated_errors
from orchestrator.conversation.model.ports import Persona
from orchestrator.knowledge.passages import read_passage
from orchestrator.knowledge.personas import OPTIONAL_PHRASES, PERSONA_PHRASES, load_personas
from pydantic import ValidationError
from pydantic_settings import SettingsError
from service_kit.errors import InvalidRequest
from service_kit.http.api_keys import parse_api_keys
from service_kit.parsing.documents import parse_json
from service_kit.setting_problems import setting_problems_line
from target import Check, FuzzTarget

ROOT = Path(__file__).parents[2]
PERSONA = (ROOT / "content/personas/anchor.toml").read_bytes()

# ---------------------------------------------------------------------------------------------------------------
# .env

# What `anchor plan` and `anchor keys` write.
WRITTEN = {"OLLAMA_NUM_PARALLEL": "2", "TTS_FALLBACK_ENGINES": '["espeak"]', "STT_ENGINE": ""}
KEYS = "ORCHESTRATOR_API_KEYS"
NAMES = (*WRITTEN, KEYS, "COMPOSE_PROFILES", "SHARED_SECRET", "ANCHOR_HOST", "ANCHOR_START_TIMEOUT_S", "X")


def generate_env(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return the content of a .env file."""
    if choices.chance(3):
        return mutated_seed(choices, seeds)
    lines = "".join(_env_line(choices) for _ in range(1 + choices.below(8)))
    return lines.encode("utf-8", "replace")


def _env_line(choices: Choices) -> str:
    name = choices.one_of(NAMES) if choices.below(6) else text_of(choices)[:40]
    value = (
        choices.one_of(("8", "a,b", "0.0.0.0", "[]", '["a:talk:0"]', "3", "")) if choices.below(3) else text_of(choices)
    )
    quote = choices.one_of(("", "", "'", '"'))
    lead = choices.one_of(("", "", "export ", "#", "  ", "\n"))
    closing = "" if choices.chance(12) else quote
    end = choices.one_of(("\n", "\n", "\r\n", "\r", " # why\n", "\x0b", "\u2028", ""))
    return f"{lead}{name}{choices.one_of(('=', '=', ' = ', ''))}{quote}{value}{closing}{end}"


@contextmanager
def checking_env() -> Generator[Check]:
    """Check that the file is read or refused, and that a change of one variable changes no other."""
    with TemporaryDirectory(prefix="anchor-fuzz-") as folder:
        path = Path(folder) / ".env"

        def check(case: bytes) -> None:
            path.write_bytes(case)
            with stated_errors(InvalidRequest):
                LocalMachine().read_env_names(path)
            with mock.patch.dict(os.environ), stated_errors(InvalidRequest):
                load_env_file(path)
                _read_settings()
            with stated_errors(InvalidRequest):
                text = read_env_text(path)
                _read_keys(text)
                _check_changed(text, set_variable(text, "STT_ENGINE", "whisper"), {"STT_ENGINE": "whisper"})
                merged = merge_env(text, WRITTEN, VOXTRAL_PROFILE, enabled=True)
                profiles = read_value(merged, "COMPOSE_PROFILES") or ""
                assert VOXTRAL_PROFILE in profiles.split(",")
                _check_changed(text, merged, {**WRITTEN, "COMPOSE_PROFILES": profiles})
                again = merge_env(merged, WRITTEN, VOXTRAL_PROFILE, enabled=True)
                assert again == merged

        yield check


def _read_settings() -> None:
    try:
        MeshSettings()
    except (ValidationError, SettingsError) as error:
        check_error("settings.invalid", setting_problems_line(error))


def _read_keys(text: str) -> None:
    """As the orchestrator's settings and `anchor keys` do: a `ValueError` for what is no list of keys."""
    with suppress(ValueError, TypeError):
        parse_api_keys(tuple(map(str, parse_json(read_value(text, KEYS) or "[]"))))


def _check_changed(before: str, after: str, changes: dict[str, str]) -> None:
    old, new = (dotenv_values(stream=io.StringIO(text), interpolate=False) for text in (before, after))
    for name, value in changes.items():
        assert new.get(name) == value, (name, new.get(name))
    others = {name: value for name, value in old.items() if name not in changes}
    assert {name: value for name, value in new.items() if name not in changes} == others


# ---------------------------------------------------------------------------------------------------------------
# Personas and knowledge


def generate_persona(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return a persona file: a changed one, or one of odd phrases."""
    match choices.below(3):
        case 0:
            return mutate(choices, PERSONA, seeds)
        case 1:
            return mutated_seed(choices, seeds)
        case _:
            phrases = "".join(_phrase_line(choices) for _ in range(1 + choices.below(4)))
            lines = f"name = {_toml_text(choices)}\ninstructions = {_toml_text(choices)}\n[phrases.en]\n{phrases}"
            return lines.encode("utf-8", "replace")


def _phrase_line(choices: Choices) -> str:
    key = choices.one_of((*sorted(PERSONA_PHRASES.keys() | OPTIONAL_PHRASES), "x y"))
    holes = (
        "",
        "{title}",
        "{topics}",
        "{language}",
        "{name}",
        "{time}",
        "{0}",
        "{",
        "}",
        "{{x}}",
        "{title!r}",
        "{date:d}",
    )
    text = "".join(choices.one_of(holes) + choices.one_of(("Well. ", *TEXTS[:6])) for _ in range(1 + choices.below(3)))
    return f"{key} = {json.dumps(text, ensure_ascii=choices.chance(2))}\n"


def _toml_text(choices: Choices) -> str:
    deep = choices.one_of(("[" * 2_000, "9" * 5_000, "{a=" * 500, "1979-05-27T99:99:99", "1e999", "0x" + "f" * 6_000))
    return json.dumps(text_of(choices)) if choices.below(12) else deep


@contextmanager
def checking_persona() -> Generator[Check]:
    """Check that a persona is refused with file and key, or can speak every phrase with its words filled in."""
    with TemporaryDirectory(prefix="anchor-fuzz-") as name:
        folder = Path(name)

        def check(case: bytes) -> None:
            for file in ("anchor.toml", "nora.toml"):
                (folder / "anchor.toml").write_bytes(PERSONA)
                (folder / file).write_bytes(case)
                with stated_errors(InvalidRequest):
                    for persona in load_personas(folder).values():
                        _check_phrases(persona)

        yield check


def _check_phrases(persona: Persona) -> None:
    """With its words filled in, as the briefing does, a phrase has no placeholder left, unless the name is one."""
    braces = set("{}") - set(persona.name)
    for phrases in persona.phrases.values():
        for key, text in phrases.items():
            for hole in PERSONA_PHRASES.get(key, ()):
                text = text.replace(f"{{{hole}}}", "word")
            assert not braces & set(text), (key, text)


def generate_passage(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return a knowledge file."""
    if choices.chance(2):
        return mutated_seed(choices, seeds)
    keys = ("title", "keywords", "questions", "kind", "language", "Title", "")
    lines = [f"{choices.one_of(keys)}:{choices.one_of((' ', '', chr(0x2028)))}{text_of(choices)}" for _ in range(3)]
    fence = choices.one_of(("---", "---", "--- ", "----"))
    return "\n".join([fence, *lines, fence, text_of(choices), text_of(choices)]).encode("utf-8", "replace")


@contextmanager
def checking_passage() -> Generator[Check]:
    """Check that a passage is refused with file and line, or has a title and sentences."""

    def read(path: Path) -> None:
        passage = read_passage(path, "the file")
        assert passage.title
        assert all(sentence.strip() for sentence in passage.sentences)

    with _file_check(read) as check:
        yield check


# ---------------------------------------------------------------------------------------------------------------
# Model headers and backups


def generate_gguf(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return the header of a model file."""
    if choices.chance(3):
        return mutated_seed(choices, seeds)

    def number(layout: str, *usual: int) -> bytes:
        value = choices.one_of(usual) if choices.below(6) else choices.one_of(WIDE_INTEGERS)
        return struct.pack(layout, value % 2 ** (8 * struct.calcsize(layout)))

    def text(usual: str) -> bytes:
        content = (usual if choices.below(4) else text_of(choices)).encode("utf-8", "replace")
        return number("<Q", len(content)) + content

    parts = [b"GGUF", number("<I", 3), number("<Q", 1), number("<Q", 2)]
    for key in ("general.architecture", "llama.block_count"):
        kind = choices.one_of((4, 8, 9, 0, 12, 13, 99))
        parts += [text(key), number("<I", kind)]
        parts.append(text("llama") if kind == 8 else number("<I", 4) + number("<Q", 2) + bytes(8))
    parts += [text("token_embd.weight"), number("<I", 2), number("<Q", 64), number("<Q", 64)]
    parts += [number("<I", 0, 12, 1), number("<Q", 0)]
    return b"".join(parts)


@contextmanager
def checking_gguf() -> Generator[Check]:
    """Check that a model's header is refused, or has tensors of some size."""

    def read(path: Path) -> None:
        header = read_gguf_header(path)
        assert all(size >= 0 for size in header.tensor_bytes.values())
        header.number("block_count", 1)

    with _file_check(read) as check:
        yield check


def generate_backup(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return the tar archive of a backup, not compressed yet: damage below a checksum would only test that."""
    if choices.chance(4):
        return mutated_seed(choices, seeds)
    file = io.BytesIO()
    parts = [STORE, "personas", *([text_of(choices)[:80]] if choices.chance(4) else [])]
    manifest: object = {"format": "anchor-backup", "version": choices.one_of((1, 1, 1, 2, "x" * 99)), "parts": parts}
    if choices.chance(8):
        manifest = choices.one_of(([], "x", 3, {"parts": 3}, {**dict.fromkeys("ab")}))
    with tarfile.open(fileobj=file, mode="w") as archive:
        _add_member(archive, MANIFEST, json.dumps(manifest).encode())
        _add_member(archive, STORE, b"{}\n")
        for _ in range(choices.below(4)):
            names = ("personas/a.toml", "../out", "/etc/x", "personas/../../y", "personas", "personas\\b", "a\0b", "")
            member = tarfile.TarInfo(choices.one_of(names) if choices.below(4) else f"personas/{text_of(choices)[:99]}")
            member.type = choices.one_of(
                (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE)
            )
            member.linkname = choices.one_of(("", "/etc/passwd", "../.."))
            archive.addfile(member)
    data = file.getvalue()
    return mutate(choices, data) if choices.chance(3) else data


def _add_member(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


@contextmanager
def checking_backup() -> Generator[Check]:
    """Check that an archive is refused, or unpacked into its folder and nowhere else."""
    with TemporaryDirectory(prefix="anchor-fuzz-") as name:
        base = Path(name)

        def check(case: bytes) -> None:
            source = base / "backup"
            source.write_bytes(gzip.compress(case, 1))
            with TemporaryDirectory(dir=base) as inner:
                folder = Path(inner) / "new"
                folder.mkdir()
                try:
                    with stated_errors(InvalidRequest):
                        read_archive(source, folder)
                except OSError:
                    # The file system refuses some names; the command reports that.
                    pass
                assert [path.name for path in Path(inner).iterdir()] == ["new"]
                assert sorted(path.name for path in base.iterdir()) == sorted(["backup", Path(inner).name])
                assert all(path.is_dir() or path.is_file() for path in folder.rglob("*"))
                assert not any(path.is_symlink() for path in folder.rglob("*"))

        yield check


@contextmanager
def _file_check(read: Callable[[Path], None]) -> Generator[Check]:
    with TemporaryDirectory(prefix="anchor-fuzz-") as folder:
        path = Path(folder) / "case"

        def check(case: bytes) -> None:
            path.write_bytes(case)
            with stated_errors(InvalidRequest):
                read(path)

        yield check


TARGETS = (
    FuzzTarget("env-file", generate_env, checking_env),
    FuzzTarget("persona", generate_persona, checking_persona),
    FuzzTarget("knowledge", generate_passage, checking_passage),
    FuzzTarget("gguf-header", generate_gguf, checking_gguf),
    FuzzTarget("backup", generate_backup, checking_backup),
)
