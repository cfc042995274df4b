"""The conda environments of the rules pin what requirements.txt pins."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
ENVIRONMENTS = sorted((REPOSITORY / "envs").glob("*.yaml"))


def pins(name: str) -> set[str]:
    lines = (REPOSITORY / name).read_text().splitlines()
    return {line.strip() for line in lines if "==" in line}


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=[path.stem for path in ENVIRONMENTS])
def test_same_pins(path: Path) -> None:
    (packages,) = (
        entry["pip"]
        for entry in yaml.safe_load(path.read_text())["dependencies"]
        if isinstance(entry, dict)
    )
    assert packages
    assert set(packages) <= pins("requirements.txt")


def test_schnetpack_is_pinned_once() -> None:
    (pin,) = (p for p in pins("requirements-no-deps.txt") if not p.startswith("#"))
    assert pin in (REPOSITORY / "envs" / "ml.post-deploy.sh").read_text()
