"""A run's folder may come from anybody: whatever is in it, nothing outside it changes.

Each case spoils a healthy run. What a user would do with it then ends with a result, or with one
sentence that names a path; never with a traceback, a hang, or the loss of something outside.
"""

import hashlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import QUICK

from aigc_core import train

Spoil = Callable[[Path, Path], None]
CASES: dict[str, Spoil] = {}
pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and pipes need POSIX")


def case(name: str) -> Callable[[Spoil], Spoil]:
    def add(spoil: Spoil) -> Spoil:
        assert name not in CASES, name
        CASES[name] = spoil
        return spoil

    return add


def newest(run: Path) -> Path:
    return max((run / "checkpoints").glob("step-*"))


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.is_symlink() or path.exists():
        path.unlink()


def sign(folder: Path) -> None:
    """Make the manifest fit, as anybody can."""
    entries = {}
    for file in folder.iterdir():
        if file.name != "manifest.json" and file.is_file():
            data = file.read_bytes()
            entries[file.name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps({"schema_version": 1, "files": entries}))


# --- something else in the place of every name

NAMES = ["checkpoints", "samples", "tensorboard", "generated", "metrics.jsonl",
         "evaluations.jsonl", ".lock", "config.yaml", "dataset.json", "environment.json", "log.txt",
         ".resumed.json", ".going-on", "checkpoints/NEWEST", "checkpoints/NEWEST/manifest.json",
         "checkpoints/NEWEST/weights.safetensors", "checkpoints/NEWEST/state.safetensors",
         "checkpoints/NEWEST/state.json"]  # fmt: skip


def place_of(run: Path, name: str) -> Path:
    return run / name.replace("NEWEST", newest(run).name if "NEWEST" in name else "")


def is_folder(name: str) -> bool:
    return name in ("checkpoints", "samples", "tensorboard", "generated", "checkpoints/NEWEST")


def linked(name: str) -> Spoil:
    def spoil(run: Path, victim: Path) -> None:
        place = place_of(run, name)
        target = victim / ("folder" if is_folder(name) else "file.txt")
        if place.exists():  # the victim's own look like a run's
            remove(target)
            shutil.copytree(place, target) if place.is_dir() else shutil.copy(place, target)
        remove(place)
        place.symlink_to(target)

    return spoil


def dangling(name: str) -> Spoil:
    def spoil(run: Path, victim: Path) -> None:
        place = place_of(run, name)
        remove(place)
        place.symlink_to(victim / "not-there")

    return spoil


def piped(name: str) -> Spoil:
    def spoil(run: Path, victim: Path) -> None:
        place = place_of(run, name)
        remove(place)
        os.mkfifo(place)

    return spoil


def swapped(name: str) -> Spoil:
    def spoil(run: Path, victim: Path) -> None:
        place = place_of(run, name)
        remove(place)
        place.write_text("a file") if is_folder(name) else (place / "deep").mkdir(parents=True)

    return spoil


def vast(name: str) -> Spoil:
    def spoil(run: Path, victim: Path) -> None:
        place = place_of(run, name)
        with place.open("ab") as file:
            file.truncate(2 << 30)  # sparse

    return spoil


for _name in NAMES:
    CASES[f"a link to somebody's files at {_name}"] = linked(_name)
    CASES[f"a link to nothing at {_name}"] = dangling(_name)
    CASES[f"a pipe at {_name}"] = piped(_name)
    CASES[f"something of another kind at {_name}"] = swapped(_name)
    if not is_folder(_name):
        CASES[f"two gibibytes at {_name}"] = vast(_name)


@case("a link to a device at metrics.jsonl")
def _(run: Path, victim: Path) -> None:
    remove(run / "metrics.jsonl")
    (run / "metrics.jsonl").symlink_to("/dev/zero")


@case("a link to a device at config.yaml")
def _(run: Path, victim: Path) -> None:
    remove(run / "config.yaml")
    (run / "config.yaml").symlink_to("/dev/zero")


@case("a socket at environment.json")
def _(run: Path, victim: Path) -> None:
    remove(run / "environment.json")
    here = os.getcwd()
    os.chdir(run)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("environment.json")
    os.chdir(here)


@case("somebody's checkpoints behind a link, and keep of one")
def _(run: Path, victim: Path) -> None:
    linked("checkpoints")(run, victim)
    edit(run, ["engine", "checkpoint", "keep"], 1)


@case("somebody's folder where samples were generated")
def _(run: Path, victim: Path) -> None:
    folder = run / "generated" / "step-000006-seed-0-count-2-png"
    (folder / "precious").mkdir(parents=True)
    (folder / "precious" / "letter.txt").write_text("keep me")


# --- JSON and YAML


def json_case(name: str, file: str, text: str | bytes, sealed: bool = True) -> None:
    def spoil(run: Path, victim: Path) -> None:
        place = place_of(run, file)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())
        if sealed and "NEWEST" in file and not file.endswith("manifest.json"):
            sign(place.parent)

    CASES[f"{name} in {file}"] = spoil


DEEP = "[" * 100_000
BAD_JSON = {
    "nothing": "", "a list": "[1, 2]", "a number": "7", "a text": '"text"', "null": "null",
    "no JSON": "{", "bytes": b"\xff\xfe\x00", "100,000 brackets": DEEP,
    "deep objects": '{"a":' * 100_000, "a number of 5,000 digits": '{"step": ' + "9" * 5000 + "}",
}  # fmt: skip
for _file in ("dataset.json", "environment.json", ".resumed.json", "checkpoints/NEWEST/state.json",
              "checkpoints/NEWEST/manifest.json"):  # fmt: skip
    for _what, _text in BAD_JSON.items():
        json_case(_what, _file, _text)
for _what, _text in {
    "nothing": "", "a list": "- 1", "a deep list": "[" * 5000, "an alias": "a: &a [1]\nb: *a",
    "a tag": "recipe: !!python/object/apply:os.system ['true']", "another recipe": "recipe: a/b",
    "an escape": 'recipe: "\\e[31mred"', "no sections": "recipe: image/dcgan",
    "a number as recipe": "recipe: 7", "a long line": "a: " + "x" * 300_000,
}.items():  # fmt: skip
    json_case(_what, "config.yaml", _text)
json_case("binary", "metrics.jsonl", bytes(range(256)) * 1000)
json_case("a line of 30 MB", "metrics.jsonl", b'{"step": 1, "a": "' + b"x" * (30 << 20))
json_case("deep lines", "metrics.jsonl", ('{"step": ' + DEEP + "\n") * 3)
json_case("texts for steps", "metrics.jsonl", '{"step": "six"}\n{"step": null}\n{"step": true}\n')
json_case("a negative step", "metrics.jsonl", '{"step": -5}\n')


def edit(run: Path, path: list[str], value: object) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    node = config
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    (run / "config.yaml").write_text(yaml.safe_dump(config))


for _path, _value in [
    (["model", "width"], 4096), (["model", "width"], 10**6), (["model", "width"], -1),
    (["model", "width"], "wide"), (["model", "latent_size"], 10**7),
    (["engine", "device"], "cuda:999"),
    (["engine", "device"], "\x1b[31m"), (["engine", "steps"], -5), (["engine", "steps"], 10**30),
    (["engine", "steps"], "many"), (["engine", "steps"], None), (["engine", "batch_size"], 0),
    (["dataset", "name"], "../../etc"), (["dataset", "name"], 7),
    (["dataset", "name"], "\x1b]0;x\x07"),
    (["dataset", "root"], "/nowhere"), (["dataset", "options"], {"size": 10**9}), (["engine"], []),
    (["model"], None), (["recipe"], "image/../x"), (["schema_version"], 99), (["extra"], 1),
]:  # fmt: skip
    _label = f"{'.'.join(_path)} of {_value!r} in config.yaml"
    CASES[_label] = lambda run, victim, path=_path, value=_value: edit(run, path, value)


def facts(run: Path, /, **changes: object) -> None:
    data = json.loads((run / "dataset.json").read_text())
    (run / "dataset.json").write_text(json.dumps(data | changes))


for _key, _value in [
    ("count", -1), ("count", "many"), ("count", 10**40), ("label_names", ["\x1b[31m"] * 10),
    ("label_names", [str(n) for n in range(100_000)]), ("label_names", 7), ("digest", 3),
    ("digests", {"samples": 1}), ("spec", {}), ("spec", {"shape": [-1], "dtype": "uint8"}),
    ("spec", {"shape": [10**9, 10**9], "dtype": "uint8"}),
    ("spec", {"shape": [], "dtype": "uint8"}),
    ("spec", {"shape": [1, 32, 32], "dtype": "object"}), ("held_out", [1]), ("unknown", 1),
    ("spec", {"shape": [1, 32, 32], "dtype": "uint8", "assets": {"a": 1}}),
]:  # fmt: skip
    _label = f"{_key} of {str(_value)[:40]} in dataset.json"
    CASES[_label] = lambda run, victim, key=_key, value=_value: facts(run, **{key: value})


def scalars(run: Path, /, **changes: object) -> None:
    place = newest(run) / "state.json"
    data = json.loads(place.read_text()) | changes
    place.write_text(json.dumps(data))
    sign(newest(run))


for _key, _value in [
    ("step", -5), ("step", "six"), ("step", 10**30), ("step", None), ("step", 5), ("step", True),
    ("samples_per_step", "16"), ("samples_per_step", None), ("train_seconds", "long"),
    ("train_seconds", -1e308), ("logged", 7), ("logged", ["a", "b"]), ("logged", []),
    ("meter_counts", {"nothing": 3}), ("meter_counts", [1]), ("meter_counts", None),
    ("validations", [1]), ("validations", {"best": 7}), ("run", 7), ("run", {"config": 7}),
    ("validations", {"best": {"metric": "m", "value": 1.0, "step": 999}}),
    ("validations", {"ending": {"reason": "none", "reported": "x"}}),
]:  # fmt: skip
    _label = f"{_key} of {str(_value)[:40]} in state.json"
    CASES[_label] = lambda run, victim, key=_key, value=_value: scalars(run, **{key: value})


# --- tensors


def tensors(
    name: str, change: Callable[[dict, bytes], tuple[object, bytes]], signed: bool = True
) -> None:
    def spoiler(file: str) -> Spoil:
        def spoil(run: Path, victim: Path) -> None:
            place = newest(run) / file
            data = place.read_bytes()
            (length,) = struct.unpack("<Q", data[:8])
            header, body = change(json.loads(data[8 : 8 + length]), data[8 + length :])
            text = header if isinstance(header, bytes) else json.dumps(header).encode()
            place.write_bytes(struct.pack("<Q", len(text)) + text + body)
            if signed:
                sign(newest(run))

        return spoil

    for file in ("weights.safetensors", "state.safetensors"):
        CASES[f"{name} in {file}"] = spoiler(file)


def first(header: dict) -> str:
    return next(name for name in header if name != "__metadata__" and header[name]["shape"])


def with_first(**changes: object) -> Callable[[dict, bytes], tuple[object, bytes]]:
    def change(header: dict, body: bytes) -> tuple[object, bytes]:
        header[first(header)] |= changes
        return header, body

    return change


def without_first(header: dict, body: bytes) -> tuple[object, bytes]:
    del header[first(header)]
    return header, body


def with_more(header: dict, body: bytes) -> tuple[object, bytes]:
    header["more"] = {"dtype": "F32", "shape": [2], "data_offsets": [len(body), len(body) + 8]}
    return header, body + bytes(8)


def renamed(header: dict, body: bytes) -> tuple[object, bytes]:
    header["\x1b[31m"] = header.pop(first(header))
    return header, body


def as_complex(header: dict, body: bytes) -> tuple[object, bytes]:
    """The same bytes as numbers of another type: shapes fit, and so do sizes."""
    entry = header[first(header)]
    count = (entry["data_offsets"][1] - entry["data_offsets"][0]) // 8
    entry |= {"dtype": "C64", "shape": [count]}
    return header, body


tensors("a type of I32", with_first(dtype="I32"))
tensors("a type of BOOL", with_first(dtype="BOOL"))
tensors("an unknown type", with_first(dtype="X9"))
tensors("complex numbers", as_complex)
tensors("a negative shape", with_first(shape=[-1]))
tensors("a vast shape", with_first(shape=[10**9, 10**9]))
tensors("a shape that is no list", with_first(shape=7))
tensors("places beyond the end", with_first(data_offsets=[0, 10**12]))
tensors("places the wrong way round", with_first(data_offsets=[8, 0]))
tensors("texts for places", with_first(data_offsets=["0", "8"]))
tensors("a tensor too few", without_first)
tensors("a tensor too many", with_more)
tensors("another name", renamed)
tensors("a header that is a list", lambda header, body: ([1], body))
tensors("a header that is no JSON", lambda header, body: (b"{" * 1000, body))
tensors("a deep header", lambda header, body: (b'{"a":' * 100_000, body))
tensors("nothing but a header", lambda header, body: (header, b""))
tensors("a byte too many", lambda header, body: (header, body + b"\0"))
tensors("other bytes, not signed", lambda header, body: (header, bytes(len(body))), signed=False)


@case("weights that are not finite")
def _(run: Path, victim: Path) -> None:
    place = newest(run) / "weights.safetensors"
    data = place.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    nan = struct.pack("<f", float("nan")) * ((len(data) - 8 - length) // 4)
    place.write_bytes(data[: 8 + length] + nan + bytes((len(data) - 8 - length) % 4))
    sign(newest(run))


@case("a header of 10 GB in weights.safetensors")
def _(run: Path, victim: Path) -> None:
    place = newest(run) / "weights.safetensors"
    place.write_bytes(struct.pack("<Q", 10**10) + bytes(100))
    sign(newest(run))


# --- names of checkpoints


for _folder in ("step-0000021", "step--00005", "step-٣٣٣٣٣٣", "step-9999999999", "step-1e3",
                "step-000099 ", "STEP-000099", "step-000099.x", ".step-000099.abc"):  # fmt: skip
    CASES[f"a folder of the name {_folder!r}"] = lambda run, victim, name=_folder: (
        shutil.copytree(newest(run), run / "checkpoints" / name) and None
    )


@case("a checkpoint of a later step than the run has")
def _(run: Path, victim: Path) -> None:
    shutil.copytree(newest(run), run / "checkpoints" / "step-000999")


@case("no checkpoints at all")
def _(run: Path, victim: Path) -> None:
    remove(run / "checkpoints")


@case("no manifests")
def _(run: Path, victim: Path) -> None:
    for manifest in run.glob("checkpoints/*/manifest.json"):
        manifest.unlink()


@case("a manifest that names files outside")
def _(run: Path, victim: Path) -> None:
    place = newest(run) / "manifest.json"
    manifest = json.loads(place.read_text())
    manifest["files"]["../../../victim/file.txt"] = manifest["files"]["state.json"]
    place.write_text(json.dumps(manifest))


@case("sizes and digests that are no numbers and texts")
def _(run: Path, victim: Path) -> None:
    files = {n: {"bytes": "many", "sha256": 7} for n in os.listdir(newest(run))}
    (newest(run) / "manifest.json").write_text(json.dumps({"files": files}))


def snapshot(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def healthy(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("healthy")
    os.environ["AIGC_CACHE_DIR"] = str(folder / "cache")
    settings = QUICK | {"engine.ema": 0.9, "engine.checkpoint.keep": 2}
    run = train("image/dcgan", dataset="digits", overrides=settings, out=folder / "run")
    for name in ("evaluations.jsonl", "log.txt", ".lock"):
        (run.path / name).touch()
    return folder


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", CASES)
def test_a_spoiled_run_harms_nothing(aigc, healthy, tmp_path, monkeypatch, name) -> None:
    monkeypatch.setenv("AIGC_CACHE_DIR", str(healthy / "cache"))
    run, victim = tmp_path / "runs" / "run", tmp_path / "victim"
    shutil.copytree(healthy / "run", run)
    shutil.copytree(healthy / "run", run.parent / "other")
    (victim / "folder").mkdir(parents=True)
    (victim / "file.txt").write_text("mine\n")
    CASES[name](run, victim)
    before = snapshot(victim), snapshot(run.parent / "other")
    for arguments in (
        ("runs", "runs"),
        ("generate", "runs/run", "--count", "2"),
        ("resume", "runs/run", "--steps", "8"),
        ("evaluate", "runs/run", "--count", "8", "--metric", "sliced-wasserstein"),
    ):
        done = aigc(*arguments)
        said = f"{arguments}: {done.code}\n{done.err}"
        assert done.code in (0, 1, 2), said
        assert "Traceback" not in done.err, said
        assert "Something failed" not in done.err, said
        assert not set(done.err) & set("\x1b\x07\x9b"), said
        errors = [line for line in done.err.splitlines() if line.startswith("Error: ")]
        assert len(errors) == (done.code != 0), said
        if arguments[0] == "runs":
            assert done.code == 0, said
            assert "other" in done.out, done.out
        assert (snapshot(victim), snapshot(run.parent / "other")) == before, said
        precious = run / "generated" / "step-000006-seed-0-count-2-png" / "precious"
        assert "where samples were" not in name or precious.is_dir()


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 150


SAMPLE = [
    "two gibibytes at metrics.jsonl",
    "two gibibytes at checkpoints/NEWEST/weights.safetensors",
    "model.width of 4096 in config.yaml",
    "100,000 brackets in dataset.json",
    "a pipe at config.yaml",
]


STATUS = Path("/proc/self/status")


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="only Linux says how much memory was used")
@pytest.mark.parametrize("name", SAMPLE)
def test_a_spoiled_run_takes_little_memory_of_the_real_program(healthy, tmp_path, name) -> None:
    run, victim = tmp_path / "run", tmp_path / "victim"
    shutil.copytree(healthy / "run", run)
    victim.mkdir()
    CASES[name](run, victim)
    code = (  # not getrusage, whose maximum begins with that of the process that started this one
        "import sys; from aigc_core.cli import main\n"
        f"sys.argv = ['aigc', 'generate', {str(run)!r}, '--count', '1', '--device', 'cpu']\n"
        "try: main()\n"
        f"finally: print(open({str(STATUS)!r}).read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode in (0, 1, 2), done.stderr
    assert "Traceback" not in done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("VmHWM:"))
    assert int(line.split()[1]) << 10 < 900 << 20
