"""Files that someone broke, or made to break something: read or refused, at once, in a sentence.

``test_strict_yaml.py`` has the parser's own rules, one by one. Here are whole files, as the three
readers of them see them: the catalogue, a configuration and the list of disabled plugins.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aigc_core.config import read_config_file, resolve_config
from aigc_core.errors import ConfigError, PluginError
from aigc_core.plugins import PluginHost, load_catalogue
from aigc_core.plugins.user_state import disabled_plugins
from aigc_core.strict_yaml import MAX_BYTES

CATALOGUE = """\
schema_version: 1
modalities:
  song: {summary: Songs, plugin: aigc-song}
  scent: {summary: Smells, plugin: null}
plugins:
  aigc-song: {summary: s, folder: plugins/song, modalities: [song], recipes: [song/net]}
"""
CONFIG = """\
schema_version: 1
engine: {steps: 10, batch_size: 4, seed: 1, ema: 0.9, checkpoint: {every: 2, keep: 3}}
model: {width: 8, kind: small, pair: [0, 1], title: short}
trainer: {loss: hinge, generator: {lr: 2e-4, betas: [0.5, 0.9]}}
dataset: {name: squares, options: {size: 4, border: 1}}
"""
DISABLED = "disabled:\n- song\n- 'true'\n"
SECONDS = 1.0
"""Of the processor, so that a machine with other work to do changes nothing."""


def config_reader(host: PluginHost) -> Callable[[Path], object]:
    return lambda path: resolve_config(host, "toy/net", layers=[read_config_file(path)])


@pytest.fixture
def readers(host: PluginHost, tmp_path: Path) -> dict[Path, Callable[[Path], object]]:
    """The three files, and who reads each."""
    (tmp_path / "config").mkdir()
    return {
        tmp_path / "registry.yaml": load_catalogue,
        tmp_path / "my.yaml": config_reader(host),
        tmp_path / "config" / "plugins.yaml": lambda path: disabled_plugins(),
    }


def refusal(path: Path, read: Callable[[Path], object], data: bytes) -> str | None:
    """Write and read a file; return the error that refused it, or None if it was accepted."""
    path.write_bytes(data)
    begin = time.process_time()
    try:
        read(path)
        message = None
    except (ConfigError, PluginError) as error:  # a name may have become one that nobody brings
        message = str(error)
    assert time.process_time() - begin < SECONDS
    if message is not None:
        assert message.isprintable(), repr(message)
        assert len(message) < 3000
    return message


def test_good_files_are_accepted(readers) -> None:
    """The tests below could not fail if the files that they start from were refused."""
    for (path, read), text in zip(readers.items(), (CATALOGUE, CONFIG, DISABLED), strict=True):
        assert refusal(path, read, text.encode()) is None


def bomb(levels: int = 12, width: int = 9) -> str:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels)]
    return "\n".join(lines)


HOSTILE = {
    "an alias bomb": bomb(),
    "an alias bomb below a known key": "plugins: &a [1]\nmodalities: *a\n" + bomb(),
    "10,000 open lists": "modalities: " + "[" * 10_000,
    "10,000 lists": "engine: " + "[" * 10_000 + "]" * 10_000,
    "10,000 mappings": "plugins: " + "{a: " * 10_000 + "1" + "}" * 10_000,
    "10,000 block lists": "disabled: \n" + "- " * 10_000,
    "a key twice": CATALOGUE + "plugins: {}\n",
    "a merge key": "engine: {<<: {steps: 1}}",
    "not a number": "engine: {steps: .nan, ema: .nan}\nschema_version: .nan",
    "infinite": "engine: {steps: .inf}\nschema_version: .inf",
    "a huge integer": f"schema_version: {'9' * 300}\nengine: {{seed: {'9' * 300}}}",
    "an endless integer": f"schema_version: {'9' * 100_000}",
    "a huge float": "schema_version: 1e308\nengine: {ema: 1e308, steps: 1e308}",
    "a float that is too large": "engine: {ema: 1e999}",
    "10 MB": "a" * 10_000_000,
    "10 MB of lists": "[" * 10_000_000,
    "as much as is read": "[" + "a," * (MAX_BYTES // 2 - 1) + "]",
    "as many keys as are read": "{" + ",".join(f"k{i}" for i in range(MAX_BYTES // 8)) + "}",
    "as many plugins as are read": CATALOGUE + "".join(f"  p{i}: {{}}\n" for i in range(15_000)),
    "as many slots, all of them wrong": "\n".join(
        [
            "schema_version: 1\nmodalities:",
            *(f"  m{i}: {{summary: s, plugin: q{i}}}" for i in range(2_500)),
            "plugins:",
            *(f"  p{i}: {{summary: s}}" for i in range(2_500)),
        ]
    ),
    "control characters": "engine: \x07",
    "escapes of a terminal": '"\\e[2J\\e]0;title\\a": 1\nengine: {"\\e[31m": "\\e[31m"}',
    "a key of two lines": '"two\\nlines": 1',
    "a key of 100,000 letters": f"? {'k' * 100_000}\n: 1",
    "a long key further down": f"engine: {{? {'k' * 100_000} : 1}}",
    "a value of 100,000 letters": f"engine: {{steps: {'k' * 100_000}}}\ndisabled: {'k' * 100_000}",
    "a long key of a plugin": f"schema_version: 1\nmodalities: {{}}\nplugins: {{{'k' * 1_000}: 1}}",
    "half a surrogate pair": 'engine: "\\ud800"',
    "no character at all": 'engine: "\\UFFFFFFFF"',
    "a byte order mark": "\ufeffengine: {steps: 1}",
    "a byte order mark inside": "engine: {\ufeffsteps: 1}",
    "text from right to left": '"\\u202e": "\\u202e"',
    "a tag": "engine: !!python/object/apply:os.system [ls]",
    "a second document": "engine: {}\n---\nengine: {}\n",
    "a list": "- 1",
    "a word": "engine",
    "nothing": "",
    "keys that are no text": "1: 2\nnull: 3\n[a]: 4\n",
}
HOSTILE_BYTES = {
    "no UTF-8": b"engine: \xff\xfe",
    "half a character": b"engine: \xe2\x82",
    "a surrogate in UTF-8": b"engine: \xed\xa0\x80",
    "UTF-16": CONFIG.encode("utf-16"),
    "zeros": b"\x00" * 1000,
    "a program": b"\x7fELF\x02\x01\x01" + bytes(range(256)),
}


@pytest.mark.parametrize("name", [*HOSTILE, *HOSTILE_BYTES])
def test_what_is_known_to_bite_is_read_or_refused_at_once(readers, name: str) -> None:
    data = HOSTILE_BYTES.get(name) or HOSTILE[name].encode("utf-8", "surrogatepass")
    for path, read in readers.items():
        refusal(path, read, data)


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("an alias bomb", "line 2, column 10: the alias *a0 is not allowed"),
        ("10,000 block lists", "nested more than 32 levels deep"),
        ("10 MB", "is larger than 256 KiB"),
        ("as much as is read", "more than 10,000 values"),
        ("a key twice", "line 7, column 1: the key 'plugins' is there twice"),
        ("an endless integer", "a number of 100000 digits is too long"),
        ("a second document", "line 2"),
    ],
)
def test_every_reader_says_what_bites_and_where(readers, name: str, reported: str) -> None:
    for path, read in readers.items():
        message = refusal(path, read, HOSTILE[name].encode()) or ""
        assert message.startswith(str(path))
        assert reported in message


# At random

WORDS = [
    *("schema_version", "modalities", "plugins", "summary", "plugin", "folder", "recipes", "song"),
    *("engine", "model", "trainer", "dataset", "steps", "epochs", "seed", "ema", "checkpoint"),
    *("every", "name", "options", "root", "size", "width", "title", "generator", "betas", "lr"),
    *(
        "disabled",
        "aigc-song",
        "scent",
        "song/net",
        "squares",
        "recipe",
        "preset",
        "<<",
        "__class__",
    ),
]
SCALARS = st.one_of(
    st.sampled_from(["1", "0", "-1", "2e-4", ".nan", "-.inf", "1e308", "1e999", "9" * 500, "0x1F"]),
    st.sampled_from(
        ["null", "~", "true", "on", "''", '""', "*a", "&a 1", "!!str 1", "!x", "[", "}"]
    ),
    st.sampled_from(WORDS),
    st.text(max_size=20).map(
        lambda text: yaml.safe_dump(text, width=10**6).split("\n...")[0].strip()
    ),
    st.text(max_size=10),
)
FLOW = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(st.sampled_from(WORDS) | SCALARS, inner), max_size=5).map(
            lambda items: f"{{{', '.join(f'{key}: {value}' for key, value in items)}}}"
        )
    ),
    max_leaves=12,
)
FILES = st.lists(st.tuples(st.sampled_from(WORDS) | SCALARS, FLOW), max_size=6).map(
    lambda items: "\n".join(f"{key}: {value}" for key, value in items)
)
PIECES = st.one_of(
    st.sampled_from(
        [*HOSTILE_BYTES.values(), *(t.encode() for t in WORDS), b"\n", b": ", b"{", b"\t"]
    ),
    st.binary(min_size=1, max_size=4),
    SCALARS.map(lambda text: text.encode("utf-8", "surrogatepass")),
)


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    """One of the good files with pieces put in, taken out or doubled."""
    data = draw(st.sampled_from([CATALOGUE, CONFIG, DISABLED])).encode()
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        piece = draw(st.sampled_from([b"", data[start:end] * 2]) | PIECES)
        data = data[:start] + piece + data[end:]
    return data


ANY_FILE = st.one_of(
    FILES.map(lambda text: text.encode("utf-8", "surrogatepass")),
    damaged_files(),
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
)


@settings(
    max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=ANY_FILE)
def test_a_thousand_random_files_are_read_or_refused(readers, data: bytes) -> None:
    for path, read in readers.items():
        refusal(path, read, data)
