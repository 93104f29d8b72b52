"""The OpenAI client, as it is installed, against a real server."""

import base64
import io
import wave

import openai
import pytest

from aigc_core.api import Request, Sampler
from aigc_serve.testing import Running


@pytest.fixture
def client(quiet: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{quiet.url}/v1", api_key="none needed", timeout=120)


def test_models_say_what_they_can_do(client) -> None:
    listed = {model.id: model for model in client.models.list()}
    clips = client.models.retrieve("clips")
    assert clips == listed["clips"]
    assert clips.aigc["outputs"]["samples"]["media_types"]["mp4"] == "video/mp4"
    assert "one" in clips.aigc["conditions"]["label"]["classes"]
    assert "/v1/images/generations" in listed["gan"].aigc["endpoints"]
    assert "/v1/images/generations" not in clips.aigc["endpoints"]
    controls = listed["gpt"].aigc["controls"]
    assert controls["properties"]["temperature"]["minimum"] == 0.001
    assert set(listed["digits"].aigc["outputs"]) == {"samples", "sound", "text"}


def test_images(client, samplers: dict[str, Sampler]) -> None:
    made = client.images.generate(model="gan", prompt="", n=2, size="32x32", extra_body={"seed": 5})
    stored = samplers["gan"].samples(Request(count=2, seed=5))
    expected = [samplers["gan"].modality.encoded(one, "png") for one in stored]
    assert [base64.b64decode(one.b64_json) for one in made.data] == expected
    assert (made.seed, made.size, made.output_format) == (5, "32x32", "png")


def test_a_seed_that_was_not_given_is_said_and_gives_the_same_again(client) -> None:
    first = client.images.generate(model="gan", prompt="")
    again = client.images.generate(model="gan", prompt="", extra_body={"seed": first.seed})
    other = client.images.generate(model="gan", prompt="")
    assert first.data == again.data != other.data


def test_a_prompt_is_the_text_that_a_model_takes(client, samplers: dict[str, Sampler]) -> None:
    made = client.images.generate(
        model="digits", prompt="three", extra_body={"seed": 1, "controls": {"steps": 2}}
    )
    asked = Request(count=1, seed=1, prompt="three", controls={"steps": 2}, want=["samples"])
    [stored] = samplers["digits"].samples(asked)
    modality = samplers["digits"].modality
    assert base64.b64decode(made.data[0].b64_json) == modality.encoded(stored, "png")
    assert made.controls == {"steps": 2}


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"prompt": "a cat"}, "prompt", "takes neither a text nor a class"),
        ({"prompt": "", "size": "1024x1024"}, "size", "'32x32'"),
        ({"prompt": "", "n": 10**9}, "n", "is not valid"),
        ({"prompt": "", "n": 65}, "n", "64"),
        ({"prompt": "", "response_format": "url"}, "response_format", "b64_json"),
        ({"prompt": "", "output_format": "webp"}, "output_format", "png"),
        ({"prompt": "", "quality": "hd"}, "quality", "standard"),
        ({"prompt": "", "extra_body": {"controls": {"warmth": 1}}}, "controls.warmth", "one way"),
        ({"prompt": "", "extra_body": {"sede": 1}}, "sede", "Did you mean 'seed'?"),
        ({"prompt": "", "extra_body": {"seed": -1}}, "seed", "greater than or equal to 0"),
        ({"prompt": "", "extra_body": {"inputs": {"x": "y"}}}, "inputs.x", "no such condition"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name_and_not_tried_again(
    client, quiet: Running, fields, param, words
) -> None:
    with pytest.raises(openai.BadRequestError, match=words) as refused:
        client.images.generate(model="gan", **fields)
    assert refused.value.param == param
    assert refused.value.type == "invalid_request_error"
    assert refused.value.response.headers["x-should-retry"] == "false"


def test_an_unknown_model_is_not_found(client) -> None:
    with pytest.raises(openai.NotFoundError, match="Did you mean 'gan'") as missing:
        client.images.generate(model="gann", prompt="")
    assert (missing.value.param, missing.value.code) == ("model", "model_not_found")
    with pytest.raises(openai.BadRequestError, match="makes no image"):
        client.images.generate(model="gpt", prompt="")


@pytest.mark.parametrize(
    ("format", "media_type", "magic"),
    [("wav", "audio/wav", b"RIFF"), ("flac", "audio/flac", b"fLaC"), ("pcm", "audio/pcm", b"")],
)
def test_speech(client, samplers: dict[str, Sampler], format, media_type, magic) -> None:
    options = {"model": "sound", "input": "", "voice": "default", "extra_body": {"seed": 3}}
    made = client.audio.speech.create(**options, response_format=format)
    assert made.response.headers["content-type"].partition(";")[0] == media_type
    assert made.content.startswith(magic)
    [stored] = samplers["sound"].samples(Request(count=1, seed=3))
    if format == "pcm":
        assert made.content == stored.T.numpy().tobytes()
        assert "rate=" in made.response.headers["content-type"]
    else:
        assert made.content == samplers["sound"].modality.encoded(stored, format)
    if format == "wav":
        with wave.open(io.BytesIO(made.content)) as file:
            assert file.getnframes() == stored.shape[1]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "mp3"}, "response_format"),
        ({"speed": 2}, "speed"),
        ({"instructions": "softly"}, "instructions"),
        ({"input": "hello"}, "input"),
    ],
)
def test_speech_refuses_what_it_cannot_do(client, fields, param) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.speech.create(**{"model": "sound", "input": "", "voice": "default"} | fields)
    assert refused.value.param == param


def test_a_class_is_named_by_the_text_or_by_its_label_and_not_by_both(client, samplers) -> None:
    name = samplers["sound"].facts.label_names[2]
    asked = {"model": "sound", "voice": "default", "response_format": "wav"}

    def speech(text: str, **extra: object) -> bytes:
        return client.audio.speech.create(
            **asked, input=text, extra_body={"seed": 4, **extra}
        ).read()

    assert speech(name) == speech("", label=2) == speech("", label=name)
    assert speech(name) != speech("", label=3)
    with pytest.raises(openai.BadRequestError, match="given twice") as refused:
        speech(name, label=3)
    assert refused.value.param == "label"


OPTIONS = {"model": "gpt", "prompt": "ab", "max_tokens": 12, "seed": 3, "temperature": 0.9}


def text_of(sampler: Sampler, **request) -> str:
    pieces = sampler.stream_text(Request(**request))
    return "".join(pieces)


def test_completions_streamed_and_not_are_the_same_text(client, samplers) -> None:
    whole = client.completions.create(**OPTIONS, n=3)
    parts = client.completions.create(
        **OPTIONS, n=3, stream=True, stream_options={"include_usage": True}
    )
    texts, ends, usage = ["", "", ""], {}, None
    for chunk in parts:
        if not chunk.choices:
            usage = chunk.usage
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            if choice.finish_reason:
                ends[choice.index] = choice.finish_reason
    assert texts == [choice.text for choice in whole.choices]
    assert usage == whole.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (2, 36, 38)
    assert ends == dict.fromkeys(range(3), "length")
    asked = {"prompt": "ab", "seed": 3, "controls": {"tokens": 12, "temperature": 0.9}}
    assert texts[0] == text_of(samplers["gpt"], **asked)


def test_stops_end_a_text(client) -> None:
    plain = client.completions.create(**OPTIONS).choices[0].text
    stop = plain[5]
    for stream in (False, True):
        made = client.completions.create(**OPTIONS, stop=["§", stop], stream=stream)
        chunks = list(made) if stream else [made]
        text = "".join(choice.text for chunk in chunks for choice in chunk.choices)
        assert text == plain.partition(stop)[0]
        assert chunks[-1].choices[0].finish_reason == "stop"


def test_several_prompts_and_echo(client) -> None:
    fields = OPTIONS | {"prompt": ["ab", "ba"]}
    both = client.completions.create(**fields, n=2, echo=True)
    assert [choice.index for choice in both.choices] == [0, 1, 2, 3]
    for number, prompt in enumerate(fields["prompt"]):
        alone = client.completions.create(**OPTIONS | {"prompt": prompt}, n=2)
        for index, choice in enumerate(alone.choices):
            assert both.choices[2 * number + index].text == prompt + choice.text


def test_temperature_zero_is_the_most_probable_text(client, samplers) -> None:
    made = client.completions.create(**OPTIONS | {"temperature": 0})
    asked = {"prompt": "ab", "controls": {"tokens": 12, "top_k": 1}}
    assert made.choices[0].text == text_of(samplers["gpt"], **asked)


def test_text_that_is_not_drawn_piece_by_piece(client, samplers) -> None:
    made = client.completions.create(model="words", prompt="", n=2, seed=4)
    codec = samplers["words"].validator.codec()
    stored = samplers["words"].samples(Request(count=2, seed=4))
    assert [choice.text for choice in made.choices] == [codec.decode(one) for one in stored]
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(model="words", prompt="ab")
    assert refused.value.param == "prompt"
    filled = client.completions.create(model="gaps", prompt="ab__", seed=4)
    assert filled.choices[0].text.startswith("ab")


def test_chat_joins_the_messages_and_says_so(client, samplers) -> None:
    messages = [
        {"role": "system", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "b"}]},
    ]
    options = {"model": "gpt", "messages": messages, "max_completion_tokens": 8, "seed": 6}
    made = client.chat.completions.create(**options)
    asked = {"prompt": "a\nb", "seed": 6, "controls": {"tokens": 8}}
    text = text_of(samplers["gpt"], **asked)
    assert made.choices[0].message.content == text
    assert "joined" in made.aigc["note"]
    deltas = [
        choice.delta
        for chunk in client.chat.completions.create(**options, stream=True)
        for choice in chunk.choices
    ]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == text


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"logprobs": 3}, "logprobs"),
        ({"best_of": 4}, "best_of"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"logit_bias": {"1": 5}}, "logit_bias.1"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"max_tokens": 10**9}, "max_tokens"),
        ({"max_tokens": 300_000}, "max_tokens"),
        ({"temperature": 1000}, "temperature"),
        ({"prompt": "a" * 40_000}, "prompt"),
        ({"n": 1000}, "n"),
        ({"extra_body": {"controls": {"tokens": 3}}}, "max_tokens"),
        ({"extra_body": {"label": "seven"}}, "label"),
    ],
)
def test_completions_refuse_what_they_cannot_do(client, fields, param) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(**OPTIONS | fields)
    assert (refused.value.param or "").startswith(param.partition(".")[0])
    assert refused.value.response.headers["x-should-retry"] == "false"


def test_harmless_fields_are_taken(client) -> None:
    client.completions.create(**OPTIONS, user="somebody", presence_penalty=0, best_of=1)
    client.chat.completions.create(
        model="gpt",
        messages=[{"role": "user", "content": "a", "name": "b"}],
        max_tokens=2,
        metadata={"a": "b"},
        response_format={"type": "text"},
    )


@pytest.mark.anyio
async def test_the_asynchronous_client(quiet: Running) -> None:
    async with openai.AsyncOpenAI(base_url=f"{quiet.url}/v1", api_key="-") as client:
        parts = await client.completions.create(**OPTIONS, stream=True)
        text = "".join([choice.text async for chunk in parts for choice in chunk.choices])
        whole = await client.completions.create(**OPTIONS)
    assert text == whole.choices[0].text


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
