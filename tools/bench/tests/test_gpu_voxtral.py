"""The benchmark's requests to vLLM, against a server that answers like vLLM."""

from __future__ import annotations

import io
import json
import threading
import wave
from collections.abc import Iterator
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from anchor_cli.plan.catalogue import read_catalogue
from gpu.voxtral import measure_finals, noise_wav, server_command, time_transcript, vllm_is_installed
from gpu.voxtral_model import shape, with_audio

PIECES = 7


class Transcriber(BaseHTTPRequestHandler):
    """Streams a transcript in pieces, then the usage, then the end."""

    forms: list[dict[str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        whole = BytesParser().parsebytes(b"Content-Type: " + self.headers["Content-Type"].encode() + b"\n\n" + body)
        parts = [part for part in whole.walk() if not part.is_multipart()]
        names = [str(part.get_param("name", header="content-disposition")) for part in parts]
        contents = [bytes(part.get_payload(decode=True)) for part in parts]
        self.forms.append(dict(zip(names, contents, strict=True)))
        self.send_response(200)
        self.end_headers()
        events = [{"choices": [{"delta": {"content": "a"}}]}] * PIECES
        for event in [*events, {"choices": [], "usage": {}}]:
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Log nothing."""


@pytest.fixture
def forms() -> list[dict[str, bytes]]:
    return []


@pytest.fixture
def url(forms: list[dict[str, bytes]]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnTranscriber", (Transcriber,), {"forms": forms}))
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    serving.join()
    server.server_close()


def test_a_final_is_timed_to_its_last_piece(url: str, forms: list[dict[str, bytes]]) -> None:
    took_ms, pieces = time_transcript(url, noise_wav(0.5))
    assert took_ms > 0
    assert pieces == PIECES
    (form,) = forms
    assert form["model"] == b"voxtral"
    assert form["max_completion_tokens"] == b"20"
    with wave.open(io.BytesIO(form["file"])) as clip:
        assert (clip.getframerate(), clip.getnchannels(), clip.getnframes()) == (16_000, 1, 8_000)


def test_clips_are_sent_one_and_four_at_a_time_after_a_warm_up(url: str, forms: list[dict[str, bytes]]) -> None:
    finals = measure_finals(url, rounds=2)
    assert [(row.clip_s, row.at_a_time, row.count) for row in finals] == [(1, 1, 2), (3, 1, 2), (6, 1, 2), (3, 4, 8)]
    assert len(forms) == 3 * (1 + 1 + 1 + 4)
    assert all(row.tokens == PIECES and 0 < row.p50_ms <= row.worst_ms for row in finals)


def test_the_model_has_the_shape_that_the_plan_counts() -> None:
    planned = read_catalogue().model("voxtral-3b").shape
    assert planned is not None
    written = shape()
    encoder = written["multimodal"]["whisper_model_args"]["encoder_args"]
    for stack, found in ((planned.decoder, written), (planned.encoder, encoder)):
        assert stack is not None
        assert (found["n_layers"], found["dim"], found["hidden_dim"]) == (
            stack.layers,
            stack.hidden,
            stack.feed_forward,
        )
        assert (found["n_heads"], found["n_kv_heads"]) == (stack.heads, stack.kv_heads)
        assert found["head_dim"] == stack.head_dim
        assert found["vocab_size"] == planned.vocabulary


def test_the_text_tokenizer_gets_the_audio_tokens_at_their_ranks() -> None:
    made = with_audio({"config": {"version": "v3", "pattern": "."}, "vocab": [], "image": {}})
    assert made["config"]["version"] == "v7"
    assert "image" not in made
    signs = [sign["token_str"] for sign in made["special_tokens"]]
    assert [signs.index(sign) for sign in ("[AUDIO]", "[BEGIN_AUDIO]", "[TRANSCRIBE]")] == [24, 25, 34]
    assert [sign["rank"] for sign in made["special_tokens"]] == list(range(35))
    assert len(set(signs)) == 35


def test_the_server_starts_with_dummy_weights_and_its_share() -> None:
    command = server_command(Path("voxtral"), 8123, 0.09)
    assert "--load-format=dummy" in command
    assert {"--port=8123", "--host=127.0.0.1"} <= set(command)
    assert "--gpu-memory-utilization=0.09" in command


def test_vllm_is_not_installed_here() -> None:
    assert vllm_is_installed() is False
