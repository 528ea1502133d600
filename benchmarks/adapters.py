"""What an adapter adds to the core: 200 documents of 20 to 600 tokens, MiniLM with windows.

Everything shares one loaded model, so that only the adapters differ.

    python benchmarks/adapters.py [--runs 5]
"""

from __future__ import annotations

import argparse

import numpy as np
from measure import interleaved, minilm, random_texts

from chroma_longembed import LongEmbedEmbeddingFunction
from langchain_longembed import LongEmbedEmbeddings
from llama_index.embeddings.longembed import LongEmbedEmbedding

DOCUMENTS = 200


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    random = np.random.default_rng(0)
    lengths = np.exp(random.uniform(np.log(20), np.log(600), DOCUMENTS)).astype(int)
    texts = random_texts(lengths, seed=1)
    langchain = LongEmbedEmbeddings(model=minilm(), method="pcw")
    llama_index = LongEmbedEmbedding(model_name=minilm(), method="pcw")
    chroma = LongEmbedEmbeddingFunction(minilm(), "pcw")
    core = langchain.sentence_transformer
    sides = {
        "core": lambda: core.encode_document(texts, show_progress_bar=False),
        "LangChain": lambda: langchain.embed_documents(texts),
        "LlamaIndex": lambda: llama_index.get_text_embedding_batch(texts),
        "Chroma": lambda: chroma(texts),
    }
    for side in sides.values():
        side()
    taken = dict(zip(sides, interleaved(runs, *sides.values()), strict=True))
    print(
        f"{DOCUMENTS} documents, {lengths.sum():,} tokens, median of {runs} runs (goal: below 3%)"
    )
    for name, seconds in taken.items():
        print(f"  {name:10}  {seconds:6.2f} s  {seconds / taken['core'] - 1:+6.1%}")


if __name__ == "__main__":
    main()
