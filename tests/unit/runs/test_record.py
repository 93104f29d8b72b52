"""What a checkpoint remembers of the files beside it, and what differs from it."""

from aigc_core import SampleSpec
from aigc_core.runs import DatasetFacts
from aigc_core.runs.metrics import MetricsFile
from aigc_core.runs.record import config_changes, dataset_changes, listed, record_of

CONFIG = {"recipe": "toy/gan", "engine": {"steps": 10, "ema": None, "checkpoint": {"every": 5}}}
SPEC = SampleSpec(shape=(1, 8, 8), dtype="uint8")


def changed(**engine) -> list[str]:
    return config_changes(CONFIG, {**CONFIG, "engine": {**CONFIG["engine"], **engine}})


def test_a_configuration_is_the_same_after_a_way_through_json() -> None:
    assert config_changes({"betas": (0.5, 0.9)}, {"betas": [0.5, 0.9]}) == []
    assert record_of({"betas": (0.5, 0.9)}, {}).config == {"betas": [0.5, 0.9]}
    assert changed() == []


def test_each_change_is_named_by_its_key_with_both_values() -> None:
    assert changed(steps=20) == ["engine.steps was 10 and is 20"]
    assert changed(ema=0.9) == ["engine.ema was null and is 0.9"]
    assert changed(checkpoint={"every": 6}) == ["engine.checkpoint.every was 5 and is 6"]
    assert changed(seed=1) == ["engine.seed is new: 1"]
    without = {**CONFIG, "engine": {"steps": 10, "ema": None}}
    assert config_changes(CONFIG, without) == ["engine.checkpoint.every was 5 and is gone"]


def test_true_is_not_one_and_a_whole_float_is_its_number() -> None:
    assert changed(steps=True) == ["engine.steps was 10 and is true"]
    assert config_changes({"a": 1}, {"a": True}) == ["a was 1 and is true"]
    assert changed(steps=10.0) == []


def test_of_many_changes_the_first_are_shown() -> None:
    assert listed(["a", "b"]) == "a; b"
    assert listed([str(n) for n in range(20)]).endswith("7; and 12 more")


def test_a_changed_field_of_the_facts_is_named() -> None:
    facts = DatasetFacts(spec=SPEC, count=3, label_names=("cat", "dog"), digests={"samples": "ab"})
    record = record_of({}, facts.model_dump(mode="json")).dataset
    assert dataset_changes(record, facts.model_dump(mode="json")) == []
    swapped = facts.model_copy(update={"label_names": ("dog", "cat")})
    assert dataset_changes(record, swapped.model_dump(mode="json")) == ["'label_names' was changed"]


def test_facts_say_what_differs_in_the_data() -> None:
    before = {"samples": "a", "labels": "b"}
    facts = DatasetFacts(spec=SPEC, count=3, digests=before, held_out={"test": {"samples": "c"}})

    def difference(**other) -> str | None:
        return facts.difference(facts.model_copy(update=other))

    assert difference() is None
    assert difference(digests={"samples": "x", "labels": "y"}) == (
        "the samples themselves are others, or in another order"
    )
    assert "labels were changed" in difference(digests={"samples": "a", "labels": "y"})
    assert difference(digests={"samples": "a"}) == "the array 'labels' is gone"
    assert difference(digests={**before, "text": "t"}) == "the array 'text' is new"
    assert "held-out split 'test'" in difference(held_out={"test": {"samples": "d"}})
    assert difference(held_out={}) is None
    rate = SPEC.model_copy(update={"units": {"rate_hz": 8000.0}})
    assert difference(spec=rate) is None  # a run of a version that did not know this unit
    other = facts.model_copy(update={"spec": rate})
    assert other.difference(facts) == "the set of units was {'rate_hz': 8000.0} and is {}"


def test_the_facts_of_an_old_run_are_compared_by_the_samples_alone() -> None:
    old = DatasetFacts(spec=SPEC, count=3, digest="ab")
    assert old.difference(DatasetFacts(spec=SPEC, count=3, digest="ab", digests={"x": "y"})) is None
    assert old.difference(DatasetFacts(spec=SPEC, count=3, digest="cd", digests={"x": "y"}))


def test_what_was_logged_up_to_a_step_has_a_digest(tmp_path) -> None:
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    assert metrics.record(9) is None
    metrics.append(1, {"loss": 2.0})
    first = metrics.record(1)
    metrics.append(2, {"loss": 1.0})
    assert metrics.record(1) == first != metrics.record(2)
    metrics.path.write_bytes(metrics.path.read_bytes().replace(b"2.0", b"3.0"))
    assert metrics.record(1) != first


def test_the_later_of_two_lines_of_a_step_counts(tmp_path) -> None:
    """A resumed training logs again what it had logged after its checkpoint."""
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    for step, loss in ((1, 1.0), (2, 9.0), (3, 9.0), (2, 2.0)):
        metrics.append(step, {"loss": loss})
    assert [(m["step"], m["loss"]) for m in metrics.read()] == [(1, 1.0), (2, 2.0), (3, 9.0)]
    metrics.cut_after(2)
    assert [m["step"] for m in metrics.read()] == [1, 2]
    assert len(metrics.path.read_text().splitlines()) == 2
    assert metrics.last() == {"step": 2, "loss": 2.0}
