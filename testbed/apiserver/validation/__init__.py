"""What is wrong with an object beyond its types, with field paths and causes in Kubernetes' own words."""

from __future__ import annotations

from testbed.apiserver.validation.kinds import mistakes

__all__ = ["mistakes"]
