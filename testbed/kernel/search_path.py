"""Where ip, iptables and conntrack lie: folders that an ordinary user's PATH lacks."""

from __future__ import annotations

import os
from collections.abc import Mapping

_ADMIN_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"


def with_admin_folders(path: str) -> str:
    """A PATH with the folders of the administrator's tools at its end."""
    return f"{path}:{_ADMIN_FOLDERS}"


def tool_path() -> str:
    """What tools are looked up in."""
    return with_admin_folders(os.environ.get("PATH", os.defpath))


def with_tools(env: Mapping[str, str]) -> dict[str, str]:
    """A user's environment as programs in a lab have it: they find ip and iptables."""
    return {**env, "PATH": with_admin_folders(env.get("PATH", os.defpath))}
