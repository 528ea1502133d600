"""Two actors of Ray beside a plain loop over the same documents, on the same cores.

    python benchmarks/ray_embed.py MODEL [--texts 250]

The plain loop embeds with all cores; each actor has its share of them. Both write Parquet files.
The seconds of Ray are shown with and without those of a run on two texts: what it takes to start.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import torch
from pyarrow import parquet

from longembed_index.documents.parsing import DEFAULT_PARSER
from longembed_index.maintain.embedding import storable_model
from longembed_ray import EmbedDocuments, embed_to_parquet, find_inputs
from longembed_ray.reading import Input, rows_of_file, sorted_keys, tables_of
from longembed_st.base.settings import ModelSettings


def write_texts(path: Path, count: int) -> None:
    """Write texts of words drawn at random, 50 to 8,000 characters each."""
    draw = random.Random(0)
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(20_000)]
    with path.open("w") as out:
        for number in range(count):
            text = " ".join(draw.choices(words, k=draw.randint(8, 1250)))
            out.write(json.dumps({"id": str(number), "text": text}) + "\n")


def plain(path: Path, settings: ModelSettings, out: Path) -> float:
    """Return the seconds of a loop that embeds and writes, the model loaded."""
    embed = EmbedDocuments(settings, units=True)
    began = time.perf_counter()
    rows = rows_of_file(Input(str(path), 1), DEFAULT_PARSER)
    tables = [embed(table) for table in tables_of(rows, sorted_keys([]))]
    parquet.write_table(pa.concat_tables(tables), out, compression="zstd")
    return time.perf_counter() - began


def with_ray(path: Path, settings: ModelSettings, out: Path, actors: int) -> tuple[float, int]:
    """Return the seconds from the call to the end, and the tokens."""
    inputs, _ = find_inputs([path])
    provenance = storable_model(settings).provenance
    began = time.perf_counter()
    report = embed_to_parquet(inputs, str(out), provenance, units=True, actors=actors)
    return time.perf_counter() - began, report.tokens


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--texts", type=int, default=250)
    parser.add_argument("--actors", type=int, default=2)
    arguments = parser.parse_args()
    settings = ModelSettings(model_name=arguments.model, method="pcw")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_texts(place / "texts.jsonl", arguments.texts)
        write_texts(place / "few.jsonl", 2)
        start, _ = with_ray(place / "few.jsonl", settings, place / "few", arguments.actors)
        whole, tokens = with_ray(place / "texts.jsonl", settings, place / "ray", arguments.actors)
        alone = plain(place / "texts.jsonl", settings, place / "plain.parquet")
        print(f"{arguments.texts:,} texts, {tokens:,} tokens, {torch.get_num_threads()} threads")
        print(f"plain loop: {alone:.1f} s, {tokens / alone:,.0f} tokens a second")
        print(
            f"{arguments.actors} actors: {whole:.1f} s in all, {start:.1f} s of them for two texts"
        )
        print(f"ratio: {whole / alone:.3f} in all, {(whole - start) / alone:.3f} without the start")


if __name__ == "__main__":
    main()
