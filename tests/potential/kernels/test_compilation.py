"""Compiling and doing without."""

import os
import shutil
import subprocess
import sys

import pytest
import torch

from molsieve.potential.kernels import compilation
from molsieve.potential.kernels.compilation import Kernel, loaded
from molsieve.potential.kernels.message_library import message_library

FEATURES = 8
LOAD = f"""
import torch
from molsieve.potential.kernels.message_library import message_library
assert message_library({FEATURES}) is not None
"""
WITHOUT = """
import torch
from molsieve.potential.kernels import MessageEdges, RadialBasis, messages
from molsieve.potential.kernels.message_library import message_library
radial = RadialBasis(torch.linspace(0, 4, 5), torch.ones(5), 4.0)
edges = MessageEdges(torch.ones(1, 2, 3), torch.tensor([0, 1]), torch.tensor([1, 0]), 2, radial)
for _ in range(2):
    dq, dmu = messages(torch.ones(1, 2, 24), None, torch.ones(1, 6, 24), edges)
    assert message_library(8) is None and dq.min() > 0
"""
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


def start(code, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(compilation, "cache_folder", lambda: folder)
    return folder


@pytest.fixture
def answer(tmp_path):
    """A kernel of one function that knows one number."""
    source = tmp_path / "answer.c"
    source.write_text("int answer(void) { return ANSWER; }\n")
    return Kernel(source, ("-O1",), ("ANSWER=42",))


@needs_compiler
def test_two_processes_may_compile_at_once(tmp_path):
    runs = [start(LOAD, MOLSIEVE_CACHE=str(tmp_path)) for _ in range(2)]
    for run in runs:
        said = run.communicate(timeout=120)[0]
        assert run.returncode == 0, said
    assert len(list((tmp_path / "kernels").iterdir())) == 1


def test_without_a_compiler_torch_does_it_and_that_is_said_once(tmp_path):
    run = start(WITHOUT, MOLSIEVE_CACHE=str(tmp_path), PATH="", CC="")
    said = run.communicate(timeout=120)[0]
    assert run.returncode == 0, said
    assert said.count("no C compiler") == 1


@needs_compiler
@pytest.mark.parametrize("words", [b"no such option", b"Datei nicht gefunden: \xe4\xf6\xfc"])
def test_a_compiler_that_fails_is_the_same_as_none(
    tmp_path, cache, answer, words, monkeypatch, capsys
):
    broken = tmp_path / "broken"
    broken.write_bytes(b"#!/bin/sh\necho '" + words + b"' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", f"{broken} --with-arguments")
    assert loaded(answer) is None
    said = capsys.readouterr()
    assert words[:8].decode() in said.err and not said.out
    assert not list(cache.iterdir())


def test_a_compiler_named_by_nonsense_is_the_same_as_none(cache, answer, monkeypatch, capsys):
    monkeypatch.setenv("CC", 'cc "')
    assert loaded(answer) is None
    assert "answer.c is not used" in capsys.readouterr().err


@needs_compiler
def test_what_is_kept_is_used_again_and_another_definition_is_another_library(cache, answer):
    assert loaded(answer).answer() == 42
    (kept,) = cache.iterdir()
    before = kept.stat().st_mtime_ns
    assert loaded(answer).answer() == 42
    assert kept.stat().st_mtime_ns == before
    assert loaded(Kernel(answer.source, answer.flags, ("ANSWER=7",))).answer() == 7
    assert len(list(cache.iterdir())) == 2


@needs_compiler
@pytest.mark.parametrize("content", [b"", b"not a library"])
def test_a_damaged_library_is_made_anew(tmp_path, cache, answer, content, monkeypatch):
    name = f"answer-{compilation._fingerprint(answer, compilation._compiler())}.so"
    (cache / name).write_bytes(content)
    assert loaded(answer).answer() == 42
    assert (cache / name).stat().st_size > 1000


@needs_compiler
def test_a_library_that_others_could_have_written_is_not_loaded(cache, answer, monkeypatch):
    forged = cache / f"answer-{compilation._fingerprint(answer, compilation._compiler())}.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-DANSWER=666", str(answer.source), "-o", str(forged)],
        check=True,
    )
    forged.chmod(0o777)
    assert loaded(answer).answer() == 42
    assert not forged.stat().st_mode & 0o022


@needs_compiler
def test_another_processor_gets_code_of_its_own(cache, answer, monkeypatch):
    names = set()
    for flags in (b"flags: avx2", b"flags: avx2 avx512f"):
        monkeypatch.setattr(compilation, "processor", lambda flags=flags: flags)
        names.add(loaded(answer)._name)
    assert names == {str(path) for path in cache.iterdir()} and len(names) == 2


def test_the_processes_denormals_are_left_alone():
    if message_library(FEATURES) is None:
        pytest.skip("no C compiler")
    tiny = torch.tensor(1e-40)
    assert float(tiny + tiny) > 0
