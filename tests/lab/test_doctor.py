"""`testbed doctor` on this host: it tries everything and leaves no trace."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path

import pytest

from testbed.cli.main import main
from testbed.kernel.features import Feature

pytestmark = pytest.mark.lab


def links_and_rules() -> dict[str, str]:
    """What a trial would change if it ran outside its sandbox."""
    names = ("/proc/net/dev", "/proc/net/route", "/proc/net/ip_tables_names", "/proc/mounts")
    texts = {name: Path(name).read_text() for name in names if os.access(name, os.R_OK)}
    texts["/proc/net/dev"] = " ".join(
        line.split(":")[0].strip() for line in texts["/proc/net/dev"].splitlines()
    )
    return texts


def test_doctor_answers_for_every_feature_and_leaves_the_host_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = links_and_rules()
    assert main(["doctor", "-o", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["feature"] for row in rows] == [str(feature) for feature in Feature]
    assert all(bool(row["remedy"]) != row["available"] for row in rows)
    assert links_and_rules() == before


def test_a_process_that_outlives_its_lab_is_found_until_it_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lab = f"ghost-{uuid.uuid4().hex[:8]}"
    with subprocess.Popen(
        ["cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TESTBED_LAB": lab},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"running\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"running\n"
        assert main(["doctor", "--leftovers", "-o", "json"]) == 1
        rows = json.loads(capsys.readouterr().out)
        assert [row["what"] for row in rows if row["lab"] == lab] == [str(process.pid)]
        process.kill()
    main(["doctor", "--leftovers", "-o", "json"])
    assert lab not in capsys.readouterr().out
