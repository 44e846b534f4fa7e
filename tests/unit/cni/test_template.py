"""Configurations that differ by node."""

from __future__ import annotations

import json
from typing import Any

import pytest

from testbed.model.cni_template import TemplateError, for_all_nodes, of_node, render, values

DUAL = values(("198.51.100.0/25", "2001:db8:1::/64"), 1450, "n1")
ONE = values(("198.51.100.0/25",), 1450, "n1")
# As kubenet is configured for containerd.
KUBENET = """{
  "name": "kubenet", "cniVersion": "0.3.1",
  "plugins": [{
    "type": "bridge", "mtu": {{.MTU}}, {{/* the node's */}} "alias": "mtu {{.MTU}}",
    "ipam": {
      "type": "host-local",
      "ranges": [{{range $i, $range := .PodCIDRRanges}}{{if $i}}, {{end}}[{"subnet": "{{$range}}"}]{{end}}],
      "routes": [{{range $i, $route := .Routes}}{{if $i}}, {{end}}{"dst": "{{$route}}"}{{end}}]
    }
  }]
}"""


def on(node: Any, families: tuple[int, ...]) -> dict[str, Any]:
    found: dict[str, Any] = of_node(json.loads(for_all_nodes(KUBENET, families)), node)["plugins"][
        0
    ]
    return found


def test_each_node_has_its_own_ranges_and_mtu() -> None:
    assert on(DUAL, (4, 6)) == {
        "type": "bridge",
        "mtu": 1450,
        "alias": "mtu 1450",
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": "198.51.100.0/25"}], [{"subnet": "2001:db8:1::/64"}]],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
        },
    }
    assert on(ONE, (4,))["ipam"]["ranges"] == [[{"subnet": "198.51.100.0/25"}]]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("no words", "no words"),
        ("{{.PodCIDR}} of {{ .NodeName }}", "198.51.100.0/25 of n1"),
        ("{{range .PodCIDRRanges}}<{{.}}>{{end}}", "<198.51.100.0/25><2001:db8:1::/64>"),
        ("{{range $c := .Routes}}{{$c}} {{end}}", "0.0.0.0/0 ::/0 "),
        ("a {{- if .MTU -}} b {{- else}} c{{end}}", "ab"),
        ("{{index .PodCIDRRanges 1}}", "2001:db8:1::/64"),
        ("{{.Routes}}", "[0.0.0.0/0 ::/0]"),
        (
            "{{range $i, $a := .Routes}}{{range $j, $b := .Routes}}{{$i}}{{$j}} {{end}}{{end}}",
            "00 01 10 11 ",
        ),
    ],
)
def test_words_mean_what_they_mean_in_go(text: str, want: str) -> None:
    assert render(text, DUAL) == want


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("\n{{.PodCIDRs}}", 2, "{{.PodCIDRs}} is not understood; there are .PodCIDR"),
        ("{{range .Routes}}", 1, "an {{end}} is missing"),
        ("{{end}}", 1, "{{end}} ends nothing"),
        ("{{range .MTU}}{{end}}", 1, "a range is over a list"),
        ("{{index .Routes 2}}", 1, "there is no such item"),
        ("\n\n{{", 3, "this {{ is never closed"),
        ("{{range .Routes}}{{else}}{{end}}", 1, "{{else}} fits nothing here"),
    ],
)
def test_what_is_no_template_is_said_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(text, DUAL)
    assert message in str(caught.value)
    assert caught.value.line == line
