"""A pod's volumes, and where its containers see them."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.spelled import Spelled

# What is asked of objects, in volumes as in environments


@dataclass(frozen=True, slots=True)
class ObjectFieldSelector(Spelled):
    """A field of the pod, as in metadata.name."""

    field_path: str
    api_version: str = "v1"


@dataclass(frozen=True, slots=True)
class ResourceFieldSelector(Spelled):
    """A quantity of a container, as in limits.cpu, in units of `divisor`."""

    resource: str
    container_name: str = ""
    divisor: str | int = "1"


@dataclass(frozen=True, slots=True)
class KeySelector(Spelled):
    """A key of the ConfigMap or Secret `name`."""

    key: str
    name: str = ""
    optional: bool = False


# Volumes


@dataclass(frozen=True, slots=True)
class KeyToPath(Spelled):
    key: str
    path: str
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class EmptyDirSource(Spelled):
    medium: str = ""
    size_limit: str | int | None = None


@dataclass(frozen=True, slots=True)
class HostPathSource(Spelled):
    path: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class ConfigMapSource(Spelled):
    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    default_mode: int = 0o644
    optional: bool = False


@dataclass(frozen=True, slots=True)
class SecretSource(Spelled):
    secret_name: str = ""
    items: tuple[KeyToPath, ...] = ()
    default_mode: int = 0o644
    optional: bool = False


@dataclass(frozen=True, slots=True)
class DownwardFile(Spelled):
    path: str
    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class DownwardSource(Spelled):
    items: tuple[DownwardFile, ...] = ()
    default_mode: int = 0o644


@dataclass(frozen=True, slots=True)
class SecretProjection(Spelled):
    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Projection(Spelled):
    """One of them is set."""

    config_map: ConfigMapSource | None = None
    secret: SecretProjection | None = None
    downward_api: DownwardSource | None = None


@dataclass(frozen=True, slots=True)
class ProjectedSource(Spelled):
    sources: tuple[Projection, ...] = ()
    default_mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Volume(Spelled):
    """One of the sources is set; none: the manifest names one that is not built."""

    name: str
    empty_dir: EmptyDirSource | None = None
    host_path: HostPathSource | None = None
    config_map: ConfigMapSource | None = None
    secret: SecretSource | None = None
    downward_api: DownwardSource | None = None
    projected: ProjectedSource | None = None


@dataclass(frozen=True, slots=True)
class VolumeMount(Spelled):
    name: str
    mount_path: str
    sub_path: str = ""
    sub_path_expr: str = ""
    read_only: bool = False
