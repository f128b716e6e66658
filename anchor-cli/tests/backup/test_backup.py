"""`anchor backup` and `anchor restore`: everything returns, a hostile archive changes nothing."""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
from pathlib import Path

import pytest
from anchor_cli.app import app
from anchor_cli.backup.archive import MANIFEST, read_archive
from anchor_cli.mesh.mesh import mesh_lock
from service_kit.errors import InvalidRequest
from typer.testing import CliRunner

MANIFEST_FIELDS = {"format": "anchor-backup", "version": 1, "created_unix_s": 1, "parts": ["personas"]}


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with content, a cloned voice, an index, and a store that is still empty."""
    folder = tmp_path / "project"
    for name, text in (
        ("content/personas/nora.toml", "name = 'Nora'"),
        ("content/knowledge/ferry.md", "The ferry leaves at nine."),
        ("models/knowledge-vectors.bin", "vectors"),
        ("voices/ada/voice.json", "{}"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    monkeypatch.setenv("ANCHOR_ROOT", str(folder))
    monkeypatch.setenv("ORCHESTRATOR_STORE", f"sqlite:///{folder}/data/conversations.db")
    monkeypatch.setenv("TTS_POCKET_VOICES", "voices")
    return folder


def anchor(*arguments: object, fails: str = "") -> str:
    """Run a command; returns its output. With `fails`, it must end with that code."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == (1 if fails else 0), result.output
    assert fails in result.output
    return result.output


def say(folder: Path, text: str) -> None:
    """Store a conversation with one message."""
    with sqlite3.connect(folder / "data/conversations.db") as database:
        for table in ("conversations", "turns", "messages"):
            database.execute(f"DELETE FROM {table}")  # noqa: S608
        database.execute(
            "INSERT INTO conversations VALUES ('key', 1, 1.0, 1.0, 'en', '', 'anchor', 1.0, '', 'en', '{}', NULL)"
        )
        database.execute("INSERT INTO turns VALUES ('key', 1, 's', 1.0, NULL, 1, '[]')")
        database.execute("INSERT INTO messages VALUES ('key', 1, 0, 'user', ?, 0)", (text,))
    database.close()


def said(folder: Path) -> list[str]:
    database = sqlite3.connect(folder / "data/conversations.db")
    found = [row[0] for row in database.execute("SELECT text FROM messages")]
    database.close()
    return found


def test_restored_installation_is_as_it_was_when_it_was_backed_up(installation, tmp_path):
    anchor("backup", tmp_path / "empty.tar.gz")
    say(installation, "remember this")
    file = tmp_path / "anchor.tar.gz"
    output = anchor("backup", file)
    for part in ("conversations.jsonl", "knowledge", "personas", "voices-pocket", "knowledge-vectors.bin"):
        assert part in output.replace("\n", " ")
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".", "anchor-"))] == []
    say(installation, "said later")
    (installation / "content/personas/nora.toml").write_text("name = 'Zoe'", "utf-8")
    (installation / "content/personas/zoe.toml").write_text("", "utf-8")
    (installation / "voices/ada/voice.json").unlink()
    (installation / "models/knowledge-vectors.bin").unlink()
    anchor("restore", file)
    assert said(installation) == ["remember this"]
    assert [path.name for path in (installation / "content/personas").iterdir()] == ["nora.toml"]
    assert (installation / "content/personas/nora.toml").read_text("utf-8") == "name = 'Nora'"
    assert (installation / "voices/ada/voice.json").read_text("utf-8") == "{}"
    assert (installation / "models/knowledge-vectors.bin").read_text("utf-8") == "vectors"
    # What was there is kept beside it.
    (aside,) = (installation / "content").glob("personas.before-*")
    assert (aside / "zoe.toml").exists()


def test_existing_file_is_not_overwritten(installation, tmp_path):
    file = tmp_path / "anchor.tar.gz"
    file.write_text("precious", "utf-8")
    anchor("backup", file, fails="backup.exists")
    assert file.read_text("utf-8") == "precious"


def test_running_mesh_is_not_restored_over(installation, tmp_path):
    file = tmp_path / "anchor.tar.gz"
    with mesh_lock(installation / "run"):
        anchor("backup", file)
        anchor("restore", file, fails="mesh.already_running")


def test_backup_without_a_store_has_the_rest(installation, tmp_path, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_STORE", "off")
    file = tmp_path / "anchor.tar.gz"
    assert "conversations" not in anchor("backup", file)
    anchor("restore", file)


def test_part_without_a_place_is_refused_before_anything_changes(installation, tmp_path, monkeypatch):
    file = tmp_path / "anchor.tar.gz"
    anchor("backup", file)
    (installation / "content/personas/nora.toml").write_text("changed", "utf-8")
    monkeypatch.delenv("TTS_POCKET_VOICES")
    anchor("restore", file, fails="backup.no_place")
    monkeypatch.setenv("TTS_POCKET_VOICES", "voices")
    monkeypatch.setenv("ORCHESTRATOR_STORE", "off")
    anchor("restore", file, fails="backup.no_place")
    assert (installation / "content/personas/nora.toml").read_text("utf-8") == "changed"


def test_database_that_does_not_open_is_reported(installation, tmp_path, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_STORE", f"sqlite:///{installation}/content/knowledge/ferry.md/x.db")
    anchor("backup", tmp_path / "anchor.tar.gz", fails="backup.store_failed")
    assert not (tmp_path / "anchor.tar.gz").exists()


def hostile(path: Path, *members: tarfile.TarInfo, manifest: object = MANIFEST_FIELDS) -> Path:
    """An archive with these members after its manifest."""
    with tarfile.open(path, "w:gz") as archive:
        text = json.dumps(manifest).encode()
        header = tarfile.TarInfo(MANIFEST)
        header.size = len(text)
        archive.addfile(header, io.BytesIO(text))
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    return path


def member(name: str, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


@pytest.mark.parametrize(
    "members",
    [
        [member("personas/../../escaped", size=3)],
        [member("/escaped", size=3)],
        [member("elsewhere/file", size=3)],
        [member("personas/link", type=tarfile.SYMTYPE, linkname="/etc")],
        [member("personas/hard", type=tarfile.LNKTYPE, linkname="personas")],
        [member("personas/pipe", type=tarfile.FIFOTYPE)],
        [member("personas/a", size=3), member("personas/a", size=3)],
        [],
    ],
    ids=lambda members: members[0].name if members else "missing part",
)
def test_archive_with_unexpected_members_is_refused(tmp_path, members):
    file = hostile(tmp_path / "hostile.tar.gz", *members)
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises((InvalidRequest, FileExistsError)):
        read_archive(file, target)
    assert not (tmp_path / "escaped").exists()
    assert not Path("/escaped").exists()


@pytest.mark.parametrize(
    "manifest",
    [
        [],
        {},
        {**MANIFEST_FIELDS, "version": 2},
        {**MANIFEST_FIELDS, "parts": "personas"},
        {**MANIFEST_FIELDS, "parts": [1]},
    ],
)
def test_archive_with_another_manifest_is_refused(tmp_path, manifest):
    with pytest.raises(InvalidRequest):
        read_archive(hostile(tmp_path / "other.tar.gz", manifest=manifest), tmp_path)


def test_damaged_archive_changes_nothing(installation, tmp_path):
    file = tmp_path / "anchor.tar.gz"
    anchor("backup", file)
    (installation / "content/personas/nora.toml").write_text("changed", "utf-8")
    whole = file.read_bytes()
    for damaged in (b"", b"no archive", whole[: len(whole) // 2], whole[:-30] + bytes(30)):
        file.write_bytes(damaged)
        anchor("restore", file, fails="backup.damaged")
    assert (installation / "content/personas/nora.toml").read_text("utf-8") == "changed"
