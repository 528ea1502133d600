"""Gradients through an extended model, and other precisions."""

from __future__ import annotations

import pytest
import torch
from compare import cosine, difference
from reference.rotary import RotaryReference, plan_for
from sentence_transformers import SentenceTransformer
from small_models import text_of
from small_rotary_models import KINDS, WINDOW, folder_of, random_ids

import longembed_st as le


@pytest.mark.parametrize(
    ("kind", "method", "logn"),
    [
        ("nomic_bert", "pi", True),
        ("modernbert", "yarn", False),
    ],
)
def test_gradients_equal_those_of_the_dense_reference(kind, method, logn):
    model = le.extend(
        SentenceTransformer(str(folder_of(kind))), method, max_seq_length=300, logn_scaling=logn
    ).train()
    reference = RotaryReference(folder_of(kind), WINDOW, KINDS[kind].causal)
    ids = random_ids(model.tokenizer, 131)
    multiple = {"multiple": 25.0} if method == "ntk" else {}
    plan = plan_for(
        method, 131, WINDOW, 300, reference.width, reference.base, logn=logn, **multiple
    )
    weights = torch.randn(131, 32, generator=torch.Generator().manual_seed(0))
    (model[0].token_embeddings(ids)[0] * weights).sum().backward()
    (reference.run(ids, plan, gradients=True)[0] * weights).sum().backward()
    wanted = {name: p.grad for name, p in reference.model.named_parameters() if p.grad is not None}
    parameters = dict(model[0].model.named_parameters())
    assert wanted
    for name, gradient in wanted.items():
        assert difference(parameters[name].grad, gradient) < 1e-4 * gradient.abs().max() + 1e-6, (
            name
        )


def test_self_extend_says_that_it_cannot_be_trained():
    original = SentenceTransformer(str(folder_of("llama")))
    model = le.extend(original, "self_extend", max_seq_length=300)
    ids = random_ids(model.tokenizer, 131)
    with pytest.raises(le.ModelError, match="gradient"):
        model.train()[0].token_embeddings(ids)
    with torch.no_grad():
        assert model.eval()[0].token_embeddings(ids).isfinite().all()


def test_autocast_changes_no_more_than_its_precision():
    original = SentenceTransformer(str(folder_of("modernbert")))
    model = le.extend(original, "self_extend", max_seq_length=300)
    text = text_of(131, model.tokenizer)
    wanted = torch.tensor(model.encode(text))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        vector = torch.tensor(model.encode(text)).float()
    assert cosine(vector[None], wanted[None]) > 0.99


def test_short_texts_train_with_self_extend_as_without():
    folder = str(folder_of("llama"))
    plain = SentenceTransformer(folder).train()
    model = le.extend(SentenceTransformer(folder), "self_extend", max_seq_length=300).train()
    texts = [text_of(n, model.tokenizer) for n in (10, 64)]
    for trained in (plain, model):
        trained(trained.preprocess(texts))["sentence_embedding"].pow(3).sum().backward()
    wanted = dict(plain[0].model.named_parameters())
    for name, parameter in model[0].model.named_parameters():
        scale = wanted[name].grad.abs().max()
        assert difference(parameter.grad, wanted[name].grad) < 1e-4 * scale, name
