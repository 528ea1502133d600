"""Late interaction against the windows' own token vectors."""

from __future__ import annotations

import logging
import warnings

import pytest
import torch
from class_models import WINDOW, checkpoint, late
from reference.classes import PlainHead, colbert_vectors
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling
from small_models import text_of
from transformers import AutoModel

import longembed_st as le

LONG = 3 * WINDOW + 11
EXTENDED = 4 * WINDOW
PROMPT = "passage : "


def reference(kind: str, folder) -> tuple[PlainHead, torch.Tensor]:
    plain = PlainHead(AutoModel, checkpoint(kind, "bare"), WINDOW)
    return plain, MultiVectorEncoder(str(folder), device="cpu")[1].linear.weight.detach()


def document(plain: PlainHead) -> tuple[str, list[int], int, int]:
    """A text with punctuation, the ids of prompt and text, and the lengths of header and footer."""
    words = text_of(LONG, plain.tokenizer).split()
    text = " . ".join([" ".join(words[:40]), " , ".join(words[40:60]), " ".join(words[60:])])
    ids = plain.tokenizer(PROMPT + text, verbose=False)["input_ids"]
    prompt = len(plain.tokenizer(PROMPT.strip(), add_special_tokens=False)["input_ids"])
    return text, ids, 1 + prompt, 1


@pytest.mark.parametrize("kind", ["bert", "gte"])
def test_documents_are_the_token_vectors_of_their_windows(kind):
    plain, projection = reference(kind, late(kind))
    text, ids, header, footer = document(plain)
    skipped = plain.tokenizer.convert_tokens_to_ids([".", ","])
    windows = plain.windows(ids, header, footer)
    room = WINDOW - header - footer
    content = len(ids) - header - footer
    expected = []
    for number, window in enumerate(windows):
        vectors = colbert_vectors(plain.output(window, "last_hidden_state"), projection)
        # The last window begins further back, with tokens that the one before it has read.
        again = max(number * room - (content - room), 0) if number == len(windows) - 1 else 0
        for place, (word, vector) in enumerate(zip(window, vectors, strict=True)):
            inside = header <= place < len(window) - footer
            repeated = place < header and number > 0
            repeated |= place >= len(window) - footer and number < len(windows) - 1
            repeated |= inside and place < header + again
            if not repeated and word not in skipped:
                expected.append(vector)
    model = le.load(late(kind), "pcw")
    assert type(model) is le.LongMultiVectorEncoder
    (token_vectors,) = model.encode_document([text])
    assert len(token_vectors) == sum(word not in skipped for word in ids)
    torch.testing.assert_close(token_vectors, torch.stack(expected), atol=1e-5, rtol=0)


def test_one_pass_at_interpolated_positions():
    kind = "bert"
    plain, projection = reference(kind, late(kind))
    text, ids, _, _ = document(plain)
    skipped = plain.tokenizer.convert_tokens_to_ids([".", ","])
    states = plain.stretched(5).output(ids, "last_hidden_state")
    kept = [place for place, word in enumerate(ids) if word not in skipped]
    model = le.load(late(kind), "pi", max_seq_length=5 * WINDOW)
    (token_vectors,) = model.encode_document([text])
    expected = colbert_vectors(states, projection)[kept]
    torch.testing.assert_close(token_vectors, expected, atol=1e-5, rtol=0)


def test_short_texts_are_those_of_the_stock_class():
    stock = MultiVectorEncoder(str(late("roberta")), device="cpu")
    model = le.extend(stock)
    texts = [text_of(n, stock.tokenizer) for n in (5, 30, 50, 9)]
    long = text_of(LONG, stock.tokenizer)
    for encode, theirs in (
        (model.encode_document, stock.encode_document(texts)),
        (model.encode_query, stock.encode_query(texts)),
    ):
        together = encode([*texts, long])[:4]
        for text, expected, token_vectors in zip(texts, theirs, together, strict=True):
            torch.testing.assert_close(token_vectors, expected, atol=1e-5, rtol=0)
            torch.testing.assert_close(encode(text), expected, atol=1e-5, rtol=0)


def test_features_of_a_text_say_which_token_each_vector_is_of():
    model = le.load(late("bert"), "pcw")
    text = text_of(LONG, model.tokenizer) + " . end"
    features = model.encode_document(text, output_value=None)
    assert features["input_ids"].shape == features["attention_mask"].shape
    ids = model.tokenizer(PROMPT + text, verbose=False)["input_ids"]
    skipped = model.tokenizer.convert_tokens_to_ids([".", ","])
    assert features["input_ids"].tolist() == [word for word in ids if word not in skipped]


EXPANSION = {"strategy": "fixed", "length": 16, "attend": False, "token": None}


def expanded(**settings):
    return late("bert", query_expansion=Frozen(settings.pop("query_expansion")), **settings)


class Frozen(dict):
    """A dictionary that a cache can keep."""

    def __hash__(self):
        return hash(tuple(sorted(self.items(), key=str)))


@pytest.mark.parametrize(("strategy", "attend"), [("fixed", False), ("min", True)])
def test_queries_are_expanded_as_by_the_stock_class(strategy, attend):
    folder = expanded(query_expansion={**EXPANSION, "strategy": strategy, "attend": attend})
    stock = MultiVectorEncoder(str(folder), device="cpu")
    model = le.load(folder, "pcw")
    queries = [text_of(5, stock.tokenizer), text_of(9, stock.tokenizer)]
    for expected, token_vectors in zip(
        stock.encode_query(queries), model.encode_query(queries), strict=True
    ):
        assert len(token_vectors) == 16
        torch.testing.assert_close(token_vectors, expected, atol=1e-5, rtol=0)


def test_a_query_that_its_expansion_cuts_is_reported():
    folder = expanded(query_expansion=EXPANSION)
    query = text_of(30, le.load(folder).tokenizer)
    with pytest.warns(le.TextNotReadWarning, match="16 tokens of 1 query were not .* 16 of 32"):
        le.load(folder).encode_query([query, "a"])
    with pytest.raises(le.InputError, match="query of 32 tokens is longer than the 16"):
        le.load(folder, on_overflow="error").encode_query([query])


def test_saved_caps_are_lifted_for_documents_and_kept_for_queries(caplog):
    folder = late("bert", document_length=20, query_length=12)
    stock = MultiVectorEncoder(str(folder), device="cpu")
    with caplog.at_level(logging.INFO, logger="longembed_st"):
        model = le.load(folder)
    assert [r.message for r in caplog.records if "cut documents at 20 tokens" in r.message]
    text = text_of(40, stock.tokenizer)
    assert len(stock.encode_document(text)) == 20
    assert len(model.encode_document(text)) == 42
    with pytest.warns(le.TextNotReadWarning, match="30 tokens of 1 query .* 12 of 42"):
        query = model.encode_query(text)
    torch.testing.assert_close(query, stock.encode_query(text), atol=1e-5, rtol=0)


def test_token_pooling_sees_one_window_at_a_time():
    stock = MultiVectorEncoder(str(late("bert")), device="cpu")
    pooling = HierarchicalTokenPooling(pool_factor=2)
    stock.append(pooling)
    model = le.extend(stock, "pcw")
    seen = []
    pool = HierarchicalTokenPooling.pool_one
    model[-1].pool_one = lambda vectors, **kw: seen.append(len(vectors)) or pool(pooling, vectors)
    text = text_of(LONG, stock.tokenizer)
    (token_vectors,) = model.encode_document([text])
    (whole,) = le.load(late("bert"), "pcw").encode_document([text])
    assert max(seen) <= WINDOW
    assert 0.4 * len(whole) < len(token_vectors) < 0.6 * len(whole)


def test_coverage_counts_documents_and_overflow_is_reported():
    model = le.load(late("bert"), "pi", max_seq_length=2 * WINDOW)
    text = text_of(LONG, model.tokenizer)
    (coverage,) = le.coverage(model, [text], prompt_name="document")
    assert (coverage.tokens, coverage.read) == (LONG + 2, 2 * WINDOW)
    with pytest.warns(le.TextNotReadWarning, match=f"{LONG + 2 - 2 * WINDOW} tokens of 1 text"):
        assert len(model.encode_document(text)) == 2 * WINDOW


def test_coverage_counts_what_is_cut_from_queries():
    for policy in ("warn", "truncate", "error"):
        model = le.load(late("bert", query_length=16), "pcw", on_overflow=policy)
        text = text_of(LONG, model.tokenizer)
        (query,) = le.coverage(model, [text], role="query")
        assert (query.tokens, query.read, query.query_lost) == (LONG + 2, 16, LONG + 2 - 16)
        assert (query.passes, query.document_lost) == (1, 0)
        (document,) = le.coverage(model, [text], role="document")
        assert (document.tokens, document.read) == (LONG + 2, LONG + 2)
        assert document.query_lost == 0


def test_one_warning_a_call_counts_what_is_cut_from_queries():
    model = le.load(late("bert", query_length=16), "pcw")
    queries = [text_of(n, model.tokenizer) for n in (10, 20, 30)]
    lost = sum(each.query_lost for each in le.coverage(model, queries, role="query"))
    with pytest.warns(le.TextNotReadWarning, match=f"{lost} tokens of 2 queries") as caught:
        model.encode_query(queries, batch_size=1)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.encode_document(queries)


def test_a_projection_that_was_made_up_is_refused():
    with pytest.raises(le.ModelError, match="no weights for the Dense of a MultiVectorEncoder"):
        le.load(checkpoint("bert", "bare"), model_type="MultiVectorEncoder")
    stock = MultiVectorEncoder(str(checkpoint("bert", "bare")), device="cpu")
    assert type(le.extend(stock)) is le.LongMultiVectorEncoder


def test_not_finite_vectors_end_in_an_error():
    model = le.load(late("bert"))
    with torch.no_grad():
        model[1].linear.weight[0, 0] = float("nan")
    with pytest.raises(le.ModelError, match="NaN"):
        model.encode_document(["a"])
