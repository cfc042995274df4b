"""config/README.md and the schema say what the models say; the shipped campaigns are valid."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from molsieve import key_tables, keys
from molsieve.campaign import campaign_model, domain_names
from molsieve.loading import load_campaign

REPOSITORY = Path(__file__).parents[1]
CAMPAIGNS = sorted((REPOSITORY / "config").glob("*.yaml"))


def test_the_readme_explains_every_key_as_the_models_have_it() -> None:
    readme = (REPOSITORY / key_tables.README).read_text()
    assert readme == key_tables.with_tables(readme), "run: python -m molsieve.key_tables"


def test_the_schema_file_is_in_step() -> None:
    text = (REPOSITORY / key_tables.SCHEMA).read_text()
    assert text == key_tables.schema_text(), "run: python -m molsieve.key_tables"


@pytest.mark.parametrize("domain", domain_names())
def test_every_key_is_in_the_tables_and_has_a_meaning(domain: str) -> None:
    tables = key_tables.key_tables()
    for key in keys.keys_of(campaign_model(domain)):
        assert key.description, f"{key.path} has no description"
        assert f"`{key.path}`" in tables or f"### {key.path}\n" in tables, key.path


def test_a_readme_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="marks"):
        key_tables.with_tables("# Campaign files\n")


@pytest.mark.parametrize("path", CAMPAIGNS, ids=lambda path: path.stem)
def test_a_shipped_campaign_is_valid_and_named_in_the_readme(path: Path) -> None:
    campaign = load_campaign(path)
    assert campaign.campaign == path.stem, "results/<campaign>/ is found by the file's name"
    assert f"`{path.name}`" in (REPOSITORY / key_tables.README).read_text()
    schema = json.loads((REPOSITORY / key_tables.SCHEMA).read_text())
    jsonschema.validate(yaml.safe_load(path.read_text()), schema)


def test_the_quickstart_runs_three_rounds_whatever_it_finds() -> None:
    campaign = load_campaign(REPOSITORY / "config/quickstart.yaml")
    stop, acquisition = campaign.stop, campaign.acquisition
    assert stop.max_rounds >= stop.consecutive_rounds >= 3
    assert acquisition.seed_labels + 2 * acquisition.batch_labels <= stop.max_labels
