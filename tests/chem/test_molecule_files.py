"""Every format, and what is wrong with a file in one message."""

import pandas as pd
import pytest
from rdkit import Chem

from molsieve.chem import molecule_files
from molsieve.chem.molecule_files import MoleculeFileError

SMILES = ["O=C1C=CC(=O)C=C1", "CCO", "c1ccccc1"]


def write(folder, kind):
    path = folder / f"molecules.{ {'smiles': 'smi'}.get(kind, kind) }"
    if kind == "smiles":
        path.write_text("# a comment\n\n" + "".join(f"{s} name{i}\n" for i, s in enumerate(SMILES)))
    elif kind == "csv":
        pd.DataFrame({"name": "x", "smiles": SMILES}).to_csv(path, index=False)
    elif kind == "parquet":
        pd.DataFrame({"name": "x", "smiles": SMILES}).to_parquet(path)
    else:
        with Chem.SDWriter(str(path)) as writer:
            for smiles in SMILES:
                writer.write(Chem.MolFromSmiles(smiles))
    return path


@pytest.mark.parametrize("kind", ["smiles", "csv", "parquet", "sdf"])
def test_all_formats_give_the_same_molecules(tmp_path, kind):
    path = write(tmp_path, kind)
    assert list(molecule_files.read_smiles(path, None, "smiles")) == SMILES
    assert molecule_files.count_records(path, None, "smiles") == len(SMILES)


def test_every_broken_sdf_record_counts(tmp_path):
    path = write(tmp_path, "sdf")
    good = path.read_text().split("$$$$\n")[0]
    broken = ["\n  broken\n\nnot a counts line\nM  END\n", "\n\n\n  9  9  0\n", "M  END\n"]
    path.write_text("$$$$\n".join([good, *broken]))  # the last one without its $$$$
    assert len(list(molecule_files.read_smiles(path, None, "smiles"))) == 4


def test_a_broken_sdf_record_is_named_and_the_next_ones_are_read(tmp_path):
    path = write(tmp_path, "sdf")
    records = path.read_text().split("$$$$\n")
    records[1] = "\n  broken\n\nnot a counts line\nM  END\n"
    path.write_text("$$$$\n".join(records))
    texts = list(molecule_files.read_smiles(path, None, "smiles"))
    assert texts == [SMILES[0], "<molecules.sdf: record 2 holds no molecule>", SMILES[2]]


def test_empty_cells_and_nulls_are_named(tmp_path):
    path = tmp_path / "holes.parquet"
    pd.DataFrame({"smiles": ["CCO", None]}).to_parquet(path)
    assert list(molecule_files.read_smiles(path, None, "smiles"))[1].startswith("<holes.parquet")
    path = tmp_path / "holes.csv"
    path.write_text("name,smiles\na,CCO\nb,\nc\n")
    texts = list(molecule_files.read_smiles(path, None, "smiles"))
    assert texts[0] == "CCO" and all(t.startswith("<holes.csv") for t in texts[1:])


def test_a_monstrous_csv_record_is_one_broken_record(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text(f"smiles\nCCO\n{'C' * 200_000}\nCO\n")
    first, broken, last = molecule_files.read_smiles(path, None, "smiles")
    assert (first, last) == ("CCO", "CO") and broken.startswith("<long.csv: record 2")


def test_a_missing_column_lists_the_columns_found(tmp_path):
    for kind in ("csv", "parquet"):
        with pytest.raises(MoleculeFileError, match=r"no column 'SMILES'.*name, smiles"):
            list(molecule_files.read_smiles(write(tmp_path, kind), None, "SMILES"))


def test_a_missing_file_an_unknown_ending_and_a_file_of_another_format(tmp_path):
    with pytest.raises(MoleculeFileError, match=r"nowhere\.csv: no such file"):
        molecule_files.check_file(tmp_path / "nowhere.csv", None, "smiles")
    with pytest.raises(MoleculeFileError, match=r"known endings: \.smi"):
        molecule_files.check_file(tmp_path / "molecules.xlsx", None, "smiles")
    fake = tmp_path / "fake.parquet"
    fake.write_text("smiles\nCCO\n")
    with pytest.raises(MoleculeFileError, match="not a readable parquet"):
        molecule_files.check_file(fake, None, "smiles")
    assert list(molecule_files.read_smiles(fake, "csv", "smiles")) == ["CCO"]
