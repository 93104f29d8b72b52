"""``aigc report``: one file, the same twice, that asks for nothing and gives nothing away."""

import base64
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from aigc_core import train
from aigc_core.report import write_report
from aigc_core.report.page import MAX_BYTES


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(
        "image/vae",
        preset="tiny",
        overrides={"engine.sample_every": 2, "engine.log_every": 1},
        steps=6,
        out=tmp_path_factory.mktemp("report") / "first",
        progress=False,
    )


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "other"
    return train("image/vae", preset="tiny", steps=3, seed=5, out=out, progress=False)


class Elements(HTMLParser):
    """The elements of a page, their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_a_report_holds_curves_samples_settings_and_the_machine(aigc, run, tmp_path) -> None:
    done = aigc("report", run.path)
    assert done.code == 0, done.err
    page = Elements((tmp_path / "report.html").read_text())
    tags = [tag for tag, _ in page.found]
    assert tags.count("svg") >= 3
    assert "polyline" in tags
    pictures = [a["src"] for tag, a in page.found if tag == "img"]
    wanted = [path.read_bytes() for path in sorted(run.samples.glob("*.png"))]
    assert [base64.b64decode(src.partition(",")[2]) for src in pictures] == wanted
    assert len(wanted) == 3
    assert "step 6" in page.text
    assert "6 of 6, complete" in page.text
    for key, value, origin in (
        ("engine.steps", "6", "given"),
        ("model.width", None, "preset tiny"),
    ):
        row = page.text[page.text.index(key) :][:80]
        assert (value or "") in row
        assert origin in row
    assert run.environment["torch"] in page.text


def test_it_asks_for_nothing_runs_nothing_and_is_the_same_twice(run, other, tmp_path) -> None:
    first = write_report([run, other], tmp_path / "a.html").read_bytes()
    assert first == write_report([run.path, other.path], tmp_path / "b.html").read_bytes()
    assert len(first) <= MAX_BYTES
    page = Elements(first.decode())
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.found}
    for _, attributes in page.found:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")
    assert not re.search(r"url\(|@import|https?://", first.decode().split("</style>")[0])


def test_several_runs_share_charts_and_what_differs_stands_first(run, other, tmp_path) -> None:
    page = Elements(write_report([run, other], tmp_path / "both.html").read_text())
    assert page.text.index("engine.seed") < page.text.index("that are the same")
    assert page.text.index("model.width") > page.text.index("that are the same")
    assert sum(tag == "polyline" for tag, _ in page.found) >= 4


def test_it_stays_small_whatever_the_previews_are(run, tmp_path) -> None:
    copy = tmp_path / "run"
    copy.mkdir()
    for name in ("config.yaml", "dataset.json", "environment.json", "metrics.jsonl"):
        (copy / name).write_bytes((run.path / name).read_bytes())
    (copy / "checkpoints").mkdir()
    (copy / "samples").mkdir()
    for step in range(12):
        (copy / "samples" / f"step-{step:06d}.png").write_bytes(bytes(900_000))
    (copy / "samples" / "step-000003.txt").write_text("<script>alert(1)</script>")
    text = write_report([copy], tmp_path / "large.html").read_text()
    assert len(text) <= MAX_BYTES
    assert text.count("<img") == 3  # the last and the first before others
    assert "step 0<" in text
    assert "step 11<" in text
    assert "did not fit" in text
    assert "<script" not in text


def test_long_curves_are_thinned_and_keep_their_range(run, tmp_path) -> None:
    copy = tmp_path / "run"
    (copy / "checkpoints").mkdir(parents=True)
    for name in ("config.yaml", "dataset.json", "environment.json"):
        (copy / name).write_bytes((run.path / name).read_bytes())
    lines = [{"step": n, "loss/a<b": n % 7, "loss/c": None} for n in range(1, 20_001)]
    (copy / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = write_report([copy], tmp_path / "long.html").read_text()
    assert len(text) < 60_000
    assert "<polygon" in text
    assert "a&lt;b" in text


def test_the_seed_of_a_private_training_stays_secret(tmp_path) -> None:
    overrides = {"trainer.privacy": {"noise_multiplier": 1.0, "clip_norm": 1.0}}
    seed = 987_654_321
    run = train(
        "image/vae",
        preset="tiny",
        steps=2,
        seed=seed,
        overrides=overrides,
        out=tmp_path / "run",
        progress=False,
    )
    assert str(seed) in (run.path / "config.yaml").read_text()
    assert str(seed) not in write_report([run], tmp_path / "private.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "There is no run at nothing"),
        (["{run}", "{run}"], "given twice"),
        (["{run}", "--out", "mine.html"], "is no report"),
        (["{run}", "--out", "."], "is a folder"),
    ],
)
def test_bad_input_is_a_sentence_and_leaves_files_alone(
    aigc, run, tmp_path, arguments, said
) -> None:
    (tmp_path / "mine.html").write_text("mine")
    done = aigc("report", *[text.format(run=run.path) for text in arguments])
    assert done.code == 2
    assert said in done.err
    assert (tmp_path / "mine.html").read_text() == "mine"
    assert not (tmp_path / "report.html").exists()


def test_a_report_needs_no_torch(run, tmp_path) -> None:
    code = (
        "import sys; from aigc_core.report import write_report; "
        "write_report([sys.argv[1]], 'r.html'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, run.path], check=True, cwd=tmp_path)
    assert Path(tmp_path / "r.html").exists()
