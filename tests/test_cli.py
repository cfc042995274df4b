"""The ``molsieve`` command: what it prints where, and how mistakes end."""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import sys

import pytest
import yaml

from molsieve import __version__, cli
from tests.report.campaign_tables import campaign, write_campaign


@pytest.fixture()
def campaign_file(tmp_path, monkeypatch):
    """A campaign file in an empty folder that is the working directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(campaign().model_dump(mode="json")))
    return path


def test_plan_prices_a_campaign(campaign_file, capsys):
    assert cli.main(["plan", str(campaign_file)]) == 0
    out, err = capsys.readouterr()
    assert "core-hours" in out and "Assumptions" in out
    assert err == ""
    assert [p.name for p in campaign_file.parent.iterdir()] == ["tiny.yaml"]


def test_status_reads_the_results_below_the_working_directory(campaign_file, capsys):
    assert cli.main(["status", str(campaign_file)]) == 0
    assert "none begun" in capsys.readouterr().out
    write_campaign(campaign_file.parent / "results/tiny")
    assert cli.main(["status", str(campaign_file)]) == 0
    assert "36 accepted" in capsys.readouterr().out


def test_status_imports_nothing_that_takes_seconds(campaign_file):
    """It is what a person types while a login node is busy with everything else."""
    write_campaign(campaign_file.parent / "results/tiny")
    code = (
        "import sys; from molsieve import cli; "
        "assert cli.main(['status', 'tiny.yaml', '--failed', '--no-scheduler']) == 0; "
        "print('slow:', sorted({'torch', 'rdkit', 'pyscf', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=campaign_file.parent, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "slow: []", done.stderr


def test_watching_goes_on_until_it_is_interrupted(campaign_file):
    """Ctrl-C is how it is meant to end: exit status 0, nothing on stderr."""
    command = [sys.executable, "-m", "molsieve.cli", "status", "tiny.yaml", "--watch", "0.1"]
    with subprocess.Popen(
        command,
        cwd=campaign_file.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=dies_with_the_test,
    ) as process:
        looks = 0
        for line in process.stdout:
            looks += line.startswith("Campaign tiny")
            if looks == 3:
                break
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert "\x1b" not in rest  # a file or a pipe keeps every look


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan"])
def test_a_pause_that_is_none_is_refused(seconds, campaign_file, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["status", str(campaign_file), "--watch", seconds])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "--watch" in said and "allowed: seconds" in said


def dies_with_the_test() -> None:
    """In a child, before it runs: SIGKILL when its parent ends (prctl(2), PR_SET_PDEATHSIG).

    A shell that put the tests into the background had SIGINT ignored: here it is to end the child.
    """
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("command", ["plan", "status", "retry"])
def test_a_mistake_is_one_message_and_status_2(command, campaign_file, capsys):
    mistaken = yaml.safe_load(campaign_file.read_text())
    mistaken["stop"]["max_round"] = mistaken["stop"].pop("max_rounds")
    campaign_file.write_text(yaml.safe_dump(mistaken))
    assert cli.main([command, str(campaign_file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "max_round" in err and "max_rounds" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", ["plan", "status", "retry"])
def test_a_missing_file_is_one_message(command, tmp_path, capsys):
    assert cli.main([command, str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml" in capsys.readouterr().err


def test_a_damaged_table_is_one_message(campaign_file, capsys):
    write_campaign(campaign_file.parent / "results/tiny")
    broken = campaign_file.parent / "results/tiny/rounds/1/structures.parquet"
    broken.write_bytes(b"PAR1 nonsense")
    assert cli.main(["status", str(campaign_file)]) == 2
    assert "rounds/1/structures.parquet" in capsys.readouterr().err


def test_schema_goes_to_the_terminal_or_to_a_file(tmp_path, capsys):
    assert cli.main(["schema"]) == 0
    printed = capsys.readouterr().out
    domains = json.loads(printed)["properties"]["domain"]["enum"]
    assert domains == ["flow_battery", "oled", "zeolite"]
    path = tmp_path / "campaign.schema.json"
    assert cli.main(["schema", "--output", str(path)]) == 0
    assert path.read_text() == printed
    assert cli.main(["schema", "--output", str(tmp_path / "none/x.json")]) == 2
    assert "--output" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["plam"], ["plan"], ["status", "a", "b"]])
def test_a_wrong_command_line_is_explained(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert "usage: molsieve" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.strip() == f"molsieve {__version__}"
