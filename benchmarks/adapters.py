"""What an adapter adds to the core: 200 documents of 20 to 300 tokens, MiniLM with windows.

Everything shares one loaded model, so that only the adapters differ. Two measures: the whole time
beside the core's, in turns; and the adapter's own time, with the model's answer ready beforehand,
which a busy machine does not blur, but in which the cost of smaller batches does not show.

    python benchmarks/adapters.py [--runs 5]
"""

from __future__ import annotations

import argparse
from typing import Any
from unittest.mock import patch

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
    lengths = np.exp(random.uniform(np.log(20), np.log(300), DOCUMENTS)).astype(int)
    texts = random_texts(lengths, seed=1)
    langchain = LongEmbedEmbeddings(model=minilm(), method="pcw")
    llama_index = LongEmbedEmbedding(model_name=minilm(), method="pcw")
    chroma = LongEmbedEmbeddingFunction(minilm(), "pcw")
    core = langchain.sentence_transformer
    vectors = core.encode_document(texts, show_progress_bar=False)
    adapters = {
        "LangChain": lambda: langchain.embed_documents(texts),
        "LlamaIndex": lambda: llama_index.get_text_embedding_batch(texts),
        "Chroma": lambda: chroma(texts),
    }

    def alone() -> object:
        return core.encode_document(texts, show_progress_bar=False)

    def ready(batch: list[str], **_: Any) -> np.ndarray:
        return vectors[: len(batch)]

    base, *whole = interleaved(runs, alone, *adapters.values())
    with (
        patch.object(type(core), "encode_document", staticmethod(ready)),
    ):
        own = interleaved(20, *adapters.values())
    print(
        f"{DOCUMENTS} documents, {lengths.sum():,} tokens, median of {runs} runs (goal: below 3%)"
    )
    print(f"  core        {base:6.2f} s")
    for name, total, added in zip(adapters, whole, own, strict=True):
        print(
            f"  {name:10}  {total:6.2f} s {total / base - 1:+7.1%}   "
            f"own time {1000 * added:5.1f} ms {added / base:7.2%}"
        )


if __name__ == "__main__":
    main()
