"""Tiny random models on disk, so that every path of the transformer encoder runs in a second and without a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

WORDS = "red green blue apple pear car truck film drama comedy space war love the of and a in big small old new".split()

# code for a process of its own, in which some libraries are as good as not installed: .format(blocked=names)
NO_TORCH = """
import sys
from importlib.machinery import PathFinder
class Without:
    def find_spec(name, path=None, target=None):
        return None if name.split(".")[0] in {blocked!r} else PathFinder.find_spec(name, path, target)
sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""


def _tokeniser(path: Path, specials: list[str], template: bool) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: row for row, word in enumerate([*specials, *WORDS])}
    tokeniser = Tokenizer(models.WordLevel(vocabulary, unk_token=specials[0]))
    tokeniser.normalizer = normalizers.Lowercase()
    tokeniser.pre_tokenizer = pre_tokenizers.Whitespace()
    if template:
        tokeniser.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    tokeniser.save(str(path / "tokenizer.json"))


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain Hugging Face BERT of 2 layers and 16 dims, random weights."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=64, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, pad_token_id=1, initializer_range=0.5,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder)
    _tokeniser(folder, ["[UNK]", "[PAD]", "[CLS]", "[SEP]"], template=True)
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 32}))
    return folder


@pytest.fixture(scope="session")
def tiny_gpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of 2 layers and 16 dims: causal, without a padding token."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("models") / "tiny-gpt"
    torch.manual_seed(1)
    config = transformers.GPT2Config(
        vocab_size=64, n_embd=16, n_layer=2, n_head=2, n_positions=32, bos_token_id=1, eos_token_id=1
    )
    transformers.GPT2Model(config).save_pretrained(folder)
    _tokeniser(folder, ["[UNK]", "[EOS]"], template=False)
    return folder


@pytest.fixture(scope="session")
def onnx_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for all tests that need an export: one of a tiny model takes seconds."""
    return tmp_path_factory.mktemp("exports")
