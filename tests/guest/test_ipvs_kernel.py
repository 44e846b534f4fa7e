"""The planned IPVS rules in a real kernel: what is read back is what was meant, whatever was there before."""

from __future__ import annotations

import json
import sys

import pytest

from tests.guest.conftest import InGuest

pytestmark = pytest.mark.guest


@pytest.mark.parametrize("what", ["tour", "tour6", "documented"])
def test_every_difference_leads_to_what_was_planned(what: str, in_guest: InGuest) -> None:
    done = in_guest([sys.executable, "-m", "tests.guest.ipvs_scenario", what])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"empty": True, "wrong": {}}


def test_what_is_others_survives_and_the_families_do_not_meet(in_guest: InGuest) -> None:
    done = in_guest([sys.executable, "-m", "tests.guest.ipvs_scenario", "others"])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "foreign 4": True,
        "foreign 6": True,
        "wrong 4": [],
        "wrong 6": [],
        "kept": True,
    }
