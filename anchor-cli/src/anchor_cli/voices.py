"""`anchor voice`: adds, lists, hears and removes voices of the running mesh."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text
from service_kit.errors import AnchorError, InvalidRequest

from anchor_cli.client.rest_client import open_rest_client, request_bytes, request_model
from anchor_cli.console import load_settings_or_exit, print_failure
from anchor_cli.settings import MeshSettings

_VOICES, _SPEECH = "/v1/audio/voices", "/v1/audio/speech"
# What the server takes as a recording, in bytes.
_MAX_FILE_BYTES = 16 * 1024 * 1024
_ADD_HINT = "add one with `anchor voice add FILE --name NAME --consent STATEMENT`"


voice_app = typer.Typer(help="Add, list, hear and remove voices of the running mesh.", no_args_is_help=True)


class Consent(BaseModel):
    """Who consented to a cloned voice."""

    name: str


class VoiceEntry(BaseModel):
    """A voice of the mesh."""

    id: str
    name: str
    languages: list[str]
    engine: str
    cloned: bool
    consent: Consent | None = None
    # Of a voice that was just added.
    transcript: str = ""


class CloningSupport(BaseModel):
    """Whether a voice can be added, and why not."""

    available: bool
    languages: list[str]
    reason: str


class VoiceList(BaseModel):
    """Body of `GET /v1/audio/voices`."""

    data: list[VoiceEntry]
    cloning: CloningSupport


@voice_app.command("add")
def add_command(
    file: Annotated[Path, typer.Argument(help="Recording of one person, 2 to 15 s: WAV, MP3, FLAC, OGG, WebM or M4A.")],
    name: Annotated[str, typer.Option(help="Name of the voice.")],
    consent: Annotated[
        str, typer.Option(help="The person's statement of consent, or a file with its recording or its text.")
    ],
    consent_name: Annotated[str, typer.Option(help="Name of the person; the voice's name by default.")] = "",
    language: Annotated[str, typer.Option(help="Language of the recording, such as de; recognised by default.")] = "",
    transcript: Annotated[str, typer.Option(help="The words of the recording; transcribed by default.")] = "",
) -> None:
    """Clone a voice from a recording, with the consent of the person that it belongs to."""
    console = Console()

    async def add(http: httpx.AsyncClient) -> None:
        files: dict[str, Any] = {"audio_sample": (file.name, _read_file(file))}
        fields = {"name": name, "consent_name": consent_name, "language": language, "transcript": transcript}
        statement = _read_consent(consent)
        if isinstance(statement, bytes):
            files["consent"] = ("consent", statement)
        else:
            fields["consent"] = statement
        voice = await request_model(http, VoiceEntry, "POST", _VOICES, data=fields, files=files)
        console.print(Text.assemble(("added     ", "dim"), voice.id, ("  ", ""), ", ".join(voice.languages)))
        if not transcript:
            console.print(Text.assemble(("heard     ", "dim"), voice.transcript))
            console.print("If these are not the words of the recording, remove the voice and add it with --transcript.")
        console.print(Text.assemble(("try it    ", "dim"), f'anchor voice say {voice.id} "Good evening." -o hello.wav'))

    _run(console, add)


@voice_app.command("list")
def list_command() -> None:
    """List the voices, and say whether one can be added."""
    console = Console()

    async def show(http: httpx.AsyncClient) -> None:
        listed = await request_model(http, VoiceList, "GET", _VOICES)
        table = Table("voice", "name", "languages", "engine", "", box=None, header_style="dim")
        for voice in listed.data:
            owner = "" if voice.consent is None else f", with the consent of {voice.consent.name}"
            note = f"added{owner}" if voice.cloned else ""
            table.add_row(voice.id, voice.name, " ".join(voice.languages), voice.engine, note)
        console.print(table)
        if not listed.cloning.available:
            console.print(Text(f"No voice can be added: {listed.cloning.reason}"))
        elif not any(voice.cloned for voice in listed.data):
            console.print(Text(f"No voice was added; {_ADD_HINT}"))

    _run(console, show)


@voice_app.command("say")
def say_command(
    voice: Annotated[str, typer.Argument(help="Id of the voice, as `anchor voice list` shows it.")],
    text: Annotated[str, typer.Argument(help="The text to speak.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="WAV file for the speech.")] = Path("speech.wav"),
) -> None:
    """Speak a text in a voice, and write it to a file."""
    console = Console()

    async def say(http: httpx.AsyncClient) -> None:
        speech = await request_bytes(http, "POST", _SPEECH, json={"input": text, "voice": voice})
        _write_file(output, speech)
        console.print(Text.assemble(("written   ", "dim"), str(output)))

    _run(console, say)


@voice_app.command("remove")
def remove_command(voice: Annotated[str, typer.Argument(help="Id of an added voice.")]) -> None:
    """Remove an added voice, with its consent and everything that was learned from its recording."""
    console = Console()

    async def remove(http: httpx.AsyncClient) -> None:
        await request_bytes(http, "DELETE", f"{_VOICES}/{quote(voice, safe='')}")
        console.print(Text.assemble(("removed   ", "dim"), voice))

    _run(console, remove)


def _run(console: Console, work: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    settings = load_settings_or_exit(console)
    try:
        asyncio.run(_with_client(settings, work))
    except AnchorError as error:
        print_failure(console, error.code, error.message)
        raise typer.Exit(1) from error


async def _with_client(settings: MeshSettings, work: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    async with open_rest_client(settings) as http:
        await work(http)


def _read_file(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise InvalidRequest("voice.file_too_large", f"{path} is larger than {_MAX_FILE_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest("voice.unreadable", f"cannot read {path}: {error.strerror}") from error


def _read_consent(consent: str) -> str | bytes:
    """The statement, or the recording, that `--consent` names: as it is, or the content of a file of that name."""
    try:
        is_file = Path(consent).is_file()
    except OSError:
        # A statement that is too long for a file name.
        is_file = False
    if not is_file:
        return consent
    content = _read_file(Path(consent))
    try:
        return content.decode("utf-8") if b"\0" not in content else content
    except UnicodeDecodeError:
        return content


def _write_file(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InvalidRequest("voice.unwritable", f"cannot write {path}: {error.strerror}") from error
