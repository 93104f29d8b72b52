"""How a wrong name is answered, and how pydantic's complaints are put into words."""

import pytest
from pydantic import ValidationError

from aigc_core import ConfigModel
from aigc_core.complaints import first_complaint
from aigc_core.errors import (
    AigcError,
    ConfigError,
    UserError,
    did_you_mean,
    shown,
)


def test_the_nearest_name_is_offered() -> None:
    assert did_you_mean("bach_size", ["batch_size", "seed"]) == " Did you mean 'batch_size'?"


def test_the_case_of_letters_does_not_matter() -> None:
    assert did_you_mean("MNIST", ["digits", "mnist"]) == " Did you mean 'mnist'?"


def test_a_name_is_offered_in_its_own_case() -> None:
    assert did_you_mean("dcgan", ["DCGAN"]) == " Did you mean 'DCGAN'?"


@pytest.mark.parametrize(
    ("typed", "valid"),
    [("gpt", "text-to-anything-at-all/gpt"), ("lr", "trainer.generator.optimizer.lr")],
)
def test_a_last_part_alone_is_enough(typed: str, valid: str) -> None:
    assert did_you_mean(typed, [valid]) == f" Did you mean '{valid}'?"


def test_without_a_near_name_the_valid_ones_are_listed_in_order() -> None:
    assert did_you_mean("xyz", ["mnist", "digits"]) == " Valid: digits, mnist."


def test_a_long_list_is_cut() -> None:
    answer = did_you_mean("?", [f"name-{i:03}" for i in range(100)])
    assert answer.endswith("name-019, ….")


def test_an_empty_name_lists_the_valid_ones() -> None:
    assert did_you_mean("", ["a"]) == " Valid: a."


def test_nothing_valid_is_said() -> None:
    assert did_you_mean("dcgan", []) == " There are none."


def test_a_user_mistake_exits_with_2_and_a_failure_with_1() -> None:
    assert (ConfigError.exit_code, UserError.exit_code, AigcError.exit_code) == (2, 2, 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (2e-4, "0.0002"),
        ("64x", "64x"),
        ("", "''"),
        (" a", "' a'"),
        ("a\nb", r"'a\nb'"),
    ],
)
def test_a_value_is_shown_as_it_would_be_typed(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_long_value_is_cut() -> None:
    assert len(shown("x" * 10_000)) == 60


class Inner(ConfigModel):
    lr: float = 1.0


class Outer(ConfigModel):
    size: int | list[int] = 1
    layers: list[Inner] = []
    choice: Inner | str = ""
    by_name: dict[str, Inner] = {}
    name: str = ""
    needed: int


def complaint_about(**values: object):
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(values)
    return first_complaint(caught.value, values)


def test_members_of_a_union_are_not_in_the_key_and_all_are_reported() -> None:
    complaint = complaint_about(size="big", needed=1)
    assert complaint.key == "size"
    assert "integer" in complaint.problem
    assert "list" in complaint.problem


def test_a_position_in_a_union_s_list_is_in_the_key() -> None:
    assert complaint_about(size=[1, "x"], needed=1).key == "size[1]"


def test_a_position_in_a_list_is_written_in_brackets() -> None:
    assert complaint_about(layers=[{}, {"lr": "x"}], needed=1).key == "layers[1].lr"


def test_the_key_of_a_mapping_is_in_the_key() -> None:
    assert complaint_about(by_name={"a": {"lr": "x"}}, needed=1).key == "by_name.a.lr"


def test_an_unknown_key_inside_a_union_is_found() -> None:
    complaint = complaint_about(choice={"lt": 1}, needed=1)
    assert (complaint.kind, complaint.key) == ("extra_forbidden", "choice.lt")


def test_an_unknown_key_comes_before_a_missing_one_that_it_may_explain() -> None:
    assert complaint_about(needd=1).key == "needd"


def test_a_missing_key_is_named() -> None:
    assert complaint_about().key == "needed"


def test_a_number_where_text_belongs_is_reported_how_to_be_quoted() -> None:
    assert "quotes" in complaint_about(name=2024, needed=1).problem


def test_a_section_given_as_a_value_says_so_without_names_of_classes() -> None:
    assert complaint_about(layers=[5], needed=1).problem == "it must hold keys of its own"


def test_python_s_none_is_reported_what_yaml_writes() -> None:
    assert "write null" in complaint_about(needed="None").problem
