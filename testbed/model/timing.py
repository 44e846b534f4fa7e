"""`timing:` of a topology: Kubernetes' own delays, and delays as distributions."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Protocol

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from testbed.model.scalars import Duration
from testbed.model.strict import Strict

Family = Literal["constant", "uniform", "exponential", "lognormal"]

_PARAMETERS: dict[str, tuple[str, ...]] = {
    "constant": ("value",),
    "uniform": ("low", "high"),
    "exponential": ("mean",),
    "lognormal": ("median", "p99"),
}
_Z99 = 2.3263478740408408
"""The 99 % quantile of the standard normal distribution."""


class Chance(Protocol):
    """What a delay is drawn with: `random.Random` has these."""

    def uniform(self, a: float, b: float) -> float: ...

    def expovariate(self, lambd: float) -> float: ...

    def lognormvariate(self, mu: float, sigma: float) -> float: ...


class Delay(Strict):
    """A duration, or a distribution of durations, in seconds."""

    distribution: Family = Field("constant", description="the distribution's family")
    value: Duration | None = Field(None, description="of constant")
    low: Duration | None = Field(None, description="of uniform: the least")
    high: Duration | None = Field(None, description="of uniform: the most")
    mean: Duration | None = Field(None, description="of exponential")
    median: Duration | None = Field(None, description="of lognormal")
    p99: Duration | None = Field(None, description="of lognormal: 99 % are below")

    @model_validator(mode="after")
    def _has_its_parameters(self) -> Delay:
        needed = _PARAMETERS[self.distribution]
        given = {name for name in _ALL_PARAMETERS if getattr(self, name) is not None}
        if given != set(needed):
            raise ValueError(f"{self.distribution} takes {' and '.join(needed)}")
        if self.distribution == "uniform" and self._number("low") > self._number("high"):
            raise ValueError("low is above high")
        if self.distribution == "lognormal" and not (
            0 < self._number("median") <= self._number("p99")
        ):
            raise ValueError("lognormal takes a median above 0 and a p99 not below it")
        return self

    @property
    def none(self) -> bool:
        """Whether it is always zero."""
        return self.distribution == "constant" and not self.value

    def draw(self, chance: Chance) -> float:
        """One delay in seconds."""
        if self.distribution == "uniform":
            return chance.uniform(self._number("low"), self._number("high"))
        if self.distribution == "exponential":
            mean = self._number("mean")
            return chance.expovariate(1 / mean) if mean else 0.0
        if self.distribution == "lognormal":
            mu = math.log(self._number("median"))
            return chance.lognormvariate(mu, (math.log(self._number("p99")) - mu) / _Z99)
        return self._number("value")

    def _number(self, name: str) -> float:
        number: float = getattr(self, name)
        return number


_ALL_PARAMETERS = tuple(name for names in _PARAMETERS.values() for name in names)


def _from_duration(value: Any) -> Any:
    return {"value": value} if isinstance(value, str | int | float) else value


AnyDelay = Annotated[
    Delay,
    BeforeValidator(_from_duration),
    WithJsonSchema(
        {
            "description": "a duration, or {distribution: FAMILY, ...}: "
            + "; ".join(f"{name} takes {', '.join(keys)}" for name, keys in _PARAMETERS.items()),
            "anyOf": [
                {"type": ["string", "number"]},
                {
                    "type": "object",
                    "properties": {
                        "distribution": {"enum": list(_PARAMETERS)},
                        **{
                            key: {"type": ["string", "number", "null"]}
                            for keys in _PARAMETERS.values()
                            for key in keys
                        },
                    },
                    "additionalProperties": False,
                },
            ],
        }
    ),
]
_NO_DELAY = Delay(value=0.0)


class Timing(Strict):
    """Delays that Kubernetes itself has, with its defaults. Any other value is a factor."""

    relist_period_s: Duration = Field(
        1.0,
        alias="relistPeriod",
        description="how often the kubelet looks at its containers (PLEG relist)",
    )
    probe_period_s: Duration = Field(
        10.0, alias="probePeriod", description="periodSeconds of a probe that does not say its own"
    )
    node_monitor_period_s: Duration = Field(
        5.0, alias="nodeMonitorPeriod", description="how often the node controller looks at nodes"
    )
    node_monitor_grace_period_s: Duration = Field(
        50.0,
        alias="nodeMonitorGracePeriod",
        description="how long a silent node still counts as ready",
    )
    not_ready_toleration_s: Duration = Field(
        300.0, alias="notReadyToleration", description="how long a pod stays on a node not ready"
    )
    restart_backoff_s: Duration = Field(
        10.0, alias="restartBackoff", description="wait before a container's second restart"
    )
    restart_backoff_max_s: Duration = Field(
        300.0, alias="restartBackoffMax", description="the wait doubles up to this"
    )
    fake_start_s: Duration = Field(
        0.0,
        alias="fakeStart",
        description="from the creation of a pod on a fake node until it is ready",
    )
    fake_stop_s: Duration = Field(
        0.0,
        alias="fakeStop",
        description="from its deletion until it is gone, if its grace period is not shorter",
    )
    api_delay: AnyDelay = Field(
        _NO_DELAY, alias="apiDelay", description="what each write waits for API server and etcd"
    )
    watch_delay: AnyDelay = Field(
        _NO_DELAY, alias="watchDelay", description="from a write until a watcher sees it"
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Timing:
        for name in (
            "relist_period_s",
            "probe_period_s",
            "node_monitor_period_s",
            "node_monitor_grace_period_s",
        ):
            if getattr(self, name) < 0.01:
                alias = type(self).model_fields[name].alias
                raise ValueError(f"{alias} must be at least 10ms")
        if self.restart_backoff_max_s < self.restart_backoff_s:
            raise ValueError("restartBackoffMax is below restartBackoff")
        return self

    def changed(self) -> dict[str, Any]:
        """The keys that are not Kubernetes' defaults, as in the YAML."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
