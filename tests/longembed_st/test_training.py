"""The trainers, losses and evaluators of each class, on extended models and long texts."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("datasets")
pytest.importorskip("accelerate")

from class_models import WINDOW, inference_free, late, pairs, splade
from datasets import Dataset
from sentence_transformers import (
    CrossEncoder,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
    MultiVectorEncoder,
    SparseEncoderTrainer,
    SparseEncoderTrainingArguments,
)
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
from sentence_transformers.multi_vector_encoder import (
    MultiVectorEncoderTrainer,
    MultiVectorEncoderTrainingArguments,
)
from sentence_transformers.multi_vector_encoder.evaluation import (
    MultiVectorInformationRetrievalEvaluator,
)
from sentence_transformers.multi_vector_encoder.losses import (
    MultiVectorMultipleNegativesRankingLoss,
)
from sentence_transformers.sparse_encoder.losses import (
    SparseMultipleNegativesRankingLoss,
    SpladeLoss,
)
from small_models import text_of

import longembed_st as le

LONG = 2 * WINDOW + 11


def texts(model, tokens: int) -> list[str]:
    return [text_of(tokens + n, model.tokenizer, seed=n) for n in range(4)]


def splade_loss(model):
    loss = SparseMultipleNegativesRankingLoss(model)
    return SpladeLoss(model, loss, document_regularizer_weight=1e-4)


CLASSES = {
    "sparse": (splade, SparseEncoderTrainer, SparseEncoderTrainingArguments, splade_loss),
    "router": (inference_free, SparseEncoderTrainer, SparseEncoderTrainingArguments, splade_loss),
    "late": (
        late,
        MultiVectorEncoderTrainer,
        MultiVectorEncoderTrainingArguments,
        MultiVectorMultipleNegativesRankingLoss,
    ),
    "pairs": (
        pairs,
        CrossEncoderTrainer,
        CrossEncoderTrainingArguments,
        BinaryCrossEntropyLoss,
    ),
}


@pytest.mark.parametrize(
    "name", ["sparse", "late", "pairs", pytest.param("router", marks=pytest.mark.slow)]
)
def test_a_trainer_learns_from_long_documents(name, tmp_path):
    build, trainer, arguments, loss = CLASSES[name]
    model = le.load(build("bert"), "pcw")
    columns = {"query": texts(model, 6), "answer": texts(model, LONG)}
    if name == "pairs":
        columns["label"] = [1.0, 0.0, 1.0, 0.0]
    routed = {"router_mapping": {"query": "query", "answer": "document"}}
    before = {key: value.clone() for key, value in model.state_dict().items()}
    run = trainer(
        model=model,
        args=arguments(
            output_dir=str(tmp_path),
            per_device_train_batch_size=2,
            max_steps=2,
            learning_rate=1e-3,
            report_to="none",
            use_cpu=True,
            logging_steps=1,
            save_strategy="no",
            **(routed if name == "router" else {}),
        ),
        train_dataset=Dataset.from_dict(columns),
        loss=loss(model),
    )
    run.train()
    losses = [entry["loss"] for entry in run.state.log_history if "loss" in entry]
    assert len(losses) == 2
    assert all(0 < number < 1e4 for number in losses)
    changed = {key for key, value in model.state_dict().items() if not value.equal(before[key])}
    assert any("encoder.layer.0" in key for key in changed)
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_the_gradient_of_a_long_pair_is_that_of_its_best_window():
    model = le.load(pairs("bert"), "pcw").train()
    stock = CrossEncoder(str(pairs("bert")), device="cpu").train()
    for dropout in [*model.modules(), *stock.modules()]:
        if isinstance(dropout, torch.nn.Dropout):
            dropout.p = 0.0
    text = text_of(LONG, model.tokenizer)
    score = model(model.preprocess([("bad", text)]))["scores"]
    score.sum().backward()
    words, room = text.split(), WINDOW - 4
    windows = [words[:room], words[room : 2 * room], words[-room:]]
    scores = stock(stock.preprocess([("bad", " ".join(window)) for window in windows]))["scores"]
    scores.max().backward()
    assert score.item() == pytest.approx(scores.max().item(), abs=1e-5)
    wanted = dict(stock[0].model.named_parameters())
    for key, parameter in model[0].model.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[key].grad, atol=1e-4, rtol=1e-3)


def test_evaluators_say_the_same_of_short_texts():
    stock = MultiVectorEncoder(str(late("bert")), device="cpu")
    queries = {f"q{n}": text for n, text in enumerate(texts(stock, 7))}
    corpus = {f"d{n}": text for n, text in enumerate(texts(stock, 40))}
    relevant = {f"q{n}": {f"d{n}"} for n in range(4)}
    judge = MultiVectorInformationRetrievalEvaluator(
        queries, corpus, relevant, show_progress_bar=False, write_csv=False
    )
    assert judge(le.extend(stock)) == pytest.approx(judge(stock), abs=1e-4)
