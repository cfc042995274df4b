"""A mistake in the campaign file ends before anything is queued, in one screen."""

from __future__ import annotations

import pytest

from .conftest import Workspace


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"acquisition": {"batch_label": 10}}, ["batch_label", "batch_labels"]),
        ({"labels": {"level": "dft"}}, ["labels.level", "gfn2"]),
        ({"levels": {"gfn2": {"engine": "pyscf", "functional": "PBEE", "basis": "def2-SVP"}}},
         ["functional", "PBEE"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("arguments", [(), ("--dry-run",)])
def test_refused_in_one_screen(
    fresh: Workspace, section: dict, words: list[str], arguments: tuple[str, ...]
) -> None:
    fresh.edit(**section)
    done = fresh.run(*arguments, check=False)
    assert done.returncode != 0
    assert all(word in done.stderr for word in words)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) < 40
    assert not fresh.results.exists()
