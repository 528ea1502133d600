"""Cross-encoders against each window, scored as a pair."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from class_models import WINDOW, checkpoint, pairs
from reference.classes import PlainHead
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from small_models import text_of
from transformers import AutoModelForSequenceClassification

import longembed_st as le

LONG = 3 * WINDOW + 11
EXTENDED = 4 * WINDOW
QUERY = "bad kan, query fion"


def reference(kind: str, labels: int = 1) -> PlainHead:
    folder = checkpoint(kind, "pairs", labels)
    return PlainHead(AutoModelForSequenceClassification, folder, WINDOW)


def joined(plain: PlainHead, text: str) -> tuple[list[int], list[int] | None, int, int]:
    """Ids and types of query and text together, and the lengths of what stands around the text."""
    pair = plain.tokenizer(QUERY, text, verbose=False)
    places = [place for place, side in enumerate(pair.sequence_ids(0)) if side == 1]
    header, footer = places[0], len(pair["input_ids"]) - 1 - places[-1]
    return pair["input_ids"], pair.get("token_type_ids"), header, footer


def scores_of_windows(plain: PlainHead, text: str) -> torch.Tensor:
    ids, types, header, footer = joined(plain, text)
    windows = plain.windows(ids, header, footer)
    kinds = [None] * len(windows) if types is None else plain.windows(types, header, footer)
    outputs = [plain.output(*pair) for pair in zip(windows, ["logits"] * 9, kinds, strict=False)]
    return torch.stack(outputs)


@pytest.mark.parametrize("kind", ["roberta", "gte"])
def test_a_score_is_the_highest_of_the_windows(kind):
    plain = reference(kind)
    text = text_of(LONG, plain.tokenizer)
    logits = scores_of_windows(plain, text)[:, 0]
    model = le.load(pairs(kind), "pcw")
    assert type(model) is le.LongCrossEncoder
    assert model.long_transformer.extension.combine == "max"
    windows = model.score_windows(QUERY, [text, "short"])[0]
    np.testing.assert_allclose(windows.scores, logits.sigmoid(), atol=1e-5)
    assert len(windows.spans) == len(logits) > 3
    assert windows.spans[0][0] == 0
    assert windows.spans[-1][1] == len(text)
    scores = model.predict([(QUERY, text)])
    np.testing.assert_allclose(scores, logits.max().sigmoid(), atol=1e-5)


def test_other_combinations_label_by_label():
    plain = reference("bert", labels=3)
    text = text_of(LONG, plain.tokenizer)
    logits = scores_of_windows(plain, text)
    short = CrossEncoder(str(pairs("bert", 3)), device="cpu").predict((QUERY, "short"))
    for combine, expected in (
        ("mean", logits.mean(0)),
        ("first", logits[0]),
        ("logsumexp", logits.double().exp().sum(0).log().float()),
    ):
        model = le.load(pairs("bert", 3), "pcw", combine=combine)
        scores = model.predict([(QUERY, text), (QUERY, "short")])
        np.testing.assert_allclose(scores, torch.stack([expected, torch.tensor(short)]), atol=1e-5)


def test_one_pass_at_interpolated_positions():
    plain = reference("bert")
    text = text_of(LONG, plain.tokenizer)
    ids, types, _, _ = joined(plain, text)
    expected = plain.stretched(4).output(ids, "logits", types).sigmoid()
    model = le.load(pairs("bert"), "pi", max_seq_length=EXTENDED)
    np.testing.assert_allclose(model.predict([(QUERY, text)]), expected, atol=1e-5)


def test_short_pairs_have_stock_scores_alone_and_in_a_batch():
    stock = CrossEncoder(str(pairs("bert")), device="cpu")
    model = le.extend(stock)
    documents = [text_of(n, stock.tokenizer) for n in (4, 40, 20, 9)]
    inputs = [(QUERY, pair) for pair in documents]
    expected = stock.predict(inputs)
    np.testing.assert_allclose(
        model.predict([*inputs, (QUERY, text_of(LONG, stock.tokenizer))])[:4], expected, atol=1e-5
    )
    np.testing.assert_allclose([model.predict(pair) for pair in inputs], expected, atol=1e-5)
    arrays = np.array(inputs)
    np.testing.assert_allclose(model.predict(arrays), expected, atol=1e-5)
    np.testing.assert_allclose(model.predict(arrays[1]), expected[1], atol=1e-5)
    ranked = model.rank(QUERY, documents, return_documents=True)
    assert [hit["corpus_id"] for hit in ranked] == list(np.argsort(-expected))
    assert ranked == [
        {**hit, "score": pytest.approx(hit["score"], abs=1e-5)}
        for hit in stock.rank(QUERY, documents, return_documents=True)
    ]


def test_a_long_query_leaves_half_of_the_window_to_the_document():
    plain = reference("bert")
    stock = CrossEncoder(str(pairs("bert")), device="cpu")
    model = le.load(pairs("bert"), "pcw")
    query, short = text_of(44, plain.tokenizer), text_of(8, plain.tokenizer)
    # Both fit: nothing is cut, though the query takes more than half.
    expected = pytest.approx(stock.predict((query, short)), abs=1e-5)
    assert model.predict((query, short)) == expected
    assert le.load(pairs("bert"), "pcw", window_size=32).predict((query, short)) == expected
    text = text_of(LONG, plain.tokenizer)
    with pytest.warns(le.TextNotReadWarning, match="12 tokens of 1 query were not .* 32 of 44"):
        scored = model.score_windows(query, [text])[0]
    words = plain.tokenizer(query, add_special_tokens=False)["input_ids"]
    content = plain.tokenizer(text, add_special_tokens=False)["input_ids"]
    header = [2, *words[: 32 - 2], 3]
    windows = plain.windows([*header, *content, 3], 32, 1)
    types = plain.windows([0] * 32 + [1] * (len(content) + 1), 32, 1)
    expected = [plain.output(w, "logits", t).sigmoid() for w, t in zip(windows, types, strict=True)]
    np.testing.assert_allclose(scored.scores, torch.cat(expected), atol=1e-5)
    with pytest.raises(le.InputError, match="query of 44 tokens is longer than the 32"):
        le.load(pairs("bert"), on_overflow="error").predict((query, text))


def test_coverage_counts_what_each_side_lost():
    for policy in ("warn", "truncate", "error"):
        model = le.load(pairs("bert"), "pi", max_seq_length=2 * WINDOW, on_overflow=policy)
        query, document = text_of(101, model.tokenizer), text_of(202, model.tokenizer)
        (both,) = le.coverage(model, [(query, document)])
        # Special tokens stand at the start, between the two and at the end.
        assert (both.tokens, both.read) == (99 + 200 + 3, 2 * WINDOW)
        assert both.query_lost == 101 - WINDOW
        assert both.document_lost == 200 - (WINDOW - 1)
        (short,) = le.coverage(model, [(query, "ban")])
        assert (short.read, short.query_lost, short.document_lost) == (short.tokens, 0, 0)


def test_the_warning_names_how_much_of_the_query_was_read():
    model = le.load(pairs("bert"), "pcw")
    query = text_of(101, model.tokenizer)
    (coverage,) = le.coverage(model, [(query, "ban bar")])
    # The document takes two tokens of the window, and the last special token one.
    assert (coverage.read, coverage.query_lost) == (WINDOW, 101 - (WINDOW - 3))
    with pytest.warns(le.TextNotReadWarning, match=f"{WINDOW - 3} of 101 tokens were") as caught:
        model.predict([(query, "ban bar"), ("ban", "den")])
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(le.TextNotReadWarning):
        features = model(model.preprocess([(query, "ban bar")]))
    assert features["coverages"] == [replace(coverage, spans=())]


def test_documents_beyond_the_window_are_reported():
    model = le.load(pairs("bert"), "pi", max_seq_length=2 * WINDOW)
    text = text_of(LONG, model.tokenizer)
    (coverage,) = le.coverage(model, [(QUERY, text)])
    assert coverage.read == 2 * WINDOW
    with pytest.warns(le.TextNotReadWarning, match=f"{coverage.tokens - 2 * WINDOW} tokens of 1"):
        model.predict([(QUERY, text), (QUERY, "short")])
    with pytest.raises(le.InputError, match="longer than the window of 128 tokens"):
        le.load(pairs("bert"), "pi", max_seq_length=128, on_overflow="error").predict((QUERY, text))


def test_a_model_of_pooled_vectors_is_combined_too():
    torch.manual_seed(3)
    transformer = Transformer(str(checkpoint("bert", "bare")))
    dense = Dense(32, 1, activation_function=torch.nn.Identity(), module_output_name="scores")
    stock = CrossEncoder(modules=[transformer, Pooling(32, "cls"), dense], device="cpu")
    model = le.extend(stock, "pcw")
    text = text_of(LONG, stock.tokenizer)
    room = WINDOW - 3 - len(stock.tokenizer(QUERY, add_special_tokens=False)["input_ids"])
    words = text.split()
    # Every word of these texts is one token.
    chunks = [words[i : i + room] for i in range(0, len(words) - room, room)] + [words[-room:]]
    expected = max(stock.predict([(QUERY, " ".join(chunk)) for chunk in chunks]))
    assert model.predict((QUERY, text)) == pytest.approx(expected, abs=1e-5)


def test_what_is_not_a_pair_of_texts_is_refused():
    model = le.load(pairs("bert"))
    with pytest.raises(le.InputError, match="input 1 is not a pair"):
        model.predict([("a", "b"), ("a", "b", "c")])
    with pytest.raises(le.InputError, match="is a int, not a string"):
        model.predict([("a", 3)])


def test_engines_and_missing_heads_are_refused(tmp_path):
    with pytest.raises(le.ModelError, match="computed by torch alone"):
        le.load(pairs("bert")).long_transformer.set_engine(object())
    with pytest.raises(le.ModelError, match=r"weights of .*ForSequenceClassification are missing"):
        le.load(checkpoint("bert", "bare"), model_type="CrossEncoder")


def test_not_finite_scores_end_in_an_error():
    model = le.load(pairs("bert"))
    with torch.no_grad():
        model.model.classifier.bias[0] = float("nan")
    with pytest.raises(le.ModelError, match="NaN"):
        model.predict([("a", "b")])


def test_what_needs_dense_vectors_says_so(tmp_path):
    model = le.load(pairs("bert"))
    with pytest.raises(le.ModelError, match="this is a CrossEncoder"):
        le.bake(model, tmp_path / "baked")
    with pytest.raises(le.ModelError, match="this is a CrossEncoder"):
        le.multi_vector(model)


@pytest.mark.slow
def test_worker_processes_give_the_same():
    model = le.load(pairs("bert"), "pi", max_seq_length=2 * WINDOW)
    inputs = [(QUERY, text_of(n, model.tokenizer)) for n in (10, LONG, 40)]
    with pytest.warns(le.TextNotReadWarning):
        expected = model.predict(inputs)
    pool = model.start_multi_process_pool(["cpu"])
    try:
        with pytest.warns(le.TextNotReadWarning, match="tokens of 1 text"):
            scores = model.predict(inputs, pool=pool)
    finally:
        model.stop_multi_process_pool(pool)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
