"""A stock kubectl and a lab, as a person at a shell has them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

PATIENCE = "--timeout=120s"
"""Of commands that wait for the lab: however busy the machine is."""
_PATIENCE_S = 150.0


@dataclass(frozen=True)
class Kubectl:
    """Runs it with a kubeconfig, in a namespace ("": the client's own choice)."""

    kubeconfig: Path
    namespace: str = ""

    @cached_property
    def version(self) -> tuple[int, int]:
        """Of the client."""
        said = json.loads(self("version", "--client", "-o", "json"))["clientVersion"]
        return int(said["major"]), int(said["minor"].rstrip("+"))

    @property
    def reaches_into_pods(self) -> bool:
        """It asks by WebSocket, as since 1.31, and not by SPDY, which no server of today needs."""
        return self.version >= (1, 31)

    def argv(self, *arguments: str) -> list[str]:
        """The command line. What the machine has; a test without one is a failure, not a pass."""
        kubectl = shutil.which("kubectl")
        assert kubectl is not None, "no kubectl: scripts/setup test"
        where = ["--namespace", self.namespace] if self.namespace else []
        return [kubectl, *where, *arguments]

    def run(
        self, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end, whatever that is."""
        return subprocess.run(
            self.argv(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
            env=self.env(env),
        )

    def env(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Its environment: a cache of discovery of its own, as addresses come again."""
        home = str(self.kubeconfig.parent)
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": home, **(more or {})}

    def __call__(
        self, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> str:
        """What it prints. It must succeed."""
        done = self.run(*arguments, stdin=stdin, env=env)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    def refused(self, *arguments: str, stdin: str = "") -> str:
        """What it says where it must fail."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode != 0, f"kubectl {' '.join(arguments)} went well: {done.stdout}"
        return done.stderr

    def json(self, *arguments: str) -> Any:
        """An answer in JSON."""
        return json.loads(self(*arguments, "-o", "json"))

    def value(self, path: str, *arguments: str) -> str:
        """A JSONPath of what `get` finds."""
        return self("get", *arguments, "-o", f"jsonpath={{{path}}}")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it, with its output in a pipe."""
        return subprocess.Popen(
            self.argv(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.env(),
        )
