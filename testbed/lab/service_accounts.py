"""What lets the programs of pods ask the API: the files that kubelet projects into every container."""

from __future__ import annotations

from pathlib import Path

from testbed.lab.api_credentials import Credentials
from testbed.lab.api_users import service_account
from testbed.model.objects.pods import Pod


class ServiceAccounts:
    """Keeps them under `folder`, one of each account."""

    def __init__(self, folder: Path, credentials: Credentials) -> None:
        self._folder = folder
        self._credentials = credentials

    def folder(self, pod: Pod) -> Path | None:
        """With token, ca.crt and namespace; None where the pod wants none."""
        if pod.meta.rest.get("spec", {}).get("automountServiceAccountToken") is False:
            return None
        namespace, name = pod.meta.namespace, pod.spec.service_account_name or "default"
        folder = self._folder / namespace / name
        if not folder.exists():
            folder.mkdir(parents=True)
            token = self._credentials.token(service_account(namespace, name))
            ca_pem = self._credentials.ca_pem
            for file, text in (("token", token), ("ca.crt", ca_pem), ("namespace", namespace)):
                (folder / file).write_text(text)
        return folder
