from __future__ import annotations

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import longembed
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize
from small_models import OTHERS, WORDS

import longembed_st as le
from longembed_st.errors import ConfigError, InputError, ModelError
from longembed_st.loading.whitening import to_unit_length
from longembed_tuning import whiten as module
from longembed_tuning.judging import FOLDS, Judgement, Trial, compare, draw_documents, ndcg
from longembed_tuning.samples import read_windows
from longembed_tuning.whiten import fit_whitening, whiten
from longembed_tuning.whiten_data import near_duplicates, sketch

SETTINGS = {"pcw": {"method": "pcw"}, "rp": {"method": "rp", "max_seq_length": 512}}


def corpus(count: int = 60, seed: int = 0) -> list[str]:
    """Documents with a few words of their own among passages of common words."""
    draw = random.Random(seed)
    texts = []
    for _ in range(count):
        own = draw.sample(WORDS, 3)
        passages = []
        for _ in range(4):
            common = draw.sample(WORDS, 4)
            passages += draw.choices([*own, *common, *common], k=60)
        texts.append(" ".join(passages))
    return texts


@pytest.fixture(scope="module")
def folder(small_model) -> Path:
    return small_model("bert", positions=64)


@pytest.fixture(scope="module", params=SETTINGS)
def model(request, folder):
    return le.load(str(folder), **SETTINGS[request.param])


@pytest.fixture(scope="module")
def pcw(folder):
    return le.load(str(folder), method="pcw")


# The windows of a document.


def test_windows_are_what_the_method_reads(pcw) -> None:
    text = corpus(1)[0]
    found = read_windows([pcw], text)[0]
    (coverage,) = le.coverage(pcw, [text])
    assert len(found.vectors) == coverage.passes > 2
    assert [p.strip() for p in found.passages] == [text[start:end] for start, end in coverage.spans]
    np.testing.assert_allclose(
        to_unit_length(found.document), to_unit_length(pcw.encode(text)), atol=1e-5
    )
    # Each window read alone, as a text of its own.
    alone = pcw.encode(found.passages)
    np.testing.assert_allclose(to_unit_length(found.vectors), to_unit_length(alone), atol=1e-5)


def test_a_single_pass_is_shared_out(folder) -> None:
    model = le.load(str(folder), "pi", max_seq_length=512)
    text = corpus(1)[0]
    found = read_windows([model], text)[0]
    assert found.passages is not None
    assert (
        len(found.vectors)
        == len(found.passages)
        == -(-model[0].coverage_of(model[0].tokenize_texts([text], None)[0]).tokens // 64)
    )
    assert "".join(found.passages).replace(" ", "") == text.replace(" ", "")
    np.testing.assert_allclose(
        to_unit_length(found.document), to_unit_length(model.encode(text)), atol=1e-5
    )


@pytest.mark.filterwarnings("error")
def test_what_is_not_read_is_counted_or_refused(folder) -> None:
    text = corpus(1)[0]
    settings = {"method": "pi", "max_seq_length": 128}
    found = read_windows([le.load(str(folder), **settings)], text)[0]
    (coverage,) = le.coverage(le.load(str(folder), **settings), [text])
    assert found.coverage.tokens - found.coverage.read == coverage.tokens - 128 > 0
    assert len(found.vectors) == 2
    made = fit_whitening(le.load(str(folder), **settings), [*corpus(30), "ban"], validation=False)
    assert made.partly_read == 30
    with pytest.raises(InputError, match="longer than the window"):
        read_windows([le.load(str(folder), **settings, on_overflow="error")], text)


def test_a_short_text_is_one_window(model) -> None:
    found = read_windows([model], "ban bar bast")[0]
    assert found.vectors.shape == (1, 32)
    np.testing.assert_allclose(
        to_unit_length(found.vectors[0]), model.encode("ban bar bast"), atol=1e-5
    )


# The model that comes out.


def test_the_result_is_the_model_with_stock_modules_behind_it(model) -> None:
    texts = corpus()
    whitened = whiten(model, texts, validation=False, dimensions=16)
    kinds = [type(module) for module in whitened.children()]
    assert kinds[2:] == [Normalize, Dense, Normalize]
    assert whitened.get_embedding_dimension() == 16
    made = fit_whitening(model, texts, validation=False, dimensions=16)
    queries = ["ban bar bast", *texts[:3]]
    np.testing.assert_allclose(
        whitened.encode(queries), made.whitening.map(model.encode(queries)), atol=1e-4
    )
    assert le.fingerprint(whitened) != le.fingerprint(model)
    # The model itself stays as it is.
    assert [type(module) for module in model.children()][2:] == [Normalize]


def test_le_whiten_is_this_function() -> None:
    assert le.whiten is whiten


def test_too_little_is_refused(pcw) -> None:
    for texts in ([], ["", " "], corpus(5), ["ban bar"] * 50):
        with pytest.raises(InputError):
            whiten(pcw, texts)


# The judgement.


def trial() -> Trial:
    """Three documents on axes; the second query lies nearer to a wrong one."""
    queries = np.array([[1, 0, 0], [0.1, 0.2, 1], [0, 0, 1.0]])
    return Trial(queries, np.array([0, 1, 2]), np.eye(3), np.eye(3))


def judge(asked: Trial, map_) -> Judgement:
    before, after = (ndcg(asked, [one] * FOLDS) for one in (to_unit_length, map_))
    return compare(before, after, asked)


def test_ndcg_by_hand() -> None:
    assert ndcg(trial(), [to_unit_length] * FOLDS).tolist() == pytest.approx([1, 1 / np.log2(3), 1])


def test_a_tie_is_not_counted_as_found() -> None:
    same = Trial(np.ones((1, 2)), np.array([0]), np.ones((1, 2)), np.ones((4, 2)))
    assert ndcg(same, [to_unit_length] * FOLDS)[0] == pytest.approx(1 / np.log2(5))


def test_each_query_is_judged_by_the_map_of_its_own_fold() -> None:
    """The map of the second fold alone finds the second document, and is used for it alone."""
    maps = [
        to_unit_length,
        lambda x: to_unit_length(to_unit_length(x) * [1, 9, 1]),
        to_unit_length,
        to_unit_length,
    ]
    assert ndcg(trial(), maps).tolist() == [1, 1, 1]
    one_fold = ndcg(trial(), [maps[1], *[to_unit_length] * 3])
    assert one_fold[1] == pytest.approx(1 / np.log2(3))


def test_a_map_is_compared_query_by_query() -> None:
    found = judge(trial(), lambda x: to_unit_length(to_unit_length(x) * [1, 9, 1]))
    assert found.before == pytest.approx(100 * (2 + 1 / np.log2(3)) / 3)
    assert found.after == pytest.approx(100)
    assert (found.queries, found.documents) == (3, 3)
    assert found.low <= found.after - found.before <= found.high
    assert not found.gains, "three documents prove nothing"
    assert judge(trial(), to_unit_length).high == judge(trial(), to_unit_length).low == 0


def test_documents_asked_about_are_drawn_once_and_repeatably() -> None:
    asked = draw_documents(100, 30, seed=1)
    assert len(set(asked)) == 30
    assert asked == draw_documents(100, 30, seed=1) != draw_documents(100, 30, seed=2)
    assert draw_documents(10, 200, seed=1) == list(range(10))


def test_a_gain_is_told_from_chance() -> None:
    """Queries lie along one axis, where noise hides it, and along the answers' own."""
    draw = np.random.default_rng(0)
    answers = to_unit_length(draw.normal(size=(60, 8)))
    noise = np.zeros((60, 8))
    noise[:, 0] = draw.normal(size=60) * 3
    noisy = Trial(answers + noise, np.arange(60), answers - noise, answers)
    without_noise = np.diag([0.0, *[1.0] * 7])
    helped = judge(noisy, lambda x: to_unit_length(x @ without_noise))
    assert helped.gains
    assert helped.after > helped.before + 20
    assert not judge(noisy, lambda x: to_unit_length(x @ np.diag([9.0, *[1.0] * 7]))).gains


def test_what_gains_nothing_is_refused_unless_forced(pcw, monkeypatch) -> None:
    nothing = Judgement(50, 50.1, -1, 1.2, 99, 30)
    monkeypatch.setattr(module, "compare", lambda *arguments: nothing)
    with pytest.raises(ModelError, match=r"gains nothing: .* 50\.0 before, 50\.1 after .*-1\.0 to"):
        whiten(pcw, corpus())
    assert whiten(pcw, corpus(), validation=False).get_embedding_dimension() == 32


def test_a_map_that_judges_a_document_never_saw_it(pcw, monkeypatch) -> None:
    """And the one that is built in saw all."""
    fitted = []
    fit = module.fit_map
    monkeypatch.setattr(module, "fit_map", lambda s, **k: fitted.append(s.documents) or fit(s, **k))
    monkeypatch.setattr(module, "MOST_JUDGED", 40)
    fit_whitening(pcw, corpus(60), token_weights="none")
    assert fitted == [60, 50, 50, 50, 50]


# Weights of tokens.


def bm25_idf(texts: list[str], tokens_of) -> dict[int, float]:
    """From the formula, one token at a time."""
    of_each = [set(tokens_of(text)) for text in texts]
    found = {}
    for token in set().union(*of_each):
        n = sum(token in tokens for tokens in of_each)
        found[token] = math.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
    return found


def test_tokens_are_weighted_by_their_inverse_document_frequency(pcw) -> None:
    texts = corpus(30)
    tokenizer = pcw.tokenizer
    made = fit_whitening(pcw, texts, token_weights="idf", validation=False)
    weights = made.whitening.token_weights
    expected = bm25_idf(texts, lambda t: tokenizer(t, add_special_tokens=False)["input_ids"])
    for token, weight in expected.items():
        assert weights[token] == pytest.approx(weight, rel=1e-5)
    least = math.log(1 + 0.5 / (len(texts) + 0.5))
    assert weights[tokenizer.cls_token_id] == pytest.approx(least, rel=1e-5)
    unseen = set(range(len(weights))) - expected.keys() - set(tokenizer.all_special_ids)
    assert unseen
    assert weights[list(unseen)] == pytest.approx(math.log(1 + (30.5) / 0.5), rel=1e-5)


def test_weights_are_applied_to_queries_documents_and_windows_alike(pcw) -> None:
    """Against a mean that is taken by hand from the token embeddings of each window."""
    texts = corpus(30)
    weighted = whiten(pcw, texts, token_weights="idf", only_token_weights=True, validation=False)
    weights = weighted[0].token_weights.weights
    tokenizer, stock = pcw.tokenizer, pcw[0].model

    def mean(text: str) -> np.ndarray:
        batch = tokenizer(text, return_tensors="pt")
        with torch.inference_mode():
            embeddings = stock(**batch).last_hidden_state[0]
        w = weights[batch["input_ids"][0]][:, None]
        return ((w * embeddings).sum(dim=0) / w.sum()).numpy()

    for text in ("ban bar", " ".join(WORDS[:20])):
        for encode in (weighted.encode_query, weighted.encode_document):
            np.testing.assert_allclose(encode(text), to_unit_length(mean(text)), atol=1e-5)
        assert abs(weighted.encode(text) - pcw.encode(text)).max() > 1e-3
    (coverage,) = le.coverage(weighted, texts[:1])
    windows = [mean(texts[0][start:end]) for start, end in coverage.spans]
    np.testing.assert_allclose(
        weighted.encode(texts[0]), to_unit_length(np.mean(windows, axis=0)), atol=1e-4
    )
    # Padding weighs nothing.
    together = weighted.encode(["ban", texts[1], "ban bar bast"])
    np.testing.assert_allclose(together[2], weighted.encode("ban bar bast"), atol=1e-6)


def test_weights_of_tokens_are_saved_loaded_extended_and_baked(folder, tmp_path) -> None:
    model = le.load(str(folder), **SETTINGS["rp"])
    whitened = whiten(model, corpus(), token_weights="idf", validation=False)
    texts = corpus(3, seed=5)
    whitened.save_pretrained(str(tmp_path / "saved"))
    again = le.load(str(tmp_path / "saved"))
    assert [type(module) for module in again.children()][2:] == [Normalize, Dense, Normalize]
    np.testing.assert_allclose(again.encode(texts), whitened.encode(texts), atol=1e-6)
    assert le.fingerprint(again) == le.fingerprint(whitened)
    assert le.fingerprint(again) != le.fingerprint(
        whiten(model, corpus(), token_weights="none", validation=False)
    )
    other = le.extend(again, method="rp", max_seq_length=1024)
    np.testing.assert_allclose(other.encode("ban bar"), whitened.encode("ban bar"), atol=1e-6)
    le.bake(whitened, tmp_path / "baked")
    stock = SentenceTransformer(str(tmp_path / "baked"))
    np.testing.assert_allclose(stock.encode(texts), whitened.encode(texts), atol=1e-4)


def test_the_models_tokens_are_weighted_only_where_that_gains(pcw, monkeypatch) -> None:
    answers = iter([Judgement(60, 61, lower, 3, 99, 60) for lower in (-1, 0.5, 0.5, 0.5)])
    monkeypatch.setattr(module, "compare", lambda *arguments: next(answers))
    without, with_weights = (fit_whitening(pcw, corpus()) for _ in range(2))
    assert without.whitening.token_weights is None
    assert with_weights.whitening.token_weights is not None
    assert (without.variant, with_weights.variant) == (0, 1)


def test_a_model_that_does_not_pool_by_the_mean_says_so(small_model) -> None:
    stock = SentenceTransformer(str(small_model("bert", positions=64)))
    stock[1].pooling_mode = "cls"
    model = le.extend(stock, method="pcw")
    with pytest.raises(ModelError, match="pools by 'cls'"):
        whiten(model, corpus(), token_weights="idf")
    # Left to itself, it weighs none.
    assert fit_whitening(model, corpus()).whitening.token_weights is None


def test_contradictions_are_refused(pcw, folder) -> None:
    with pytest.raises(ConfigError, match="truncate_dim"):
        whiten(le.load(str(folder), method="pcw", truncate_dim=8), corpus())
    with pytest.raises(ConfigError, match="auto, idf, none"):
        fit_whitening(pcw, corpus(), token_weights="tfidf")
    with pytest.raises(ConfigError, match="nothing to fit"):
        fit_whitening(pcw, corpus(), token_weights="none", only_token_weights=True)


def test_a_model_is_whitened_once(pcw) -> None:
    for settings in ({"token_weights": "none"}, {"only_token_weights": True}):
        whitened = whiten(pcw, corpus(), validation=False, **settings)
        with pytest.raises(ConfigError, match="whitened already"):
            whiten(whitened, corpus())


# Near-duplicates.


def test_near_duplicates_are_left_out() -> None:
    one, other = (" ".join(f"word{n * seed}" for n in range(300)) for seed in (1, 7))
    almost = one.replace("word100 ", "") + " and a little more"
    texts = [one, other, one.upper(), almost, other + ".", "short", "short", "shorter"]
    assert near_duplicates(map(sketch, texts)) == [2, 3, 4, 6]


def test_repeated_documents_do_not_count_twice(pcw) -> None:
    texts = corpus(40)
    made = fit_whitening(pcw, [*texts, *texts, texts[0] + " end"], validation=False)
    assert (made.documents, made.repeated) == (40, 41)
    np.testing.assert_allclose(
        made.whitening.map.matrix,
        fit_whitening(pcw, texts, validation=False).whitening.map.matrix,
        atol=1e-9,
    )


def test_the_hash_of_a_corpus_does_not_depend_on_its_order(pcw) -> None:
    texts = corpus(25)
    hashes = [
        fit_whitening(pcw, some, validation=False).whitening.notes["corpus"]
        for some in (texts, texts[::-1], texts[1:])
    ]
    assert hashes[0] == hashes[1] != hashes[2]


# The command.


@pytest.fixture
def data(tmp_path) -> Path:
    file = tmp_path / "corpus.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in corpus(150)))
    return file


def test_the_command_writes_a_model_with_a_card(folder, data, tmp_path, monkeypatch) -> None:
    some = Judgement(50, 60, 5, 15, 99, 45)
    monkeypatch.setattr(module, "compare", lambda *arguments: some)
    out = tmp_path / "whitened"
    line = ("whiten", folder, "--data", data, "--out", out, "--method", "pcw", "--dimensions", "16")
    ended = longembed(*line, "--documents", "70")
    assert ended.exit_code == 0, ended.output
    assert "70 documents" in ended.stdout
    assert "nDCG@10" in ended.stdout
    assert le.load(str(out)).get_embedding_dimension() == 16
    card = (out / "README.md").read_text()
    for said in ("Whitening within documents", "sha256:", "16 of 32", "Hatch", "without it"):
        assert said in card
    assert not any(text[:40] in card for text in corpus(150))
    assert longembed(*line).exit_code == 1, "a folder is not overwritten"


def test_what_gains_nothing_is_not_written_unless_forced(folder, tmp_path, monkeypatch) -> None:
    """Documents of common words only have no subject of their own."""
    draw = random.Random(0)
    data = tmp_path / "glued.jsonl"
    words = [*OTHERS, *WORDS[:6]]
    texts = [" ".join(draw.choices(words, k=240)) for _ in range(80)]
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    line = ("whiten", folder, "--data", data, "--out", tmp_path / "out", "--method", "pcw")
    ended = longembed(*line)
    assert ended.exit_code == 1
    assert "--force" in ended.stderr
    assert not (tmp_path / "out").exists()
    assert longembed(*line, "--force").exit_code == 0
    assert le.load(str(tmp_path / "out")).get_embedding_dimension() == 32
