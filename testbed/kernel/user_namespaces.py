"""What keeps ordinary users from having user namespaces."""

from __future__ import annotations

from pathlib import Path

_REFUSALS = (
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor keeps ordinary users from them: "
        "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run as root",
    ),
    (
        "kernel/unprivileged_userns_clone",
        "0",
        "sudo sysctl kernel.unprivileged_userns_clone=1, or run as root",
    ),
    (
        "user/max_user_namespaces",
        "0",
        "sudo sysctl user.max_user_namespaces=10000, or run as root",
    ),
)
"""(setting, refusing value, remedy): Ubuntu 24.04, Debian 10, hardened hosts."""


def user_namespace_remedy(settings: Path = Path("/proc/sys")) -> str:
    """Which setting keeps ordinary users from having user namespaces, and how to change it."""
    for name, refusing, remedy in _REFUSALS:
        try:
            value = (settings / name).read_text().strip()
        except OSError:
            continue  # this kernel does not have the setting
        if value == refusing:
            return remedy
    return (
        "run as root: this kernel refuses user namespaces, or a container around it does"
        " (then: --security-opt seccomp=unconfined --security-opt systempaths=unconfined)"
    )
