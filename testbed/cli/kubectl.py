"""`testbed kubectl`: the user's own kubectl, pointed at a lab."""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from testbed.cli.arguments import add_lab_argument
from testbed.errors import MissingFeature

_REMEDY = (
    "install it: https://kubernetes.io/docs/tasks/tools/ (Debian and Ubuntu: apt-get install "
    "kubernetes-client); without it, `testbed apply` and `testbed inspect`"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_lab_argument(parser)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="-- ARGS…", help="kubectl's")


def run(args: argparse.Namespace) -> int:
    """Become kubectl: its exit code is the answer."""
    from testbed.cli.kubeconfig import written
    from testbed.lab.client import Lab

    lab = Lab.attach(args.lab)
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise MissingFeature("kubectl is not on the PATH", _REMEDY)
    arguments = args.arguments[1:] if args.arguments[:1] == ["--"] else args.arguments
    path = written(lab)
    lab.close()
    sys.stdout.flush()
    os.execve(kubectl, ["kubectl", *arguments], {**os.environ, "KUBECONFIG": str(path)})
