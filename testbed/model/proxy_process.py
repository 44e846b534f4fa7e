"""Of `proxy`: what the modes userspace and external need to be told about their processes."""

from __future__ import annotations

from collections.abc import Iterable
from string import Formatter
from typing import Literal

from pydantic import Field, field_validator, model_validator

from testbed.model.scalars import Duration, Text
from testbed.model.strict import Strict
from testbed.spelling import nearest

PLACEHOLDERS = ("node", "node_ip", "kubeconfig", "api", "cluster_cidr", "service_cidr", "folder")
"""What may stand in braces in a command of `external`: see docs/proxy-modes.md."""

Line = tuple[Text, ...]


class Userspace(Strict):
    """The userspace proxy."""

    balancer: Text = Field(
        "roundrobin", description="roundrobin, random, or a plug-in's name", min_length=1
    )
    udp_idle_s: Duration = Field(
        0.25, alias="udpIdleTimeout", description="kube-proxy's --udp-timeout"
    )
    load_path: Text = Field(
        "/load", description="where a balancer that wants loads asks endpoints, over HTTP"
    )
    load_period_s: Duration = Field(0.1, alias="loadPeriod", description="how often it asks")

    @field_validator("load_path")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        if not value.startswith("/") or " " in value:
            raise ValueError(f"{value[:60]!r} is no path; it begins with /")
        return value

    @field_validator("load_period_s")
    @classmethod
    def _takes_time(cls, value: float) -> float:
        if value <= 0:
            raise ValueError("must be longer than 0s")
        return value


class Ready(Strict):
    """When a node's external proxy counts as in place: one of the two."""

    http: Text = Field("", description="a URL that answers 200 in the node's namespace")
    exec: Line = Field((), description="a command that ends with 0 in the node's namespace")

    @field_validator("http", "exec")
    @classmethod
    def _known_fields(cls, value: str | Line) -> str | Line:
        _check_fields([value] if isinstance(value, str) else value)
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Ready:
        if bool(self.http) == bool(self.exec):
            raise ValueError("needs either http or exec")
        return self


class External(Strict):
    """Somebody else's proxy: a command that runs on every node."""

    command: Line = Field(
        (), description=f"fields in braces are filled in: {', '.join(PLACEHOLDERS)}"
    )
    env: dict[Text, Text] = Field({}, description="environment besides the lab's own")
    ready: Ready | None = Field(
        None, description="what `up` waits for; without: only that the command runs"
    )
    restart_policy: Literal["Always", "Never"] = Field(
        "Always", description="Always: it is started again when it ends"
    )
    rules: Line = Field(
        ("nft", "list", "ruleset"), description="what `testbed rules` runs in the node's namespace"
    )

    @field_validator("command", "rules")
    @classmethod
    def _known_fields(cls, value: Line) -> Line:
        _check_fields(value)
        return value

    @field_validator("env")
    @classmethod
    def _known_fields_of_values(cls, value: dict[str, str]) -> dict[str, str]:
        _check_fields(value.values())
        return value


def _check_fields(words: Iterable[str]) -> None:
    for word in words:
        try:
            fields = [name for _, name, _, _ in Formatter().parse(word) if name is not None]
        except ValueError as error:
            raise ValueError(f"{word!r}: {error}; a brace itself is written twice") from None
        for name in fields:
            if name not in PLACEHOLDERS:
                meant = nearest(name, PLACEHOLDERS)
                hint = (
                    f"did you mean {{{meant}}}?" if meant else f"known: {', '.join(PLACEHOLDERS)}"
                )
                raise ValueError(f"no field {{{name}}} in {word!r}; {hint}")
