"""The request streams of the services behind the orchestrator, through their real servicers, as multiplexed calls."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from anchor.multiplex.v1 import multiplex_pb2
from anchor.stt.v1 import stt_pb2
from anchor.tts.v1 import tts_pb2, tts_pb2_grpc
from anchor.vad.v1 import vad_pb2
from choices import Choices
from frames import BinaryFrame, to_case, to_frames
from google.protobuf.message import DecodeError, Message
from mutations import fill_message, mutate, mutated_seed
from oracle import Violation, check_error, nothing_logged_as_error, stated_errors
from service_kit.audio import SPEECH, to_wav
from service_kit.engines.info import EngineInfo
from service_kit.engines.worker import EngineWorker
from service_kit.errors import InvalidRequest
from service_kit.health import Health, Status
from service_kit.rpc.multiplex.server import MethodTable, MultiplexServicer
from service_kit.rpc.server import CallInterceptor
from service_kit.testing.virtual_clock import VirtualLoop
from stt_service.engines.scripted import ScriptedEngine as ScriptedStt
from stt_service.servicer import SpeechToTextServicer
from stt_service.settings import SttSettings
from target import Check, FuzzTarget, running_loop
from tts_service.engines.scripted import scripted_engine as scripted_tts
from tts_service.servicer import TtsServicer
from tts_service.settings import TtsSettings
from tts_service.voices.reference_audio import decode_reference
from vad_service.engines.energy import EnergyVad
from vad_service.servicer import TurnDetectionServicer
from vad_service.settings import VadSettings
from vad_service.speech.batching import FrameBatcher
from vad_service.speech.detection import TurnDetector
from vad_service.turn_end.predictor import PausePredictor

SCRIPT = """
[stt]
transcripts = ["hello there"]
final_delay_ms = 20
[tts]
first_audio_delay_ms = 5
real_time_factor = 0.0
ms_per_character = 2
voices = "{voices}"
"""
CALL_WITHIN_S = 60.0
# Half of a second of a tone.
TONE = (np.sin(np.arange(12_000) / 5) * 9_000).astype("<i2").tobytes()

Add = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class RequestStream:
    """A bidirectional method: its requests, a call that must succeed, and what serves it."""

    method: str
    request: type[Message]
    well_formed: tuple[Message, ...]
    # Yields what registers the servicer.
    serving: Callable[[], AbstractAsyncContextManager[Add]]
    # Whether engine threads do part of the work, for which a virtual clock does not wait.
    has_threads: bool = False


class _Exchange:
    """One multiplexed stream in memory: the frames of the client go in, those of the server are recorded."""

    def __init__(self) -> None:
        self._requests: asyncio.Queue[multiplex_pb2.MultiplexRequest | None] = asyncio.Queue()
        self._ends: dict[int, asyncio.Future[multiplex_pb2.End]] = {}

    def send(self, *frames: multiplex_pb2.ClientFrame) -> None:
        self._requests.put_nowait(multiplex_pb2.MultiplexRequest(frames=frames))

    def send_request(self, request: multiplex_pb2.MultiplexRequest) -> None:
        self._requests.put_nowait(request)

    def close(self) -> None:
        self._requests.put_nowait(None)

    async def requests(self) -> AsyncIterator[multiplex_pb2.MultiplexRequest]:
        while (request := await self._requests.get()) is not None:
            yield request

    # The context of the servicer.

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    async def write(self, response: multiplex_pb2.MultiplexResponse) -> None:
        # What a server cannot serialise fails here as on the wire.
        for frame in multiplex_pb2.MultiplexResponse.FromString(response.SerializeToString()).frames:
            if frame.WhichOneof("frame") == "message":
                # Read at once: the window stays open.
                size = len(frame.message)
                self.send(multiplex_pb2.ClientFrame(call_id=frame.call_id, credit_bytes=size))
            elif frame.WhichOneof("frame") == "end":
                self._end_of(frame.call_id).set_result(frame.end)

    def _end_of(self, call_id: int) -> asyncio.Future[multiplex_pb2.End]:
        return self._ends.setdefault(call_id, asyncio.get_running_loop().create_future())

    async def wait_end(self, call_id: int) -> multiplex_pb2.End:
        """Wait for the end of a call, and check the error that it reports."""
        try:
            async with asyncio.timeout(CALL_WITHIN_S):
                end = await self._end_of(call_id)
        except TimeoutError as error:
            raise Violation(f"call {call_id} did not end within {CALL_WITHIN_S:g} s") from error
        if end.status:
            check_error(end.error_code, end.message)
        return end

    async def call(self, call_id: int, method: str, messages: Iterable[bytes]) -> multiplex_pb2.End:
        """Make one call and return its end."""
        frame = multiplex_pb2.ClientFrame
        self.send(frame(call_id=call_id, open=multiplex_pb2.Open(method=method)))
        for message in messages:
            self.send(frame(call_id=call_id, message=message))
            await asyncio.sleep(0)
        self.send(frame(call_id=call_id, half_close=multiplex_pb2.HalfClose()))
        return await self.wait_end(call_id)


def new_multiplex_servicer(add: Add) -> MultiplexServicer:
    """Return the servicer of multiplexed streams that serves what `add` registers, as a service builds it."""
    table = MethodTable()
    add(table)
    health = Health("fuzz", EngineInfo("fuzz", "none", "0"))
    health.move_to(Status.READY)
    return MultiplexServicer(table.methods, CallInterceptor(health).wrap_handler)


async def check_stream(add: Add, stream: RequestStream, messages: Sequence[bytes]) -> None:
    """Make a call with `messages`, then a well-formed one on the same stream, which must succeed."""
    exchange = _Exchange()
    context: Any = exchange
    serving = asyncio.create_task(new_multiplex_servicer(add).Multiplex(exchange.requests(), context))
    try:
        await exchange.call(1, stream.method, messages)
        end = await exchange.call(2, stream.method, [each.SerializeToString() for each in stream.well_formed])
        if end.status:
            raise Violation(f"the next call failed: {end.error_code}: {end.message}")
    finally:
        exchange.close()
        await serving


# ---------------------------------------------------------------------------------------------------------------
# The services


@asynccontextmanager
async def serving_stt() -> AsyncGenerator[Add]:
    """Speech to text on the scripted engine."""
    with _script() as script:
        settings = SttSettings(script=script)
        engine = ScriptedStt(settings)
        async with engine.lifespan():
            yield SpeechToTextServicer(engine, 4, settings.max_segment_s * 1000).add_to


@asynccontextmanager
async def serving_tts() -> AsyncGenerator[Add]:
    """Text to speech on the scripted engine."""
    async with _tts_servicer() as servicer:
        yield lambda server: tts_pb2_grpc.add_TextToSpeechServiceServicer_to_server(servicer, server)


@asynccontextmanager
async def _tts_servicer() -> AsyncGenerator[TtsServicer]:
    with _script() as script:
        engine = scripted_tts(TtsSettings(script=script))
        async with engine.lifespan():
            yield TtsServicer(engine, 4)


@asynccontextmanager
async def serving_vad() -> AsyncGenerator[Add]:
    """Turn detection by energy and pauses, which need no model files."""
    settings = VadSettings()
    model, worker = EnergyVad(settings), EngineWorker("turn-end", settings.max_waiting_predictions)
    batcher = FrameBatcher(model, settings.max_batch, settings.batch_wait_ms)
    detector = TurnDetector(model, batcher, PausePredictor(settings), worker, settings.edge_thresholds, 4)
    try:
        yield TurnDetectionServicer(detector).add_to
    finally:
        worker.close()


@contextmanager
def _script() -> Generator[Path]:
    with TemporaryDirectory(prefix="anchor-fuzz-") as name:
        script = Path(name) / "script.toml"
        script.write_text(SCRIPT.format(voices=Path(name) / "voices"), "utf-8")
        (Path(name) / "voices").mkdir()
        yield script


STT = RequestStream(
    "/anchor.stt.v1.SpeechToTextService/Transcribe",
    stt_pb2.TranscribeRequest,
    (
        stt_pb2.TranscribeRequest(config={"language": "en", "sample_rate_hz": 16_000, "working_interval_ms": 500}),
        stt_pb2.TranscribeRequest(audio={"start_ms": 0, "pcm": TONE[:6_400]}),
        stt_pb2.TranscribeRequest(flush={"segment_id": 1}),
        stt_pb2.TranscribeRequest(commit={"segment_id": 1}),
    ),
    serving_stt,
)
TTS = RequestStream(
    "/anchor.tts.v1.TextToSpeechService/Synthesize",
    tts_pb2.SynthesizeRequest,
    (
        tts_pb2.SynthesizeRequest(config={"language": "en"}),
        tts_pb2.SynthesizeRequest(text={"text": "Hello there."}),
        tts_pb2.SynthesizeRequest(end_of_text={}),
    ),
    serving_tts,
)
VAD = RequestStream(
    "/anchor.vad.v1.TurnDetectionService/Detect",
    vad_pb2.DetectRequest,
    (
        vad_pb2.DetectRequest(config={"language": "en", "sample_rate_hz": 16_000, "activity_interval_ms": 100}),
        vad_pb2.DetectRequest(audio={"start_ms": 0, "pcm": TONE[:6_400]}),
        vad_pb2.DetectRequest(partial_transcript={"text": "hello", "end_ms": 100, "language": "en"}),
    ),
    serving_vad,
    has_threads=True,
)


def requests_generator(stream: RequestStream) -> Callable[[Choices, Sequence[bytes]], bytes]:
    """Return the generator of a method's requests: mostly a good config, then anything."""

    def generate(choices: Choices, seeds: Sequence[bytes]) -> bytes:
        if choices.chance(4):
            return mutated_seed(choices, seeds)
        frames = [] if choices.chance(8) else [BinaryFrame(stream.well_formed[0].SerializeToString())]
        for _ in range(1 + choices.below(8)):
            request = stream.request()
            if choices.chance(3):
                request.CopyFrom(choices.one_of(stream.well_formed))
            else:
                fill_message(choices, request)
            data = request.SerializeToString()
            frames.append(BinaryFrame(mutate(choices, data) if choices.chance(6) else data))
        return to_case(frames)

    return generate


def stream_checker(stream: RequestStream) -> Callable[[], Any]:
    """Return the check of a method: it refuses with a stated error, and serves the next call on the stream."""

    @contextmanager
    def checking() -> Generator[Check]:
        with running_loop(None if stream.has_threads else VirtualLoop) as run_on_loop:
            stack = AsyncExitStack()
            add = run_on_loop(stack.enter_async_context(stream.serving()))

            def check(case: bytes) -> None:
                messages = [each.data for each in to_frames(case, stream.request) if isinstance(each, BinaryFrame)]
                with nothing_logged_as_error():
                    run_on_loop(check_stream(add, stream, messages))

            try:
                yield check
            finally:
                run_on_loop(stack.aclose())

    return checking


# ---------------------------------------------------------------------------------------------------------------
# The multiplexed stream itself


def generate_multiplexed(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return the frames of one multiplexed stream, for calls of speech to text and of no method."""
    if choices.chance(4):
        return mutated_seed(choices, seeds)
    frames: list[BinaryFrame] = []
    for number in range(1 + choices.below(6)):
        request = multiplex_pb2.MultiplexRequest()
        fill_message(choices, request)
        if choices.chance(2):
            opening = multiplex_pb2.Open(method=choices.one_of((STT.method, "", "/x")), metadata={"session-id": "s"})
            request.frames.add(call_id=number + 1, open=opening)
            for each in STT.well_formed[: choices.below(5)]:
                request.frames.add(call_id=number + 1, message=each.SerializeToString())
        data = request.SerializeToString()
        frames.append(BinaryFrame(mutate(choices, data) if choices.chance(6) else data))
    return to_case(frames)


@contextmanager
def checking_multiplexed() -> Generator[Check]:
    """Check that a stream takes its frames, or ends with a stated error, and that another stream then works."""

    async def run(add: Add, requests: Sequence[multiplex_pb2.MultiplexRequest]) -> None:
        exchange = _Exchange()
        context: Any = exchange
        with stated_errors(InvalidRequest):
            for request in requests:
                exchange.send_request(request)
            exchange.close()
            async with asyncio.timeout(CALL_WITHIN_S):
                await new_multiplex_servicer(add).Multiplex(exchange.requests(), context)
        await check_stream(add, STT, ())

    with running_loop(VirtualLoop) as run_on_loop:
        stack = AsyncExitStack()
        add = run_on_loop(stack.enter_async_context(serving_stt()))

        def check(case: bytes) -> None:
            requests: list[multiplex_pb2.MultiplexRequest] = []
            for frame in to_frames(case, multiplex_pb2.MultiplexRequest):
                try:
                    assert isinstance(frame, BinaryFrame)
                    requests.append(multiplex_pb2.MultiplexRequest.FromString(frame.data))
                except (DecodeError, AssertionError):
                    # gRPC reads these messages, not the servicer.
                    continue
            with nothing_logged_as_error():
                run_on_loop(run(add, requests))

        try:
            yield check
        finally:
            run_on_loop(stack.aclose())


# ---------------------------------------------------------------------------------------------------------------
# Voices


def generate_voice(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return a request to add a voice."""
    if choices.chance(4):
        return mutated_seed(choices, seeds)
    request = tts_pb2.AddVoiceRequest(
        name="Ana",
        language="en",
        reference_transcript="good evening",
        reference_wav=to_wav(TONE * 5, SPEECH),
        consent={"id": "cons_0123456789abcdef", "name": "Ana", "given_unix_s": 1, "statement": "I consent to this."},
    )
    match choices.below(3):
        case 0:
            request.reference_wav = damaged_wav(choices)
        case 1:
            fill_message(choices, request)
        case _:
            fill_message(choices, request.consent)
    data = request.SerializeToString()
    return mutate(choices, data) if choices.chance(4) else data


@contextmanager
def checking_voice() -> Generator[Check]:
    """Check that a voice is added, or refused with a stated error."""

    async def run(servicer: TtsServicer, request: tts_pb2.AddVoiceRequest) -> None:
        with stated_errors(InvalidRequest):
            added = await servicer.AddVoice(request, None)
            added.SerializeToString()
            await servicer.DeleteVoice(tts_pb2.DeleteVoiceRequest(voice_id=added.voice.id), None)

    with running_loop() as run_on_loop:
        stack = AsyncExitStack()
        servicer = run_on_loop(stack.enter_async_context(_tts_servicer()))

        def check(case: bytes) -> None:
            try:
                request = tts_pb2.AddVoiceRequest.FromString(case)
            except DecodeError:
                return
            with nothing_logged_as_error():
                run_on_loop(run(servicer, request))

        try:
            yield check
        finally:
            run_on_loop(stack.aclose())


def damaged_wav(choices: Choices) -> bytes:
    """Return a WAV file with a changed header, mostly."""
    rate_hz = choices.one_of((24_000, 16_000, 48_000, 8_000, 1, 0, 2**32 - 1, 2**31))
    channels, bits = choices.one_of((1, 2, 0, 3, 65_535)), choices.one_of((16, 8, 24, 0, 32))
    encoding = choices.one_of((1, 3, 0xFFFE, 0, 85))
    layout = struct.pack("<HHIIHH", encoding, channels, rate_hz, rate_hz * 2 % 2**32, 2, bits)
    chunks = [b"fmt " + struct.pack("<I", choices.one_of((16, 18, 0, 2**32 - 1))) + layout]
    if choices.chance(3):
        chunks.insert(choices.below(2), b"LIST" + struct.pack("<I", choices.one_of((3, 4, 2**31))) + b"INFO")
    pcm = TONE * choices.one_of((0, 1, 5))
    size = choices.one_of((len(pcm), 0, 1, 2**32 - 1, len(pcm) + 1))
    wav = b"RIFF" + struct.pack("<I", 36 + len(pcm)) + b"WAVE" + b"".join(chunks)
    wav += b"data" + struct.pack("<I", size) + pcm
    return mutate(choices, wav) if choices.chance(3) else wav


def generate_reference(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return a recording of a voice."""
    return mutated_seed(choices, seeds) if choices.chance(3) else damaged_wav(choices)


@contextmanager
def checking_reference() -> Generator[Check]:
    """Check that a recording is refused with advice, or gives samples of a stated length."""

    def check(case: bytes) -> None:
        with stated_errors(InvalidRequest):
            samples = decode_reference(case, SPEECH.rate_hz)
            assert 2 * SPEECH.rate_hz * 0.99 <= len(samples) <= 15 * SPEECH.rate_hz * 1.01
            assert np.isfinite(samples).all()

    yield check


TARGETS = (
    FuzzTarget("stt-stream", requests_generator(STT), stream_checker(STT)),
    FuzzTarget("tts-stream", requests_generator(TTS), stream_checker(TTS)),
    FuzzTarget("vad-stream", requests_generator(VAD), stream_checker(VAD)),
    FuzzTarget("multiplex-frames", generate_multiplexed, checking_multiplexed),
    FuzzTarget("tts-voice", generate_voice, checking_voice),
    FuzzTarget("reference-wav", generate_reference, checking_reference),
)
