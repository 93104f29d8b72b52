"""Programs on one machine leave each other their processors."""

import json
import os
import subprocess

import pytest
from fake_plugins import AIGC

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["GOMP_SPINCOUNT=2000"]),
        ({"GOMP_SPINCOUNT": "7"}, ["GOMP_SPINCOUNT=7"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["OMP_WAIT_POLICY=ACTIVE"]),
    ],
)
def test_waiting_threads_give_up_their_processor_unless_told_otherwise(given, expected) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in NAMES} | given
    done = subprocess.run(
        [*AIGC, "doctor", "--json"], env=environment, capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout)["waiting_threads"] == expected
