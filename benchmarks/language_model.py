"""What a method does to a rotary language model's own loss, by position in the text.

A model's loss on text beyond its original window needs no labels and no retrieval: it explodes
where positions are foreign to the model. The text is read by the same code that embeds.

    python benchmarks/language_model.py FOLDER IDS.json [--lengths 1024 4096]

FOLDER is a small Llama checkpoint, IDS.json a list of token ids of text that suits it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

import longembed_st as le

BLOCK = 128

METHODS: list[tuple[str, dict[str, Any]]] = [
    ("none", {}),
    ("pi", {}),
    ("ntk", {"base_factor": "formula"}),
    ("ntk", {"base_factor": "paper"}),
    ("ntk", {"base_factor": "square"}),
    ("ntk", {"base_factor": "square", "factor": "dynamic"}),
    ("yarn", {}),
    ("self_extend", {}),
    ("gp", {}),
    ("rp", {}),
]


def with_tokenizer(folder: str, target: str) -> str:
    """Link a checkpoint and give it the tokenizer that sentence-transformers insists on."""
    for file in Path(folder).iterdir():
        os.symlink(file, Path(target, file.name))
    size = AutoConfig.from_pretrained(folder).vocab_size
    backend = Tokenizer(models.WordLevel({str(i): i for i in range(size)}, unk_token="0"))
    PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="0").save_pretrained(target)
    return target


@torch.inference_mode()
def losses(model: Any, head: torch.nn.Module, ids: torch.Tensor) -> list[float]:
    """Return the mean next-token loss in each block of tokens."""
    hidden = model[0].token_embeddings(ids[None, :-1])[0]
    loss = cross_entropy(head(hidden), ids[1:], reduction="none")
    return [block.mean().item() for block in loss.split(BLOCK)]


def main() -> None:
    """Measure and print a Markdown table a length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("ids")
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 4096])
    arguments = parser.parse_args()
    ids = torch.tensor(json.loads(Path(arguments.ids).read_text()))
    head = AutoModelForCausalLM.from_pretrained(arguments.folder).float().eval().lm_head
    with tempfile.TemporaryDirectory() as target:
        folder = with_tokenizer(arguments.folder, target)
        base = SentenceTransformer(folder, model_kwargs={"dtype": torch.float32})
    for length in arguments.lengths:
        report(base, head, ids[: length + 1], length)


def report(base: SentenceTransformer, head: torch.nn.Module, ids: torch.Tensor, n: int) -> None:
    """Print one table: mean loss by block, with and without log-n scaling."""
    window = base[0].config.max_position_embeddings
    blocks = range(0, n, BLOCK)
    shown = [start for start in blocks if n <= 1024 or start < 512 or start % 512 == 384]
    print(f"\nOriginal window {window}, extended to {n} (s = {n // window}), {len(ids) - 1} tokens")
    print("\n| setting | " + " | ".join(map(str, shown)) + " | mean beyond |")
    print("|---|" + "---|" * (len(shown) + 1))
    for method, options in METHODS:
        for logn in (False, True) if method != "none" else (False,):
            settings = {"max_seq_length": n, "original_max_seq_length": window, **options}
            if method == "none":
                # The model as it is, at positions it never saw: the same as a base times one.
                model = le.extend(base, "ntk", max_seq_length=n, base_factor=1.0)
            else:
                model = le.extend(base, method, logn_scaling=logn, **settings)
            loss = dict(zip(blocks, losses(model, head, ids), strict=True))
            beyond = [value for start, value in loss.items() if start >= window]
            name = " ".join([method, *(f"{value}" for value in options.values())])
            cells = [f"{loss[start]:.2f}" for start in shown]
            mean = f"{sum(beyond) / len(beyond):.2f}"
            print(f"| {name}{' + log-n' if logn else ''} | {' | '.join(cells)} | {mean} |")


if __name__ == "__main__":
    main()
