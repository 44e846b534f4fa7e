"""The first steps of PID 1 in a guest kernel: file systems, modules, the cable to the host."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from testbed.kernel import modules
from testbed.kernel.addresses import address
from testbed.kernel.links import link_up
from testbed.kernel.neighbours import neighbour
from testbed.kernel.netlink import Netlink
from testbed.sandbox.guest import GUEST, HOST, HOST_MAC, PORT, Job
from testbed.sandbox.world import mount

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND = 1, 2, 4, 0x20, 0x1000
_AT_BOOT = (
    "ipv6",
    "veth",
    "bridge",
    "dummy",
    "overlay",
    "iptable_filter",
    "iptable_nat",
    "iptable_mangle",
    "ip6table_filter",
    "ip6table_nat",
    "ip6table_mangle",
    "nf_conntrack",
    "nf_conntrack_netlink",
    "xt_comment",
    "xt_conntrack",
    "xt_addrtype",
    "xt_mark",
    "xt_statistic",
    "xt_recent",
    "xt_multiport",
    "xt_MASQUERADE",
    "xt_nat",
    "xt_REDIRECT",
    "xt_set",
    "ipt_REJECT",
    "ip6t_REJECT",
    "ip_set",
    "ip_set_hash_ip",
    "ip_set_hash_net",
    "ip_set_hash_ipport",
    "ip_set_hash_ipportip",
    "ip_set_hash_ipportnet",
    "ip_set_bitmap_port",
    "sch_netem",
    "ip_vs",
    "ip_vs_rr",
    "ip_vs_wrr",
    "ip_vs_lc",
    "ip_vs_wlc",
    "ip_vs_lblc",
    "ip_vs_lblcr",
    "ip_vs_dh",
    "ip_vs_sh",
    "ip_vs_sed",
    "ip_vs_nq",
    "ip_vs_fo",
    "ip_vs_ovf",
    "ip_vs_mh",
    "br_netfilter",
    "sctp",
    "xt_sctp",
    "vxlan",
)
"""Others are loaded when something asks for them, each by a program. Not so IPVS's schedulers: the kernel
asks for them with IPVS locked, and one that is loaded while a namespace ends waits for that lock (6.1).
"""
_MODPROBE_ROOT = Path("/run/kernel")


def prepare(folder: Path) -> Job:
    """Make the guest a place to live in. `folder` is the one that is written to; it has the job."""
    job = Job.read(folder)
    os.environ.clear()
    os.environ.update(job.env)
    _system_folders()
    if job.modules:
        modules.load(_AT_BOOT, Path(job.modules))
    _scratch(folder)
    if job.modules:
        _modprobe(Path(job.modules))
    _cable()
    return job


def hello() -> tuple[socket.socket, socket.socket]:
    """(listener, connection to the host): who made the host's connection knows that we serve."""
    listener = socket.create_server((str(GUEST.ip), PORT), backlog=64)
    sock = socket.create_connection((str(HOST.ip), PORT))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener, sock


def _system_folders() -> None:
    # In an ordinary user's world root's files are nobody's: a set-user-ID mount would become nobody.
    mount("none", "/", flags=_MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID)
    mount("proc", "/proc", "proc")
    mount("sysfs", "/sys", "sysfs")
    if " /dev devtmpfs " not in Path("/proc/mounts").read_text():  # the kernel may have done it
        mount("devtmpfs", "/dev", "devtmpfs")
    for name, kind in (("pts", "devpts"), ("shm", "tmpfs")):
        Path("/dev", name).mkdir(exist_ok=True)
        mount(kind, f"/dev/{name}", kind, data="ptmxmode=666" if kind == "devpts" else "mode=1777")
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1")):
        link = Path("/dev", name)
        if not link.is_symlink():
            link.symlink_to(target)


def _modprobe(folder: Path) -> None:
    """Let the kernel load what else is asked for: /lib/modules may not be there to mount on."""
    modules_of_release = _MODPROBE_ROOT / "lib/modules" / os.uname().release
    modules_of_release.parent.mkdir(parents=True)
    modules_of_release.symlink_to(folder)
    script = _MODPROBE_ROOT / "modprobe"
    script.write_text(f'#!/bin/sh\nexec modprobe -d {_MODPROBE_ROOT} "$@"\n')
    script.chmod(0o755)
    Path("/proc/sys/kernel/modprobe").write_text(str(script))


def _scratch(folder: Path) -> None:
    """/run is empty, /tmp the host's with what is written kept here; `folder` is the host's own."""
    mount("tmpfs", "/run", "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755")
    for name in ("upper", "work"):
        Path("/run/tmp", name).mkdir(parents=True)
    layers = "lowerdir=/tmp,upperdir=/run/tmp/upper,workdir=/run/tmp/work"
    mount("overlay", "/tmp", "overlay", data=layers)
    folder.mkdir(parents=True, exist_ok=True)
    mount("none", str(folder), "hostfs", data=str(folder))


def _cable() -> None:
    with Netlink() as netlink:
        wire = socket.if_nametoindex("vec0")
        netlink.send(
            [
                link_up(socket.if_nametoindex("lo")),
                link_up(wire),
                address(GUEST, wire),
                neighbour(HOST.ip.packed, HOST_MAC, wire),
            ]
        )
