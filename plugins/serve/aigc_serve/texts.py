"""``POST /v1/completions`` and ``POST /v1/chat/completions``."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import Field
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from aigc_core.api import Request
from aigc_core.api.text_stream import TextPiece
from aigc_core.interfaces import ConfigModel
from aigc_serve.asking import checked, conditions_of, new_seed
from aigc_serve.drawing import Extras
from aigc_serve.errors import ApiError, json_response
from aigc_serve.service import Answer, EventStream, Service

MAX_STOPS = 4
DEFAULT_TOKENS = 16
"""Tokens of a completion if it is not said how many; a chat's are as many as a sample has."""
JOINED = (
    "This model continues text. The contents of the messages were joined with line breaks, and "
    "their roles were ignored."
)


class StreamOptions(ConfigModel):
    """Options of a stream."""

    include_usage: bool = False
    """Send the numbers of tokens before the end."""
    include_obfuscation: Literal[False] | None = None


class TextRequest(Extras):
    """What clients may send to both; other fields of theirs are refused."""

    model: str | None = None
    """Name of the model; not needed if there is one only."""
    n: int | None = Field(default=None, ge=1)
    """Texts for each prompt; 1 if it is not said."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of a text."""
    stop: str | list[str] | None = None
    """Up to four texts; an answer ends before the first of them."""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0)
    """The control of that name; 0 for always the most probable token."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """The control of that name."""
    label: str | int | None = None
    """Name or number of a class."""
    presence_penalty: float | None = Field(default=None, ge=0, le=0)
    frequency_penalty: float | None = Field(default=None, ge=0, le=0)
    logit_bias: dict[str, float] | None = Field(default=None, max_length=0)
    user: str | None = None
    """Not used."""


class CompletionRequest(TextRequest):
    """A beginning to be continued."""

    prompt: str | list[str] = ""
    """One or several beginnings; empty for none."""
    echo: bool | None = None
    """Whether the answer begins with the prompt."""
    best_of: Literal[1] | None = None
    logprobs: Literal[0] | None = None
    suffix: Literal[""] | None = None


class Part(ConfigModel):
    """A part of a message."""

    type: Literal["text"]
    text: str


class Message(ConfigModel):
    """A message of a chat."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]
    name: str | None = None
    """Not used."""


class ChatRequest(TextRequest):
    """Messages, whose contents are joined and continued."""

    messages: list[Message] = Field(min_length=1, max_length=10_000)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of the answer."""
    logprobs: Literal[False] | None = None
    top_logprobs: Literal[0] | None = None
    response_format: dict[Literal["type"], Literal["text"]] | None = None
    modalities: list[Literal["text"]] | None = None
    tools: list[Any] | None = Field(default=None, max_length=0)
    store: Literal[False] | None = None
    service_tier: Literal["auto", "default"] | None = None
    metadata: dict[str, str] | None = None
    """Not used."""
    safety_identifier: str | None = None
    """Not used."""
    prompt_cache_key: str | None = None
    """Not used."""


@dataclass
class Texts:
    """Texts as they grow, by index."""

    texts: dict[int, list[str]] = field(default_factory=dict)
    ended: dict[int, str] = field(default_factory=dict)
    tokens: dict[int, int] = field(default_factory=dict)

    def add(self, piece: TextPiece) -> None:
        """Note a further piece."""
        self.texts.setdefault(piece.index, []).append(piece.text)
        self.tokens[piece.index] = piece.tokens
        if piece.ended:
            self.ended[piece.index] = piece.ended

    def text(self, index: int) -> str:
        """Return a text as a whole."""
        return "".join(self.texts[index])


async def completions(service: Service, request: HttpRequest) -> Response:
    """Continue texts."""
    body = await service.body(request, CompletionRequest)
    prompts = [body.prompt] if isinstance(body.prompt, str) else list(body.prompt)
    if not prompts:
        raise ApiError(400, "'prompt' is an empty list.", param="prompt")
    asked = _Asked(service, body, prompts, "prompt", "max_tokens", body.max_tokens)
    if body.max_tokens is None and "tokens" in asked.known_controls:
        asked.tokens = DEFAULT_TOKENS
    if body.echo and not asked.model.sampler.validator.continues_text:
        raise ApiError(400, f"{asked.model.name} continues no text.", param="echo")
    begun = prompts if body.echo else [""] * len(prompts)

    def choice(index: int, text: str, ended: str | None, first: bool) -> dict[str, Any]:
        text = begun[index // asked.count] + text if first else text
        return {"index": index, "text": text, "finish_reason": ended, "logprobs": None}

    head = {"id": f"cmpl-{secrets.token_hex(12)}", "object": "text_completion"}
    return await asked.answer(head, head, choice, choice)


async def chat(service: Service, request: HttpRequest) -> Response:
    """Continue the joined contents of messages."""
    body = await service.body(request, ChatRequest)
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        raise ApiError(400, "Give max_completion_tokens, without max_tokens.", param="max_tokens")
    contents = [
        message.content
        if isinstance(message.content, str)
        else "".join(part.text for part in message.content)
        for message in body.messages
    ]
    field = "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens"
    most = body.max_completion_tokens or body.max_tokens
    asked = _Asked(service, body, ["\n".join(contents)], "messages", field, most)

    def whole(index: int, text: str, ended: str | None, first: bool) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        return {"index": index, "message": message, "finish_reason": ended, "logprobs": None}

    def part(index: int, text: str, ended: str | None, first: bool) -> dict[str, Any]:
        delta = {"role": "assistant"} if first else {}
        if text or not ended:
            delta["content"] = text
        return {"index": index, "delta": delta, "finish_reason": ended, "logprobs": None}

    head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "aigc": {"note": JOINED}}
    return await asked.answer(
        {**head, "object": "chat.completion"},
        {**head, "object": "chat.completion.chunk"},
        whole,
        part,
    )


Choice = Callable[[int, str, str | None, bool], dict[str, Any]]
"""``(index, text, why it ended, whether it is the first piece) -> a choice of a reply``."""


class _Asked:
    """One request for texts, of either kind."""

    def __init__(
        self,
        service: Service,
        body: TextRequest,
        prompts: Sequence[str],
        prompt_field: str,
        tokens_field: str,
        tokens: int | None,
    ) -> None:
        self.service, self.body, self.prompts = service, body, prompts
        self.model = service.model(body.model)
        self.count = 1 if body.n is None else body.n
        self.seed = new_seed(body.seed)
        self.tokens = tokens
        self.params = {"count": "n", "prompt": prompt_field}
        if tokens is not None:
            self.params["tokens"] = tokens_field
        for name in ("temperature", "top_p"):
            if getattr(body, name) is not None:
                self.params[name] = name
        if self.model.codec is None:
            raise ApiError(
                400,
                f"{self.model.name} makes no text. /v1/models says what it makes.",
                param="model",
            )
        self.known_controls = self.model.sampler.generator.controls.model_fields
        stops = [body.stop] if isinstance(body.stop, str) else list(body.stop or ())
        if len(stops) > MAX_STOPS or not all(stops) or any(len(stop) > 1000 for stop in stops):
            raise ApiError(
                400,
                f"'stop' takes up to {MAX_STOPS} texts, none of them empty or longer than 1,000 "
                "characters.",
                param="stop",
            )
        self.stops = stops
        self.codec = self.model.codec

    def _controls(self) -> dict[str, Any]:
        body = self.body
        found = dict(body.controls)
        asked = {"temperature": body.temperature, "top_p": body.top_p, "tokens": self.tokens}
        for name, value in asked.items():
            if value is None:
                continue
            if name in found:
                raise ApiError(
                    400,
                    f"'{name}' is given twice, in 'controls' too.",
                    param=self.params.get(name, name),
                )
            if name not in self.known_controls:
                if name == "tokens" or value != 1:
                    raise ApiError(
                        400,
                        f"{self.model.name} has no control '{name}'.",
                        param=self.params.get(name, name),
                    )
            elif name == "temperature" and value == 0 and "top_k" in self.known_controls:
                found["top_k"] = 1
            else:
                found[name] = value
        return found

    async def answer(
        self, head: dict[str, Any], part_head: dict[str, Any], whole: Choice, part: Choice
    ) -> Response:
        """Return the reply, as a stream or as a whole."""
        service, model, body = self.service, self.model, self.body
        known = conditions_of(model)
        controls = self._controls()
        texts = [name for name, found in known.items() if found["kind"] == "text"]
        if any(self.prompts) and not texts:
            raise ApiError(400, f"{model.name} takes no text.", param=self.params["prompt"])
        if len(self.prompts) * self.count > service.pool.limits.max_count:
            most = service.pool.limits.max_count
            raise ApiError(400, f"A request may ask for {most:,} texts.", param="n", code="limit")

        def make(request: Request) -> Iterator[TextPiece]:
            works = []
            for prompt in self.prompts:
                given = prompt if prompt else None
                works.append(model.texts(replace(request, prompt=given), self.stops))
            return _one_after_another(works, self.count)

        asked = {
            "count": self.count,
            "seed": self.seed,
            "label": body.label,
            "controls": controls,
            "prompt": next(filter(None, self.prompts), None),
        }
        work = await checked(service, model, asked, body.inputs, self.params, make)
        common = {"created": int(time.time()), "model": model.name, "seed": self.seed}
        answer = service.ask(model, work)
        if body.stream:
            return EventStream(answer, self._events(answer, {**part_head, **common}, part))
        found = Texts()
        with answer:
            async for piece in answer.pieces():
                found.add(piece)
        choices = [
            whole(index, found.text(index), found.ended[index], True)
            for index in range(len(self.prompts) * self.count)
        ]
        usage = self._usage(found)
        return json_response({**head, **common, "choices": choices, "usage": usage})

    async def _events(
        self, answer: Answer, head: dict[str, Any], part: Choice
    ) -> AsyncIterator[dict[str, Any] | None]:
        options = self.body.stream_options
        with_usage = options is not None and options.include_usage
        found = Texts()
        async for piece in answer.pieces(self.service.heartbeat_s):
            if piece is None:
                yield None
                continue
            is_first = piece.index not in found.texts
            found.add(piece)
            if piece.text or piece.ended or is_first:
                choice = part(piece.index, piece.text, piece.ended, is_first)
                yield {**head, "choices": [choice], **({"usage": None} if with_usage else {})}
        usage = self._usage(found)
        if with_usage:
            yield {**head, "choices": [], "usage": usage}

    def _usage(self, found: Texts) -> dict[str, int]:
        """Count tokens, for the client and for the metrics."""
        given = sum(len(self.codec.encode(prompt)) for prompt in self.prompts if prompt)
        drawn = sum(found.tokens.values())
        self.service.metrics.drew(self.model.name, len(found.texts), drawn)
        return {
            "prompt_tokens": given,
            "completion_tokens": drawn,
            "total_tokens": given + drawn,
        }


def _one_after_another(works: Sequence[Iterator[TextPiece]], count: int) -> Iterator[TextPiece]:
    for number, work in enumerate(works):
        for piece in work:
            yield replace(piece, index=number * count + piece.index)
