"""Two nodes' rules compared: what does the same is alike, what does not is found in its chain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from testbed.cli import main as cli
from testbed.errors import UsageError
from testbed.trace.difference import differences
from tests.unit.trace.dumps import iptables_save, nft_list

SAVE, LIST = iptables_save(), nft_list()
A_SERVICE = re.compile(r"-A KUBE-SERVICES .*-j (KUBE-SVC-\w+)\n")


def without_comments(text: str) -> str:
    return re.sub(r' -m comment --comment "[^"]*"', "", text)


def with_counters(text: str) -> str:
    return re.sub(r"^-A ", "[12:3456] -A ", text, flags=re.MULTILINE)


def dispatch_reversed(text: str) -> str:
    """The order of services in KUBE-SERVICES is a map's."""
    lines = text.splitlines(keepends=True)
    places = [at for at, line in enumerate(lines) if A_SERVICE.match(line)]
    turned = [lines[at] for at in reversed(places)]
    for at, line in zip(places, turned, strict=True):
        lines[at] = line
    return "".join(lines)


@pytest.mark.parametrize("change", [without_comments, with_counters, dispatch_reversed])
def test_what_does_the_same_is_alike(change: object) -> None:
    assert callable(change)
    changed = change(SAVE)
    assert changed != SAVE
    assert differences(SAVE, changed) == []


def test_rules_of_others_do_not_count() -> None:
    others = {"filter": "-A FORWARD -i docker0 -j ACCEPT\n"}
    assert differences(SAVE, iptables_save(before=others)) == []


def test_endpoints_in_another_order_have_the_same_shares() -> None:
    first = (
        "*nat\n:KUBE-SVC-A - [0:0]\n"
        "-A KUBE-SVC-A -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-B\n"
        "-A KUBE-SVC-A -j KUBE-SEP-C\nCOMMIT\n"
    )
    second = (
        first.replace("KUBE-SEP-B", "X")
        .replace("KUBE-SEP-C", "KUBE-SEP-B")
        .replace("X", "KUBE-SEP-C")
    )
    assert differences(first, second) == []
    uneven = first.replace("0.5000000000", "0.9000000000")
    assert [one.chain for one in differences(first, uneven)] == ["KUBE-SVC-A"]


def test_a_missing_rule_and_another_one_are_found_in_their_chain() -> None:
    found = A_SERVICE.search(SAVE)
    assert found is not None
    (missing,) = differences(SAVE, SAVE.replace(found[0], "", 1))
    assert (missing.table, missing.chain) == ("nat", "KUBE-SERVICES")
    assert [found[1] in line for line in missing.only_first] == [True]
    assert missing.only_second == ()


def test_a_chain_s_service_is_named() -> None:
    target = re.search(r"-A (KUBE-SEP-\w+) .*--to-destination (\S+)\n", SAVE)
    assert target is not None
    (found,) = differences(SAVE, SAVE.replace(target[0], target[0].replace(":8080", ":9090")))
    assert found.chain == target[1]
    assert found.service.startswith("flows/")


def test_nftables() -> None:
    assert differences(LIST, nft_list(others="table inet firewalld {\n}\n")) == []
    changed = re.sub(r"(goto endpoint-\w+)", "drop", LIST, count=1)
    if changed == LIST:
        changed = LIST.replace("8080", "9090", 1)
    found = differences(LIST, changed)
    assert len(found) == 1
    assert found[0].only_first
    assert found[0].only_second


@pytest.mark.parametrize("texts", [(SAVE, LIST), (SAVE, "nothing\n")])
def test_what_cannot_be_compared_is_said(texts: tuple[str, str]) -> None:
    with pytest.raises(UsageError):
        differences(*texts)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text(SAVE)
    b.write_text(SAVE.replace(":8080", ":9090"))
    assert cli.main(["rules", "--diff", str(a), str(a)]) == 0
    assert capsys.readouterr() == ("\n", "they do the same\n")
    assert cli.main(["rules", "--diff", str(a), str(b)]) == 1
    assert "  + -A KUBE-SEP-" in capsys.readouterr().out
    assert cli.main(["rules", "--diff", str(a)]) == 2
    assert cli.main(["rules"]) == 2
