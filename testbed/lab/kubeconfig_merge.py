"""One kubeconfig added to another, as `kind` and others do when they make a cluster."""

from __future__ import annotations

from typing import Any

import yaml

from testbed.errors import UsageError

_LISTS = ("clusters", "contexts", "users")


def merged(text: str, config: dict[str, Any], path: str) -> dict[str, Any]:
    """The kubeconfig of `text` ("": none) with everything of `config`, which wins where names are alike.

    Raises UsageError where the text is no kubeconfig; `path` says whose it is.
    """
    try:
        before = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is no YAML: {error}") from None
    if not isinstance(before, dict) or before.get("kind", "Config") != "Config":
        raise UsageError(f"{path} is no kubeconfig", "use -w FILE for one of the lab's own")
    return {**before, **config, **{key: _added(before, config, key, path) for key in _LISTS}}


def _added(before: dict[str, Any], config: dict[str, Any], key: str, path: str) -> list[Any]:
    have = before.get(key) or []
    if not isinstance(have, list) or not all(isinstance(one, dict) for one in have):
        raise UsageError(f"{path}: {key} is no list of named entries")
    new = {one["name"] for one in config[key]}
    return [*(one for one in have if one.get("name") not in new), *config[key]]
