"""Stores are searched from many threads and forked children; no call may fail.

The kind "chroma" is searched in the file of the kind "sqlite".
"""

from __future__ import annotations

import os

import pytest
from fresh_process import run_fresh

pytest.importorskip("langchain_core")

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

SETUP = """
    import asyncio, multiprocessing, os, threading, warnings
    from concurrent.futures import ThreadPoolExecutor
    warnings.simplefilter("ignore")
    import torch
    torch.set_num_threads(2)
    from langchain_longembed import LongEmbedRetriever
    from longembed_index import Document, Index

    model, kind, folder = given
    topics = ["harbour", "orchard", "railway"]
    with Index.open(folder, kind=kind, model=model) as index:
        index.add_documents([Document(t, f"The {t} needs a new gate. " * 2) for t in topics])
    retriever = LongEmbedRetriever(store=folder, k=1, mode="hybrid")
    questions, expected = [f"{t} gate" for t in topics] * 4, topics * 4

    def sources(answers):
        return [documents[0].metadata["source"] for documents in answers]

    def in_threads():
        with ThreadPoolExecutor(8) as threads:
            return sources(threads.map(retriever.invoke, questions))

    async def together():
        return sources(await asyncio.gather(*map(retriever.ainvoke, questions)))
"""
THREADS = """
    answer({
        "first use": in_threads() == expected,
        "batch": sources(retriever.batch(questions)) == expected,
        "abatch": sources(asyncio.run(retriever.abatch(questions))) == expected,
        "gather": asyncio.run(together()) == expected,
    })
"""
IN_CHILDREN = """
    def exit_codes(work):
        fork = multiprocessing.get_context("fork")
        children = [fork.Process(target=work) for _ in range(4)]
        for child in children:
            child.start()
        for child in children:
            child.join(200)
            child.kill()
        return [child.exitcode for child in children]
"""
FORKS = """
    # Not in threads: one that ends at the moment of the fork may hold a lock of MKL.
    assert sources(map(retriever.invoke, topics)) == topics

    def work():
        right = in_threads() == expected and sources(retriever.batch(questions)) == expected
        os._exit(0 if right else 1)

    answer(exit_codes(work))
"""


@pytest.fixture(scope="module")
def model(small_model) -> str:
    return str(small_model("bert", positions=64))


@pytest.mark.parametrize("kind", ["sqlite", "lancedb"])
def test_threads(model, kind, tmp_path) -> None:
    pytest.importorskip("lancedb")
    found = run_fresh(SETUP + THREADS, tmp_path, given=[model, kind, str(tmp_path / "store")])
    assert found == dict.fromkeys(("first use", "batch", "abatch", "gather"), True)


@needs_fork
def test_forked_children(model, tmp_path) -> None:
    given = [model, "sqlite", str(tmp_path / "store")]
    assert run_fresh(SETUP + IN_CHILDREN + FORKS, tmp_path, given=given) == [0, 0, 0, 0]


ENDS = """
    searched = threading.Event()

    def search_for_ever():
        while True:
            retriever.invoke("harbour gate")
            searched.set()

    for _ in range(4):
        threading.Thread(target=search_for_ever, daemon=True).start()
    assert searched.wait(200)
    answer("the end comes while all four search")
"""


@pytest.mark.parametrize("kind", ["sqlite", "lancedb"])
def test_an_interpreter_may_end_while_daemon_threads_search(model, kind, tmp_path) -> None:
    """Python ends them in the middle; libraries in C++ would abort the process."""
    pytest.importorskip("lancedb")
    run_fresh(SETUP + ENDS, tmp_path, given=[model, kind, str(tmp_path / "store")])


LANCE_FORKS = """
    from longembed_index.errors import StoreError

    def search():
        try:
            os._exit(0 if sources([retriever.invoke("harbour gate")]) == ["harbour"] else 1)
        except StoreError as error:
            os._exit(2 if "forked process" in str(error) else 3)

    retriever.invoke("harbour gate")
    used = exit_codes(search)
    # The parent goes on, as nothing was in use when it forked.
    assert in_threads() == expected
    answer(used)
"""


@needs_fork
def test_forked_children_of_a_process_that_used_lancedb_are_told_at_once(model, tmp_path) -> None:
    pytest.importorskip("lancedb")
    given = [model, "lancedb", str(tmp_path / "store")]
    assert run_fresh(SETUP + IN_CHILDREN + LANCE_FORKS, tmp_path, given=given) == [2, 2, 2, 2]


HANDS_OVER = """
    import pickle

    assert in_threads() == expected
    with Index.open(folder) as index, open(folder + ".pickle", "wb") as file:
        pickle.dump((retriever, index), file)
    answer("a spawned child is sent this")
"""
RECEIVES = """
    import pickle

    with open(given, "rb") as file:
        retriever, index = pickle.load(file)
    with index:
        (hit,) = index.search("orchard gate", k=1)
    answer([retriever.invoke("harbour gate")[0].metadata["source"], hit.document.id])
"""


@pytest.mark.parametrize("kind", ["sqlite", "lancedb"])
def test_spawned_children_search_what_they_are_sent(model, kind, tmp_path) -> None:
    pytest.importorskip("lancedb")
    store = str(tmp_path / "store")
    run_fresh(SETUP + HANDS_OVER, tmp_path, given=[model, kind, store])
    assert run_fresh(RECEIVES, tmp_path, given=f"{store}.pickle") == ["harbour", "orchard"]
