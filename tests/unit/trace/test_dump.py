"""Dumps of real nodes through the tracer: the proxy's rules between those of Calico, Docker and firewalld."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.cli import main as cli
from testbed.errors import UsageError
from testbed.proxy.packet import Packet
from testbed.trace.dump import tracer_of
from testbed.trace.offline import account, packet_of
from tests.addresses import PLAN
from tests.unit.trace.dumps import NODE, POD, SERVICE, iptables_save, nft_list

LOCAL = (PLAN.nodes[NODE],)
ON_ITS_WAY = Packet("tcp", POD, SERVICE, 80)

CALICO = {
    "nat": (
        ":cali-PREROUTING - [0:0]\n:cali-fip-dnat - [0:0]\n"
        '-A PREROUTING -m comment --comment "cali:6gwbT8clXdHdC1b1" -j cali-PREROUTING\n'
        '-A cali-PREROUTING -m comment --comment "cali:r6XmIziWUJsdOK6Z" -j cali-fip-dnat\n'
        "-A POSTROUTING -m set --match-set cali40masq-ipam-pools src -m udp -p udp -j MASQUERADE\n"
    ),
    "filter": (
        ":cali-FORWARD - [0:0]\n"
        "-A FORWARD -j cali-FORWARD\n"
        "-A cali-FORWARD -j MARK --set-xmark 0x0/0xe0000\n"
        "-A cali-FORWARD -m mark --mark 0x10000/0x10000 -j ACCEPT\n"
        "-A cali-FORWARD -p icmp -m limit --limit 3/min -j DROP\n"
    ),
}
DOCKER = {
    "nat": (
        ":DOCKER - [0:0]\n"
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n"
        "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\n"
    ),
    "filter": (
        "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
        "-A FORWARD -p tcp -m multiport --dports 25,6000:6063 -j DROP\n"
        '-A FORWARD -j LOG --log-prefix "forwarded: "\n'
    ),
}
UFW = {"filter": "-A FORWARD -m hashlimit --hashlimit-above 1/s --hashlimit-name x -j DROP\n"}
ELSEWHERE = {"filter": "-A INPUT -m u32 --u32 0x1 -j WEIRD\n"}
CALICO_WORKLOADS = {"filter": "-A FORWARD -i cali+ -j DROP\n"}


@pytest.mark.parametrize(
    "others", [{}, CALICO, DOCKER, ELSEWHERE], ids=["alone", "calico", "docker", "off the way"]
)
def test_rules_of_others_that_are_understood_or_not_met_change_nothing(
    others: dict[str, str],
) -> None:
    tracer = tracer_of(iptables_save(before=others), LOCAL)
    outcomes = tracer.from_wire(ON_ITS_WAY)
    assert {one.verdict for one in outcomes} == {"accepted"}
    assert sum(one.probability for one in outcomes) == pytest.approx(1.0)
    assert all(one.packet.translated for one in outcomes)


def test_docker_s_own_port_is_followed() -> None:
    tracer = tracer_of(iptables_save(before=DOCKER), LOCAL, in_interface="eth0")
    (outcome,) = tracer.from_wire(Packet("tcp", POD, LOCAL[0], 8080))
    assert outcome.destination == "172.17.0.2:80"


def test_a_rule_that_is_not_understood_is_named_with_its_place() -> None:
    found = account(tracer_of(iptables_save(before=UFW), LOCAL), ON_ITS_WAY, LOCAL)
    assert {row["verdict"] for row in found["outcomes"]} == {"unknown"}
    (reason,) = found["not_understood"]
    assert reason.startswith("table filter: -m hashlimit is not understood")
    assert "-A FORWARD -m hashlimit --hashlimit-above 1/s" in reason


def test_what_only_the_interface_decides_is_asked_for() -> None:
    text = iptables_save(before=CALICO_WORKLOADS)
    unknown = account(tracer_of(text, LOCAL), ON_ITS_WAY, LOCAL)
    assert "which interface the packet goes in by is not known" in unknown["not_understood"][0]
    (dropped,) = {
        one.verdict for one in tracer_of(text, LOCAL, in_interface="cali1").from_wire(ON_ITS_WAY)
    }
    assert dropped == "dropped"
    (passed,) = {
        one.verdict for one in tracer_of(text, LOCAL, in_interface="eth0").from_wire(ON_ITS_WAY)
    }
    assert passed == "accepted"


def test_a_policy_decides_at_the_end_of_a_built_in_chain() -> None:
    outcomes = tracer_of(iptables_save(policy="DROP"), LOCAL).from_wire(ON_ITS_WAY)
    assert {one.verdict for one in outcomes} == {"dropped"}
    assert outcomes[0].rules[-1].startswith("policy DROP of FORWARD")


FIREWALLD = """table inet firewalld {
\tset blocked {
\t\ttype ipv4_addr
\t\tflags interval
\t\telements = { 198.51.100.0/24, 203.0.113.1-203.0.113.9 }
\t}

\tchain filter_FORWARD {
\t\ttype filter hook forward priority filter + 10; policy accept;
\t\tct state { established, related } accept
\t\tct state invalid drop
\t\tiifname "lo" accept
\t\tip saddr @blocked counter packets 0 bytes 0 drop
\t\tmeta l4proto icmp accept
\t\tjump extra
\t\tEND
\t}

\tchain extra {
\t\ttcp dport { 22, 6000-6063 } accept
\t\treturn
\t}
}
table bridge nobody {
\tchain any {
\t\tcompletely unknown
\t}
}
"""


@pytest.mark.parametrize(
    ("end", "verdicts"),
    [
        ('log prefix "end" accept', {"accepted"}),
        ("reject with icmpx admin-prohibited", {"rejected"}),
        ("limit rate 1/second drop", {"unknown"}),
        ("tcp dport 8080 drop", {"dropped"}),
        ("ip saddr 203.0.113.0/24 limit rate 1/second drop", {"accepted"}),
    ],
)
def test_tables_of_others_in_nftables(end: str, verdicts: set[str]) -> None:
    tracer = tracer_of(nft_list(others=FIREWALLD.replace("END", end)), LOCAL)
    outcomes = tracer.from_wire(ON_ITS_WAY)
    assert {one.verdict for one in outcomes} == verdicts
    assert all(("limit rate" in one.reason) == (one.verdict == "unknown") for one in outcomes)


@pytest.mark.parametrize("text", [iptables_save(), nft_list()], ids=["iptables-save", "nft"])
def test_the_command_line(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump = tmp_path / "dump"
    dump.write_text(text)
    argv = ["trace", "--rules", str(dump), "--from", POD, "--to", f"{SERVICE}:80"]
    assert cli.main([*argv, "--node-ip", LOCAL[0]]) == 0
    assert "p=" in capsys.readouterr().out
    assert cli.main([*argv, "-o", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sum(row["probability"] for row in told["outcomes"]) == pytest.approx(1.0)


def test_the_command_line_says_1_for_what_is_not_understood(tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    dump.write_text(iptables_save(before=UFW))
    assert cli.main(["trace", "--rules", str(dump), "--from", POD, "--to", f"{SERVICE}:80"]) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rules", "DUMP"), "--rules needs no lab, but --from and --to"),
        (("--rules", "/nonexistent", "--from", POD, "--to", f"{SERVICE}:80"), "cannot read"),
        (("--rules", "NONE", "--from", POD, "--to", f"{SERVICE}:80"), "neither iptables-save's"),
        (("--rules", "DUMP", "--from", "pod", "--to", f"{SERVICE}:80"), "is no connection"),
        (("--rules", "DUMP", "--from", POD, "--to", "[fd00::1]:80"), "both of one IP family"),
        (("lab",), "trace what?"),
    ],
)
def test_wrong_use_is_said(
    arguments: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (("DUMP", iptables_save()), ("NONE", "hello\n")):
        (tmp_path / name).write_text(text)
    argv = [str(tmp_path / one) if one in {"DUMP", "NONE"} else one for one in arguments]
    assert cli.main(["trace", *argv]) == 2
    assert said in capsys.readouterr().err


def test_a_port_is_part_of_what_is_dialled() -> None:
    with pytest.raises(UsageError):
        packet_of(POD, SERVICE, "tcp")
