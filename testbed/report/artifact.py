"""What goes into a bundle for artifact evaluation: a run, what made it, and how to check both.

Equal runs give equal bytes: nothing in a bundle depends on when, where or by whom it was packed.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from typing import Any

import jinja2
from ruamel.yaml import YAML

from testbed.analysis.run import Run
from testbed.errors import UsageError

SUMS = "SHA256SUMS"
CHECK = "check.py"
_PROGRAM = 0o755
_FILE = 0o644

_pages = jinja2.Environment(
    loader=jinja2.PackageLoader("testbed.report"),
    undefined=jinja2.ChainableUndefined,  # runs of older versions lack some keys
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # it is Markdown
)


def files(run: Run, sources: Mapping[str, bytes]) -> dict[str, bytes]:
    """Path in the bundle -> content; `sources` come from elsewhere: check.py, the experiment's file, licence.

    Raises UsageError for a run that has not been finished.
    """
    if run.meta.get("status") != "complete":
        raise UsageError(
            f"{run.directory} is not complete",
            "finish it with `testbed run EXPERIMENT --resume RUN`",
        )
    found = {f"results/{path}": content for path, content in _results(run).items()}
    found |= sources
    found |= {
        "requirements.txt": _requirements(run.meta).encode(),
        **{f"topologies/{name}.yaml": text for name, text in _topologies(run.meta).items()},
    }
    found["README.md"] = readme(run, sorted(found)).encode()
    found[SUMS] = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {path}\n"
        for path, content in sorted(found.items())
    ).encode()
    return found


def packed(name: str, content: Mapping[str, bytes]) -> bytes:
    """A gzipped tar archive of one folder `name`: sorted, without owners and times."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, data in sorted(content.items()):
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size = len(data)
            entry.mode = _PROGRAM if path == CHECK else _FILE
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), compresslevel=6, mtime=0)


def name_of(run: Run) -> str:
    """Of the folder in the bundle: experiment and run."""
    return f"{run.meta['experiment']}-{run.directory.resolve().name}"


def _results(run: Run) -> dict[str, bytes]:
    root = run.directory
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def _requirements(meta: Mapping[str, Any]) -> str:
    packages = meta.get("environment", {}).get("packages", {})
    return "".join(f"{name}=={version}\n" for name, version in sorted(packages.items()))


def _topologies(meta: Mapping[str, Any]) -> dict[str, bytes]:
    """One per arm, as it was resolved; arms that share one share the file."""
    arms = meta.get("arms") or [{"factors": {}, "topology": meta.get("topology", {})}]
    texts: dict[bytes, list[str]] = {}
    for number, arm in enumerate(arms):
        factors = " ".join(f"{name}={value}" for name, value in arm["factors"].items())
        texts.setdefault(_yaml(arm["topology"]), []).append(f"arm {number}: {factors}")
    return {
        f"arm-{said[0].split(':')[0].removeprefix('arm ')}": "".join(
            f"# {line}\n" for line in said
        ).encode()
        + text
        for text, said in texts.items()
    }


def _yaml(value: Any) -> bytes:
    text = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(value, text)
    return text.getvalue().encode()


def readme(run: Run, paths: list[str]) -> str:
    """What the bundle is, which claim rests on which figure and command, and the ten-minute check."""
    figures = [
        path for path in paths if path.startswith("results/figures/") and path[-4:] == ".svg"
    ]
    meta = run.meta
    return _pages.get_template("artifact.md.j2").render(
        meta=meta,
        name=name_of(run),
        findings=meta.get("findings", []),
        figures=figures,
        trials=len(run.trials),
        invalid=int((~run.trials["valid"].astype(bool)).sum()) if "valid" in run.trials else 0,
        has_experiment=any(path.startswith("experiment/") for path in paths),
    )
