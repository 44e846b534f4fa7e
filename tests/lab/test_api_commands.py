"""`testbed kubeconfig`, `kubectl` and `apply`, typed by root and by an ordinary user."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.lab.conftest import ONCE, User, unique_name

pytestmark = [pytest.mark.lab, ONCE]

TOPOLOGY = "{name: api, nodes: {n1: {}}, dns: {replicas: 0}, workloads: {web: {}}}\n"
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1'}\n"
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  ports:\n  - port: 80000\n"


@pytest.fixture(scope="module")
def lab(user: User) -> Iterator[str]:
    """The name of a lab."""
    name = unique_name()
    done = user.testbed("up", user.file("api.yaml", TOPOLOGY), "--name", name)
    assert done.returncode == 0, done.stderr
    yield name
    user.testbed("down", name)


def said(user: User, *arguments: str, code: int = 0, stdin: str = "") -> str:
    """What a command prints, on both streams; it must end with this code."""
    done = user.testbed(*arguments, stdin=stdin)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_kubeconfig_is_its_owners_alone_and_lets_in(user: User, lab: str) -> None:
    path = Path(said(user, "kubeconfig", lab).strip())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = yaml.safe_load(path.read_text())
    assert config == json.loads(said(user, "kubeconfig", lab, "-o", "json"))
    address = config["clusters"][0]["cluster"]["server"]
    assert address.startswith("https://127.0.0.1:")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{address}/api/v1/pods", context=_trusting(config), timeout=30)
    assert refused.value.code == 401


def _trusting(config: dict[str, list[dict[str, dict[str, str]]]]) -> ssl.SSLContext:

    data = config["clusters"][0]["cluster"]["certificate-authority-data"]
    return ssl.create_default_context(cadata=base64.b64decode(data).decode())


def test_it_is_merged_into_ones_own(user: User, lab: str) -> None:
    own = user.folder / "own" / "config"
    done = user.testbed("kubeconfig", lab, "--merge", env={"KUBECONFIG": str(own)})
    assert done.stdout.strip() == str(own)
    assert yaml.safe_load(own.read_text())["current-context"] == f"testbed-{lab}"


def test_kubectl_is_the_users_own(user: User, lab: str) -> None:
    assert "node/n1" in said(user, "kubectl", lab, "--", "get", "nodes", "-o", "name")
    assert "node/n1" in said(user, "kubectl", lab, "get", "nodes", "-o", "name")
    assert '"no" not found' in said(user, "kubectl", lab, "--", "get", "pod", "no", code=1)


def test_without_kubectl_there_is_a_remedy(user: User, lab: str) -> None:
    folder = user.folder / "no-kubectl"
    folder.mkdir(exist_ok=True)
    for tool in ("env", "setpriv"):  # who types the command has these
        found = shutil.which(tool)
        if found and not (folder / tool).exists():
            (folder / tool).symlink_to(found)
    done = user.testbed("kubectl", lab, "get", "nodes", env={"PATH": str(folder)})
    assert done.returncode == 3
    assert "kubectl is not on the PATH (install it" in done.stderr


def test_apply_says_what_became_of_each_object(user: User, lab: str) -> None:
    file = user.file("a.yaml", CONFIG_MAP)
    assert said(user, "apply", lab, "-f", file, "--dry-run") == "configmap/a created (dry run)\n"
    assert said(user, "apply", lab, "-f", file) == "configmap/a created\n"
    assert said(user, "apply", lab, "-f", "-", stdin=CONFIG_MAP) == "configmap/a unchanged\n"
    changed = CONFIG_MAP.replace("x: '1'", "y: '2'")
    rows = json.loads(said(user, "apply", lab, "-f", "-", "-o", "json", stdin=changed))
    assert rows == [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "namespace": "default",
            "name": "a",
            "result": "configured",
        }
    ]
    get = ("kubectl", lab, "--", "get", "configmap", "a", "-o", "jsonpath={.data}")
    assert json.loads(said(user, *get)) == {"y": "2"}


def test_apply_shows_mistakes_where_they_are(user: User, lab: str) -> None:
    file = user.file("b.yaml", f"{CONFIG_MAP.replace('name: a', 'name: b')}---\n{SERVICE}")
    printed = said(user, "apply", lab, "-f", file, code=2)
    assert "configmap/b created" in printed
    assert f"{file}:11:11: spec.ports[0].port: Invalid value: 80000" in printed
    unknown = "{apiVersion: v1, kind: Servise, metadata: {name: a}}"
    assert "did you mean Service?" in said(user, "apply", lab, "-f", "-", code=2, stdin=unknown)
    nowhere = CONFIG_MAP.replace("{name: a}", "{name: a, namespace: no}")
    printed = said(user, "apply", lab, "-f", "-", code=1, stdin=nowhere)
    assert 'namespaces "no" not found' in printed


def test_a_lab_that_is_not_there(user: User) -> None:
    for command in (["kubeconfig", "no-lab"], ["kubectl", "no-lab", "get", "pods"]):
        assert "no lab 'no-lab'" in said(user, *command, code=4)
