"""A pod's volumes as files: what its containers find where they mount them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from testbed.errors import TestbedError, UsageError
from testbed.lab.environment import Surroundings, expanded, field_of, resource
from testbed.model.containers import Container
from testbed.model.objects.pods import Pod
from testbed.model.volumes import (
    DownwardSource,
    HostPathSource,
    KeyToPath,
    ProjectedSource,
    Volume,
    VolumeMount,
)
from testbed.runtime.container_root import Mount
from testbed.runtime.interface import NotYet

Bytes = Callable[[str, str], Mapping[str, bytes] | None]
"""Of a kind (ConfigMap, Secret) and a name: its keys; None: it is not there."""
_BUILT = "emptyDir, hostPath, configMap, secret, downwardAPI and projected"


@dataclass(frozen=True, slots=True)
class File:
    """One of a volume's files; `path` is relative."""

    path: str
    content: bytes
    mode: int


@dataclass(frozen=True, slots=True)
class VolumeFiles:
    """Puts the volumes of one pod under `folder`."""

    pod: Pod
    folder: Path
    around: Surroundings
    keys: Bytes

    def mounts(self, container: Container, env: Mapping[str, str]) -> list[Mount]:
        """What a container mounts. Raises NotYet where something is missing, UsageError for what cannot be."""
        volumes = {volume.name: volume for volume in self.pod.spec.volumes}
        return [
            Mount(*self._shown(wanted, volumes, container, env))
            for wanted in container.volume_mounts
        ]

    def _shown(
        self,
        wanted: VolumeMount,
        volumes: Mapping[str, Volume],
        container: Container,
        env: Mapping[str, str],
    ) -> tuple[str, str, bool]:
        if wanted.name not in volumes:
            raise UsageError(f"the pod has no volume {wanted.name}", "name one of its volumes")
        volume = volumes[wanted.name]
        source = self._source(volume, container)
        sub_path = expanded(wanted.sub_path_expr, env) or wanted.sub_path
        if sub_path:
            source = _below(source, sub_path)
            if not source.exists():
                source.mkdir(parents=True)
        written = volume.empty_dir is None and volume.host_path is None
        return str(source), wanted.mount_path, wanted.read_only or written

    def refresh(self, container: Container) -> None:
        """Write anew what the cluster writes: an object has changed. What has gone stays as it was."""
        mounted = {wanted.name for wanted in container.volume_mounts}
        for volume in self.pod.spec.volumes:
            if volume.name in mounted and not (volume.host_path or volume.empty_dir):
                with suppress(TestbedError):
                    self._source(volume, container)

    def _source(self, volume: Volume, container: Container) -> Path:
        if volume.host_path is not None:
            return _host_path(volume.host_path)
        folder = self.folder / volume.name
        if volume.empty_dir is not None:
            if not folder.exists():
                folder.mkdir(parents=True)
                folder.chmod(0o777)
            return folder
        files = self.files(volume, container)
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            _write(_below(folder, file.path), file)
        return folder

    def files(self, volume: Volume, container: Container) -> list[File]:
        """Of a volume whose files the cluster writes."""
        if (found := volume.config_map) is not None:
            keys = self._keys("ConfigMap", found.name, found.optional)
            return _of_keys(keys, found.items, found.default_mode, found.optional)
        if (secret := volume.secret) is not None:
            keys = self._keys("Secret", secret.secret_name, secret.optional)
            return _of_keys(keys, secret.items, secret.default_mode, secret.optional)
        if volume.downward_api is not None:
            return self._downward(volume.downward_api, container)
        if volume.projected is not None:
            return self._projected(volume.projected, container)
        raise UsageError(
            f"volume {volume.name} is of a kind that is not built", f"there are {_BUILT}"
        )

    def _projected(self, source: ProjectedSource, container: Container) -> list[File]:
        mode = source.default_mode
        files: list[File] = []
        for one in source.sources:
            if (found := one.config_map) is not None:
                keys = self._keys("ConfigMap", found.name, found.optional)
                files += _of_keys(keys, found.items, mode, found.optional)
            if (secret := one.secret) is not None:
                keys = self._keys("Secret", secret.name, secret.optional)
                files += _of_keys(keys, secret.items, mode, secret.optional)
            if one.downward_api is not None:
                files += self._downward(one.downward_api, container)
        return files

    def _downward(self, source: DownwardSource, container: Container) -> list[File]:
        files = []
        for item in source.items:
            text = ""
            if item.field_ref is not None:
                text = field_of(self.pod, item.field_ref.field_path, self.around)
            elif (ref := item.resource_field_ref) is not None:
                text = resource(self.pod, container, ref, self.around.capacity)
            mode = source.default_mode if item.mode is None else item.mode
            files.append(File(item.path, text.encode(), mode))
        return files

    def _keys(self, kind: str, name: str, optional: bool) -> Mapping[str, bytes]:
        keys = self.keys(kind, name)
        if keys is None and not optional:
            raise NotYet(f'{kind.lower()} "{name}" not found')
        return keys or {}


def _of_keys(
    keys: Mapping[str, bytes], items: tuple[KeyToPath, ...], mode: int, optional: bool
) -> list[File]:
    if not items:
        return [File(key, content, mode) for key, content in keys.items()]
    missing = [item.key for item in items if item.key not in keys]
    if missing and not optional:
        raise NotYet(f"references non-existent config key: {missing[0]}")
    return [
        File(item.path, keys[item.key], mode if item.mode is None else item.mode)
        for item in items
        if item.key in keys
    ]


def _write(target: Path, file: File) -> None:
    """Whole or not at all: a container may be reading."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.new")
    fresh.write_bytes(file.content)
    fresh.chmod(file.mode)
    os.replace(fresh, target)


def _below(folder: Path, path: str) -> Path:
    """A path in a folder, which must not lead out of it."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise UsageError(f"{path} leads out of its volume", "give a relative path without ..")
    return folder / path


def _host_path(source: HostPathSource) -> Path:
    """Source: pkg/volume/hostpath."""
    path = Path(source.path)
    if source.type == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    elif source.type == "FileOrCreate":
        path.touch()
    right = path.is_dir() if source.type.startswith("Directory") else path.exists()
    if source.type == "File":
        right = path.is_file()
    if not right:
        what = source.type.lower() or "file or directory"
        raise NotYet(f"hostPath {source.path} is no {what} of this machine")
    return path
