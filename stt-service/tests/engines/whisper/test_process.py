"""Transcription processes with the real models: their clips, their death, and models that cannot be loaded."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from service_kit.engines.worker_frames import WorkerFrame
from service_kit.errors import EngineFailed
from stt_service.engines.whisper.decoding import ClipOptions
from stt_service.engines.whisper.frames import ClipFrameKind, transcript_payload
from stt_service.engines.whisper.process import STALL_S, TranscriptionProcess
from stt_service.engines.whisper.worker_spec import WorkerSpec
from stt_service.retranscribing.recogniser import ClipTranscript

QUESTION = "What is the latest on the ferry?"
ENGLISH = ClipOptions("en")


@pytest.fixture
def small(real_models: Path) -> WorkerSpec:
    return WorkerSpec("whisper", str(real_models / "whisper-tiny.en"), clips=2)


async def test_clips_at_one_time_are_all_transcribed(small: WorkerSpec, ferry: bytes) -> None:
    process = TranscriptionProcess("whisper", small)
    async with process.running(), asyncio.TaskGroup() as tasks:
        assert process.languages == ("en",)
        clips = [tasks.create_task(process.transcribe(ferry, ENGLISH)) for _ in range(3)]
    assert [clip.result().text for clip in clips] == [QUESTION] * 3


async def test_a_cancelled_clip_does_not_disturb_the_next(small: WorkerSpec, ferry: bytes) -> None:
    process = TranscriptionProcess("whisper", small)
    async with process.running():
        first = asyncio.create_task(process.transcribe(ferry, ENGLISH))
        await asyncio.sleep(0)
        first.cancel()
        assert (await process.transcribe(ferry, ENGLISH)).text == QUESTION
        assert first.cancelled()


async def test_a_process_that_dies_fails_its_clip_and_is_replaced(small: WorkerSpec, ferry: bytes) -> None:
    process = TranscriptionProcess("whisper", small)
    async with process.running():
        died = process.pid
        assert died is not None
        os.kill(died, signal.SIGSTOP)
        clip = asyncio.create_task(process.transcribe(ferry, ENGLISH))
        await asyncio.sleep(0)
        os.kill(died, signal.SIGKILL)
        with pytest.raises(EngineFailed, match="is gone"):
            await clip
        assert (await process.transcribe(ferry, ENGLISH)).text == QUESTION
        assert process.pid != died


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the processor time of another process")
async def test_a_process_that_does_nothing_is_replaced_soon(small: WorkerSpec, ferry: bytes) -> None:
    process = TranscriptionProcess("whisper", small)
    async with process.running():
        hung = process.pid
        assert hung is not None
        os.kill(hung, signal.SIGSTOP)
        begun_s = time.monotonic()
        with pytest.raises(EngineFailed, match="is gone"):
            await process.transcribe(ferry, ENGLISH)
        # Far below the limit of 45 s in real time, on a busy machine too.
        assert STALL_S <= time.monotonic() - begun_s < 30
        async with asyncio.timeout(60):
            while process.pid in (None, hung):
                await asyncio.sleep(0.05)
            await process._process.wait_ready()
        assert (await process.transcribe(ferry, ENGLISH)).text == QUESTION


@pytest.mark.parametrize("kind", ["whisper", "moonshine"])
async def test_a_damaged_model_fails_with_its_reason(kind: str, real_models: Path, tmp_path: Path) -> None:
    source = real_models / ("whisper-tiny.en" if kind == "whisper" else "moonshine-tiny-en")
    for file in source.iterdir():
        # Half of the weights; the other files are whole.
        content = file.read_bytes()
        (tmp_path / file.name).write_bytes(content[: len(content) // 2] if len(content) > 5e6 else content)
    process = TranscriptionProcess(kind, WorkerSpec(kind, str(tmp_path)))
    with pytest.raises(EngineFailed, match=f"cannot load {kind} from {tmp_path}: "):
        async with process.running():
            pytest.fail("it was loaded")


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (ClipFrameKind.READY, b""),
        (ClipFrameKind.CLIP, b""),
        (99, b""),
        (ClipFrameKind.TRANSCRIPT, b"{}"),
        (ClipFrameKind.TRANSCRIPT, b"\xff"),
    ],
)
def test_a_malformed_frame_is_refused(kind: int, payload: bytes) -> None:
    process = TranscriptionProcess("whisper", WorkerSpec("whisper", ""))
    with pytest.raises(EngineFailed):
        process.on_frame(WorkerFrame(kind, 1, payload))


@pytest.mark.parametrize(("kind", "payload"), [(ClipFrameKind.READY, b"{}"), (ClipFrameKind.TRANSCRIPT, b"")])
def test_a_wrong_first_frame_is_refused(kind: int, payload: bytes) -> None:
    process = TranscriptionProcess("whisper", WorkerSpec("whisper", ""))
    with pytest.raises(EngineFailed, match="the whisper process"):
        process.on_handshake(WorkerFrame(kind, 0, payload))


def test_an_answer_to_a_cancelled_clip_is_ignored() -> None:
    process = TranscriptionProcess("whisper", WorkerSpec("whisper", ""))
    assert process.on_frame(WorkerFrame(ClipFrameKind.TRANSCRIPT, 7, transcript_payload(ClipTranscript("late"))))
    assert process.on_frame(WorkerFrame(ClipFrameKind.FAILED, 7, b"late"))


async def test_cancelled_clip_is_known_until_the_process_is_done_with_it(small: WorkerSpec, ferry: bytes) -> None:
    process = TranscriptionProcess("whisper", small)
    async with process.running():
        clip = asyncio.create_task(process.transcribe(ferry, ENGLISH))
        await asyncio.sleep(0)
        clip.cancel()
        await asyncio.wait([clip])
        assert process.has_cancelled_clips
        async with asyncio.timeout(60):
            while process.has_cancelled_clips:
                await asyncio.sleep(0.02)
