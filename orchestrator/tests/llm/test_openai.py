"""The model on servers with OpenAI's chat completions."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from orchestrator.conversation.model.ports import Persona, Prompt
from orchestrator.llm.openai import OpenAiModel, OpenAiSettings
from service_kit.errors import AnchorError
from service_kit.http.server import http_server

PROMPT = Prompt(text="What is new?", language="de", persona=Persona(id="n", name="N", instructions="You are Nadia."))


def event(**delta: object) -> str:
    return "data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}) + "\n\n"


@asynccontextmanager
async def serving(
    answer: Response | Iterable[str] | Callable[[Request], Awaitable[Response]],
) -> AsyncGenerator[tuple[OpenAiModel, list[Request]]]:
    """Yield a model whose server returns `answer`, and the server's received requests."""
    requests: list[Request] = []
    app = FastAPI()

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(request: Request) -> Response:
        await request.body()
        requests.append(request)
        if callable(answer) and not isinstance(answer, Response):
            return await answer(request)
        if isinstance(answer, Response):
            return answer
        return StreamingResponse(iter(answer), media_type="text/event-stream")

    @app.get("/v1/models", response_model=None)
    async def models() -> Response:
        return answer if isinstance(answer, Response) else JSONResponse({"data": [{"id": "m"}]})

    server = http_server(app, "127.0.0.1", 0)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    patient = {"connect_s": 30, "between_tokens_s": 60}
    own = {"url": f"http://127.0.0.1:{port}/v1", "api_key": "secret", "model": "m"}
    settings = OpenAiSettings.model_validate(own | patient)
    try:
        async with OpenAiModel(settings) as model:
            yield model, requests
    finally:
        server.should_exit = True
        await task


async def text_of(pieces: AsyncIterator[str]) -> str:
    return "".join([piece async for piece in pieces])


async def test_reply_streams_from_server_sent_events():
    usage = 'data: {"choices": [], "usage": {"total_tokens": 9}}\n\n'
    answer = [": ping\n\n", event(role="assistant"), event(content="Guten "), event(content="Abend."), usage]
    async with serving([*answer, "data: [DONE]\n\n"]) as (model, requests):
        assert [piece async for piece in model.reply(PROMPT)] == ["Guten ", "Abend."]
    body = await requests[0].json()
    assert requests[0].headers["authorization"] == "Bearer secret"
    assert body["model"] == "m"
    assert body["stream"] is True
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert model.model == "m"


async def test_prefill_sends_all_but_the_text_and_requests_one_token():
    answer = [event(content="Guten "), "data: [DONE]\n\n"]
    async with serving(answer) as (model, requests):
        await model.prefill(PROMPT)
        await text_of(model.reply(PROMPT))
    ahead, real = [await request.json() for request in requests]
    assert ahead.pop("max_tokens") == 1
    assert real.pop("max_tokens") == 400
    assert ahead.pop("messages") == real.pop("messages")[:-1]
    assert ahead == real


FINISHED = 'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'


@pytest.mark.parametrize(
    "rest",
    [
        # The last choice has no delta, or an empty one, or none at all.
        ['data: {"choices": [{"index": 0, "finish_reason": "stop"}]}\n\n', "data: [DONE]\n\n"],
        ['data: {"choices": [{"index": 0, "delta": null, "finish_reason": "stop"}]}\n\n', "data: [DONE]\n\n"],
        ['data: {"choices": null}\n\n', "data: [DONE]\n\n"],
        # A finish reason is the end, with or without `[DONE]` and the usage.
        [FINISHED],
        [FINISHED, 'data: {"choices": [], "usage": {}}\n\n'],
        ['data: {"choices": [{"index": 0, "finish_reason": "length"}]}\n\n'],
    ],
)
async def test_streams_a_little_off_end_like_others(rest: list[str]):
    odd = 'data: {"choices": [{"index": 0}]}\n\n'
    async with serving([event(content="Guten "), odd, event(content="Abend."), *rest]) as (model, _):
        assert await text_of(model.reply(PROMPT)) == "Guten Abend."


async def test_text_beside_a_finish_reason_counts():
    last = {"choices": [{"index": 0, "delta": {"content": "Abend."}, "finish_reason": "stop"}]}
    async with serving([event(content="Guten "), f"data: {json.dumps(last)}\n\n"]) as (model, _):
        assert await text_of(model.reply(PROMPT)) == "Guten Abend."


@asynccontextmanager
async def refusing(*names: str) -> AsyncGenerator[tuple[OpenAiModel, list[dict]]]:
    """Yield a model whose server refuses the parameters `names`, and the bodies of the requests."""
    bodies: list[dict] = []

    async def answer(request: Request) -> Response:
        body = await request.json()
        bodies.append(body)
        if refused := next((name for name in names if name in body), None):
            reason = f"Unsupported parameter: '{refused}' with this model. Use 'max_completion_tokens' instead."
            return JSONResponse({"error": {"message": reason}}, 400)
        reply = iter([event(content="Guten Abend."), "data: [DONE]\n\n"])
        return StreamingResponse(reply, media_type="text/event-stream")

    async with serving(answer) as (model, _):
        yield model, bodies


@pytest.mark.parametrize(
    ("refused", "requests", "sent"),
    [
        (("max_tokens",), 2, {"temperature", "max_completion_tokens"}),
        (("temperature",), 2, {"max_tokens"}),
        (("temperature", "max_tokens"), 3, {"max_completion_tokens"}),
        (("temperature", "max_tokens", "max_completion_tokens"), 4, set()),
    ],
)
async def test_a_refused_parameter_is_left_out_from_then_on(refused: tuple[str, ...], requests: int, sent: set[str]):
    async with refusing(*refused) as (model, bodies):
        assert await text_of(model.reply(PROMPT)) == "Guten Abend."
        assert len(bodies) == requests
        assert await text_of(model.reply(PROMPT)) == "Guten Abend."
        assert len(bodies) == requests + 1
    assert bodies[-1].keys() - {"model", "messages", "stream"} == sent


async def test_the_reason_of_a_refusal_does_not_repeat_the_key():
    async with serving(JSONResponse({"error": {"message": "wrong key: secret"}}, 401)) as (model, _):
        with pytest.raises(AnchorError, match="wrong key: …"):
            await text_of(model.reply(PROMPT))


async def test_a_refusal_of_something_else_is_not_repeated():
    async with refusing("model") as (model, bodies):
        with pytest.raises(AnchorError, match="'model'"):
            await text_of(model.reply(PROMPT))
    assert len(bodies) == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ([event(content="Guten ")], "llm.truncated"),
        (['data: {"error": {"message": "out of memory"}}\n\n'], "llm.failed"),
        (["data: {half\n\n"], "llm.garbled"),
        (['data: {"choices": ["odd"]}\n\n'], "llm.garbled"),
        (JSONResponse({"error": {"message": "no such model"}}, 404), "llm.model_missing"),
        (JSONResponse({"error": {"message": "slow down"}}, 429), "llm.busy"),
    ],
)
async def test_failed_response_has_an_error_code(answer: Response | list[str], code: str):
    async with serving(answer) as (model, _):
        with pytest.raises(AnchorError) as caught:
            await text_of(model.reply(PROMPT))
    assert caught.value.code == code


@pytest.mark.parametrize("answer", [[], JSONResponse({"detail": "Not Found"}, 404)])
async def test_probe_accepts_a_server_without_a_model_list(answer: Response | list[str]):
    async with serving(answer) as (model, _):
        await model.probe()
        assert model.describe() == {"model": "m"}


@pytest.mark.parametrize("answer", [JSONResponse({"error": "loading"}, 503), Response(status_code=500)])
async def test_probe_fails_for_a_server_error(answer: Response):
    async with serving(answer) as (model, _):
        with pytest.raises(AnchorError):
            await model.probe()
