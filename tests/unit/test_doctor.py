"""What doctor makes of trials, without needing any feature."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testbed.cli import doctor
from testbed.errors import MissingFeature
from testbed.kernel import features, trial
from testbed.kernel.features import TRIALS, Feature, FeatureStatus, attempt
from testbed.kernel.trial import Trial
from testbed.kernel.user_namespaces import user_namespace_remedy

SAID_NO = Trial("tests", "echo the kernel says no >&2; exit 4", sandboxed=False)


def status(feature: Feature, available: bool) -> FeatureStatus:
    return FeatureStatus(feature, available, "tests")


def test_every_feature_has_a_trial_with_a_package_for_its_tool() -> None:
    assert set(TRIALS) == set(Feature)
    assert all(trial.package for trial in TRIALS.values() if trial.tool)


def test_a_line_that_succeeds_is_an_available_feature_without_remedy() -> None:
    found = attempt(Feature.KUBECTL, Trial("tests", "true", sandboxed=False))
    assert (found.available, found.remedy, found.detail) == (True, "", "")


def test_a_failing_line_is_quoted() -> None:
    found = attempt(Feature.KUBECTL, SAID_NO)
    assert (found.available, found.detail) == (False, "the kernel says no")


def test_a_sandboxed_trial_needs_unshare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_SANDBOX", ("no-such-unshare",))
    found = attempt(Feature.VETH, Trial("tests", "true"))
    assert (found.available, found.detail) == (False, "no-such-unshare is not installed")
    assert found.remedy.endswith("util-linux")


def test_a_tool_that_is_not_installed_names_its_package() -> None:
    trial = Trial("tests", "true", tool="no-such-tool", package="no-such-package")
    found = attempt(Feature.IPVS, trial)
    assert not found.available
    assert found.detail == "no-such-tool is not installed"
    assert found.remedy.endswith("install --no-install-recommends no-such-package")


def test_a_trial_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "nobody-writes")
    monkeypatch.setattr(trial, "_TRIAL_TIMEOUT_S", 0.05)
    line = f"exec cat {tmp_path}/nobody-writes"
    found = attempt(Feature.DOCKER, Trial("tests", line, sandboxed=False))
    assert (found.available, found.detail) == (False, "no answer in 0.05 s")


def test_require_says_what_is_missing_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "TRIALS", {**TRIALS, Feature.KUBECTL: SAID_NO})
    with pytest.raises(MissingFeature, match="kubectl does not work here: the kernel says no"):
        features.require(Feature.KUBECTL)


@pytest.mark.parametrize(
    ("available", "lacking"),
    [
        ((Feature.VETH, Feature.IPTABLES_NFT), []),
        ((Feature.VETH, Feature.IPTABLES_LEGACY), []),
        ((Feature.VETH,), [(Feature.IPTABLES_NFT, Feature.IPTABLES_LEGACY)]),
        ((Feature.IPTABLES_NFT,), [(Feature.VETH,)]),
    ],
)
def test_of_each_group_one_feature_is_enough(
    available: tuple[Feature, ...], lacking: list[tuple[Feature, ...]]
) -> None:
    statuses = [status(feature, feature in available) for feature in Feature]
    groups = [(Feature.VETH,), (Feature.IPTABLES_NFT, Feature.IPTABLES_LEGACY)]
    assert doctor.unmet(statuses, groups) == lacking


@pytest.mark.parametrize(
    ("setting", "value", "remedy"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1\n", "AppArmor"),
        ("kernel/apparmor_restrict_unprivileged_userns", "0\n", "run as root"),
        ("kernel/unprivileged_userns_clone", "0\n", "unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0\n", "max_user_namespaces=10000"),
    ],
)
def test_the_setting_that_refuses_user_namespaces_is_named(
    tmp_path: Path, setting: str, value: str, remedy: str
) -> None:
    path = tmp_path / setting
    path.parent.mkdir(parents=True)
    path.write_text(value)
    assert remedy in user_namespace_remedy(tmp_path)


def test_a_row_has_the_keys_of_the_contract() -> None:
    assert {"feature", "available", "needed_for", "remedy"} <= set(
        doctor.row(status(Feature.VETH, True))
    )
