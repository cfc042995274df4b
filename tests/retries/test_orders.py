"""Orders of `molsieve retry` as jobs read them."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from molsieve.campaign import Run
from molsieve.levels import level_id
from molsieve.loading import load_mapping
from molsieve.retries.orders import (
    KNOWN,
    Order,
    orders_before_dataset,
    orders_in_force,
    read_order,
    read_orders,
)
from molsieve.section import CampaignError
from tests.campaigns import SMALL

CAMPAIGN = load_mapping(SMALL)
LEVELS = {"gfn2": {"engine": "tblite"}}


def order(number: int = 0, **changes) -> Order:
    plain = Order(
        number=number,
        campaign="small",
        level="gfn2",
        level_id=level_id(CAMPAIGN.level("gfn2")),
        settings={"max_iterations": 400},
        time_limit_s=60.0,
        newer_than="0" * 16,
        ordered_at="2026-11-21 12:00:00",
        shards=2,
        calculations=3,
        rounds=[1],
        hits=[],
        references=False,
    )
    return dataclasses.replace(plain, **changes)


def written(results: Path, *orders: Order) -> Path:
    for one in orders:
        folder = results / "retries" / str(one.number)
        folder.mkdir(parents=True)
        (folder / "order.json").write_text(json.dumps(one.to_json()))
    return results


def freeze(results: Path, round: int, record: list[int] | None) -> None:
    dataset = results / f"rounds/{round}/dataset"
    dataset.mkdir(parents=True)
    (dataset / "dataset.parquet").touch()
    if record is not None:
        (dataset / "retries.json").write_text(json.dumps(record))


def test_order_is_read_as_it_was_written(tmp_path: Path) -> None:
    orders = [order(0), order(2), order(10)]
    assert read_orders(written(tmp_path, *orders)) == orders
    assert read_orders(tmp_path / "nothing") == []


def test_half_written_order_is_no_order(tmp_path: Path) -> None:
    (tmp_path / "retries/.0.abc.part").mkdir(parents=True)
    assert read_orders(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"campaign": "small"}'])
def test_damaged_order_is_one_message(tmp_path: Path, text: str) -> None:
    folder = written(tmp_path, order()) / "retries/0"
    (folder / "order.json").write_text(text)
    with pytest.raises(CampaignError, match="retries/0"):
        read_order(folder)


def test_settings_and_time_limit_take_the_place_of_the_files() -> None:
    level = order().level_settings(LEVELS)
    assert level.max_iterations == 400
    assert level_id(level) == order().level_id
    assert order().run_settings(Run(workers=3)) == Run(workers=3, calculation_time_limit_s=60.0)


@pytest.mark.parametrize("levels", [{}, {"gfn2": {"engine": "tblite", "method": "GFN1-xTB"}}])
def test_level_that_is_no_longer_the_same_is_refused(levels: dict) -> None:
    with pytest.raises(CampaignError, match="another level"):
        order().level_settings(levels)


def test_order_is_open_until_every_shard_has_handed_in(tmp_path: Path) -> None:
    for path in order().receipts(tmp_path):
        assert order().is_open(tmp_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert not order().is_open(tmp_path)


def test_order_of_another_level_is_not_in_force(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv(KNOWN, raising=False)
    written(tmp_path, order(0), order(1, level_id="f" * 16), order(2, level="gone"))
    assert orders_in_force(CAMPAIGN, tmp_path, controller=True) == [order(0)]


def test_jobs_see_only_what_their_controller_saw(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(KNOWN, "7")
    written(tmp_path, order(0))
    assert orders_in_force(CAMPAIGN, tmp_path, controller=True) == [order(0)]
    written(tmp_path, order(1))
    assert orders_in_force(CAMPAIGN, tmp_path, controller=False) == [order(0)]
    assert len(orders_in_force(CAMPAIGN, tmp_path, controller=True)) == 2


def test_first_controller_without_orders_tells_its_jobs_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv(KNOWN, raising=False)
    assert orders_in_force(CAMPAIGN, tmp_path, controller=True) == []
    written(tmp_path, order(0))
    assert orders_in_force(CAMPAIGN, tmp_path, controller=False) == []


def test_frozen_dataset_waits_for_no_new_order(tmp_path: Path) -> None:
    orders = [order(0), order(1)]
    assert orders_before_dataset(orders, tmp_path, 1) == orders
    freeze(tmp_path, 1, record=[0])
    assert orders_before_dataset(orders, tmp_path, 1) == [order(0)]
    assert orders_before_dataset(orders, tmp_path, 2) == orders
    freeze(tmp_path, 2, record=None)
    assert orders_before_dataset(orders, tmp_path, 2) == []


def test_dataset_whose_order_is_gone_is_refused(tmp_path: Path, monkeypatch) -> None:
    """Its receipts would be missing inputs, and a frozen round planned again."""
    monkeypatch.delenv(KNOWN, raising=False)
    written(tmp_path, order(0))
    freeze(tmp_path, 1, record=[0, 1])
    with pytest.raises(CampaignError, match=r"retries/1 is gone.*(?s:.*)retries\.json; then"):
        orders_in_force(CAMPAIGN, tmp_path, controller=True)
    monkeypatch.setenv(KNOWN, "0")
    assert orders_in_force(CAMPAIGN, tmp_path, controller=False) == [order(0)]
    (tmp_path / "rounds/1/dataset/retries.json").unlink()
    assert orders_in_force(CAMPAIGN, tmp_path, controller=True) == [order(0)]
    assert orders_before_dataset([order(0)], tmp_path, 1) == []


def test_order_of_another_level_is_not_gone(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv(KNOWN, raising=False)
    written(tmp_path, order(0, level_id="f" * 16))
    freeze(tmp_path, 1, record=[0])
    assert orders_in_force(CAMPAIGN, tmp_path, controller=True) == []


@pytest.mark.parametrize("text", ["", "{", "3", '["x"]'])
def test_damaged_record_is_one_message(tmp_path: Path, monkeypatch, text: str) -> None:
    monkeypatch.delenv(KNOWN, raising=False)
    freeze(tmp_path, 0, record=[])
    (tmp_path / "rounds/0/dataset/retries.json").write_text(text)
    with pytest.raises(CampaignError, match="damaged"):
        orders_in_force(CAMPAIGN, tmp_path, controller=True)


def test_job_does_not_read_what_its_controller_did_not(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(KNOWN, "0")
    written(tmp_path, order(0), order(1))
    (tmp_path / "retries/1/order.json").write_text("{")
    assert orders_in_force(CAMPAIGN, tmp_path, controller=False) == [order(0)]


def test_dataset_waits_for_no_order_of_later_rounds_or_of_hits(tmp_path: Path) -> None:
    orders = [order(0, rounds=[3]), order(1, rounds=[], hits=[0])]
    assert orders_before_dataset(orders, tmp_path, 2) == []


def test_every_job_can_afford_the_import() -> None:
    """Each job parses the workflow."""
    code = "import sys, molsieve.retries.orders; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"pandas", "pyarrow", "numpy", "ase"} & set(loaded.stdout.split())
