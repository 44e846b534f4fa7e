"""Which capabilities a lab of root needs, and what is said where some are withheld."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.kernel.capabilities import lacking, root_remedy

ROW = "Name:\tpython\nCapEff:\t{}\nSeccomp:\t2\n"


@pytest.mark.parametrize(
    ("effective", "withheld"),
    [
        ("000001ffffffffff", ()),
        ("00000000a80425fb", ("NET_ADMIN", "SYS_ADMIN")),  # what Docker grants
        ("00000000a82425fb", ("NET_ADMIN",)),
        ("00000000a82435fb", ()),
    ],
)
def test_what_is_withheld_from_root(
    effective: str, withheld: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = tmp_path / "status"
    status.write_text(ROW.format(effective))
    assert lacking(status) == withheld
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert all(f"--cap-add {name}" in root_remedy(status) for name in withheld)
    assert bool(root_remedy(status)) == bool(withheld)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert root_remedy(status) == ""
