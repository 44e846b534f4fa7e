"""Where ip, iptables and conntrack lie: folders that an ordinary user's PATH lacks."""

from __future__ import annotations

_ADMIN_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"


def with_admin_folders(path: str) -> str:
    """A PATH with the folders of the administrator's tools at its end."""
    return f"{path}:{_ADMIN_FOLDERS}"
