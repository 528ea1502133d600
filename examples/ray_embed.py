"""Embed the documents of Parquet files by Ray Data, each with its spans, into other Parquet files.

Here on this machine and with descriptions of the installed packages for documents; on a cluster,
give its address and URLs that all of its machines see:

    python examples/ray_embed.py --out OUT [--data s3://bucket/documents --ray ADDRESS]

Run again, it goes on where it was stopped. For a dataset of your own, see `by_hand`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pyarrow as pa
import ray
from installed_packages import MODEL, installed_packages
from pyarrow import parquet

from longembed_index.distributed import EmbedDocuments
from longembed_index.distributed.reading import inputs_of
from longembed_index.distributed.running import embed_to_parquet
from longembed_index.embedding import storable_model
from longembed_st.base.settings import ModelSettings

SETTINGS = ModelSettings(model_name=MODEL, method="pcw")
MOST = 20


def write_documents(folder: Path) -> None:
    """Some documents, as a table."""
    texts = dict(list(installed_packages())[:MOST])
    rows = [{"source": name, "text": text} for name, text in texts.items()]
    parquet.write_table(pa.Table.from_pylist(rows), folder / "documents.parquet")


def by_hand(dataset: ray.data.Dataset) -> ray.data.Dataset:
    """The actor in a pipeline of one's own."""
    return dataset.map_batches(
        EmbedDocuments,
        fn_constructor_kwargs={"settings": SETTINGS, "spans": True},
        batch_format="pyarrow",
        batch_size=32,
        concurrency=1,
        num_cpus=1,
    )


def main() -> None:
    """Embed, and say what there is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data")
    parser.add_argument("--out", required=True)
    parser.add_argument("--ray", default="local")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.data is None:
            write_documents(Path(folder))
        inputs, _ = inputs_of([given.data or folder])
        made_by = storable_model(SETTINGS).provenance
        report = embed_to_parquet(inputs, given.out, made_by, given.ray, spans=True)
    print(", ".join(f"{count} {status}" for status, count in report.counts.items() if count))
    for name, reason in report.failed:
        print(f"{name}: {reason}")
    print(f"{report.tokens:,} tokens, {report.share_read:.0%} of them read, in {given.out}")


if __name__ == "__main__":
    main()
