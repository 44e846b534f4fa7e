"""What a pod's resolv.conf says and the names that a libc tries because of it."""

from __future__ import annotations

import pytest

from testbed.dns.search import ResolvConf, candidates, parse_resolv_conf, pod_resolv_conf

POD = pod_resolv_conf("shop", "cluster.local", ("10.96.0.10",))


def test_a_pods_file_is_the_one_the_kubelet_writes() -> None:
    assert POD.text() == (
        "search shop.svc.cluster.local svc.cluster.local cluster.local\n"
        "nameserver 10.96.0.10\n"
        "options ndots:5\n"
    )


def test_a_pods_file_reads_back_as_written() -> None:
    assert parse_resolv_conf(POD.text()) == POD


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ResolvConf(("127.0.0.1",))),
        ("# c\n; c\nnameserver\nfoo bar\nnameserver 10.0.0.1 # x", ResolvConf(("10.0.0.1",))),
        ("nameserver 1.1.1.1\n" * 4, ResolvConf(("1.1.1.1",) * 3)),
        ("search a b.\nsearch c. .\nnameserver 1.1.1.1", ResolvConf(("1.1.1.1",), ("c",))),
        ("domain a.b c\nnameserver 1.1.1.1", ResolvConf(("1.1.1.1",), ("a.b",))),
        (
            "nameserver 1.1.1.1\noptions ndots:99 timeout:0 rotate attempts:9\noptions timeout:x",
            ResolvConf(("1.1.1.1",), ndots=15, timeout_s=1.0, attempts=5),
        ),
    ],
)
def test_files_are_read_as_glibc_reads_them(text: str, expected: ResolvConf) -> None:
    assert parse_resolv_conf(text) == expected


@pytest.mark.parametrize(
    ("name", "ndots", "expected"),
    [
        ("web", 5, ("web.a.b", "web.b", "web")),
        ("web.", 5, ("web",)),
        ("web.shop.svc.cluster.local", 5, None),
        ("web.shop.svc.cluster.local", 4, ("web.shop.svc.cluster.local", "", "")),
        ("web.shop", 1, ("web.shop", "web.shop.a.b", "web.shop.b")),
        ("web.shop.svc.cluster.local.", 5, ("web.shop.svc.cluster.local",)),
    ],
)
def test_ndots_decides_whether_the_search_list_comes_first(
    name: str, ndots: int, expected: tuple[str, ...] | None
) -> None:
    found = candidates(name, ResolvConf(("1.1.1.1",), ("a.b", "b"), ndots=ndots))
    if expected is None:  # four dots are fewer than five: the famous extra queries
        assert found == (f"{name}.a.b", f"{name}.b", name)
    else:
        assert found[0] == expected[0]
        assert len(found) == len(expected)
        assert all(got == want for got, want in zip(found, expected, strict=True) if want)
