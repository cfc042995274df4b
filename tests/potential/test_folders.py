"""Where a finished committee is looked for, and what is said when it is not there."""

import json
import shutil
from pathlib import Path

import pytest

from molsieve.export.folder import export_committee
from molsieve.potential.folders import find_committee
from molsieve.section import CampaignError


@pytest.fixture
def copy(results, tmp_path):
    """The campaign's results, to be changed."""
    return Path(shutil.copytree(results, tmp_path / "results" / "tiny"))


@pytest.fixture
def exported(results, tmp_path):
    export_committee(results, tmp_path / "exported")
    return tmp_path / "exported"


def test_the_last_evaluated_round_is_taken(results):
    found = find_committee(results)
    assert (found.campaign, found.round) == ("tiny", 1)
    assert [m.relative_to(results).as_posix() for m in found.members] == [
        "rounds/1/committee/0",
        "rounds/1/committee/1",
    ]
    assert str(found) == f"{results}, round 1"
    assert find_committee(results, 0).calibration.parent.parent.name == "0"


@pytest.mark.parametrize("round", [2, 7])
def test_a_round_that_is_not_evaluated_is_refused(results, round):
    with pytest.raises(CampaignError, match=f"round {round} has not been evaluated; allowed: 0, 1"):
        find_committee(results, round)


def test_a_campaign_without_an_evaluated_round(copy):
    for calibration in copy.glob("rounds/*/evaluation/calibration.json"):
        calibration.unlink()
    with pytest.raises(CampaignError, match=r"no round has a trained .* rounds begun: 0, 1, 2"):
        find_committee(copy)


@pytest.mark.parametrize("file", ["model.pt", "model.json"])
def test_a_missing_member_is_named_and_no_older_round_stands_in(copy, file):
    (copy / "rounds/1/committee/1" / file).unlink()
    with pytest.raises(CampaignError, match=f"lacks rounds/1/committee/1/{file}; .*rounds: 0, 1"):
        find_committee(copy)
    assert find_committee(copy, 0).round == 0


def test_without_a_record_the_members_are_counted(copy):
    (copy / "campaign.json").unlink()
    shutil.rmtree(copy / "rounds/1/committee/1")
    assert len(find_committee(copy).members) == 1
    shutil.rmtree(copy / "rounds/1/committee/0")
    with pytest.raises(CampaignError, match="lacks any member"):
        find_committee(copy)


def test_wrong_folders_are_told_apart(copy, tmp_path):
    (tmp_path / "x.yaml").write_text("campaign: x\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    young = tmp_path / "young"
    young.mkdir()
    (young / "campaign.json").write_text("{}")
    for folder, why in (
        (tmp_path / "none", "no such folder"),
        (tmp_path / "x.yaml", "a campaign file, not its results"),
        (empty, "no committee in it"),
        (young, "no round yet"),
        (copy / "rounds/1", "give that folder, and the round by number"),
        (copy / "rounds/1/committee/0", "a part of the campaign in"),
    ):
        with pytest.raises(CampaignError, match=why) as told:
            find_committee(folder)
        assert str(folder) in str(told.value)


def test_an_exported_folder_is_found_and_checked(exported):
    found = find_committee(exported)
    assert (found.campaign, found.round, len(found.members)) == ("tiny", 1, 2)
    assert find_committee(exported, 1) == found
    with pytest.raises(CampaignError, match="exported from round 1, not from 0"):
        find_committee(exported, 0)


def test_a_damaged_export_is_refused(exported):
    weights = exported / "members/1/model.pt"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CampaignError, match=r"members/1/model.pt is not the file .*checksum"):
        find_committee(exported)
    weights.unlink()
    with pytest.raises(CampaignError, match=r"lacks members/1/model.pt; export it again"):
        find_committee(exported)
    (exported / "SHA256SUMS").unlink()
    with pytest.raises(CampaignError, match="SHA256SUMS: No such file"):
        find_committee(exported)


def test_an_export_whose_manifest_lacks_something_is_refused(exported):
    manifest = json.loads((exported / "committee.json").read_text())
    del manifest["round"]
    (exported / "committee.json").write_text(json.dumps(manifest))
    with pytest.raises(CampaignError, match=r"committee.json is not the file .*checksum"):
        find_committee(exported)
    (exported / "SHA256SUMS").write_text("")
    with pytest.raises(CampaignError, match=r"committee.json lacks round; export it again"):
        find_committee(exported, 1)


def test_an_export_of_another_format_is_refused(exported):
    manifest = json.loads((exported / "committee.json").read_text()) | {"format": 99}
    (exported / "committee.json").write_text(json.dumps(manifest))
    with pytest.raises(CampaignError, match="format 99, this Molsieve reads 1"):
        find_committee(exported)
    (exported / "committee.json").write_text("[1]")
    with pytest.raises(CampaignError, match="holds no object, but list"):
        find_committee(exported)
    (exported / "committee.json").write_text("{")
    with pytest.raises(CampaignError, match="not JSON"):
        find_committee(exported)
