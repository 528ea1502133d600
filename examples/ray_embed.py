"""Embed the documents of Parquet files with Ray Data, with units, into other Parquet files.

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

from longembed_index.maintain.embedding import storable_model
from longembed_ray import EmbedDocuments, embed_to_parquet, find_inputs
from longembed_st.base.settings import ModelSettings

SETTINGS = ModelSettings(model_name=MODEL, method="pcw")


def write_documents(folder: Path) -> None:
    """Write a table of documents."""
    rows = [{"id": name, "text": text} for name, text in installed_packages()]
    parquet.write_table(pa.Table.from_pylist(rows), folder / "documents.parquet")


def by_hand(dataset: ray.data.Dataset) -> ray.data.Dataset:
    """Return the embedded documents of a dataset of your own."""
    return dataset.map_batches(
        EmbedDocuments,
        fn_constructor_kwargs={"settings": SETTINGS, "units": True},
        batch_format="pyarrow",
        batch_size=32,
        compute=ray.data.ActorPoolStrategy(size=1),
        num_cpus=1,
    )


def main() -> None:
    """Embed the documents, and report what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data")
    parser.add_argument("--out", required=True)
    parser.add_argument("--ray", default="local")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.data is None:
            write_documents(Path(folder))
        inputs, _ = find_inputs([arguments.data or folder])
        provenance = storable_model(SETTINGS).provenance
        report = embed_to_parquet(inputs, arguments.out, provenance, arguments.ray, units=True)
    print(", ".join(f"{count} {status}" for status, count in report.counts.items() if count))
    for name, reason in report.failed:
        print(f"{name}: {reason}")
    print(f"{report.tokens:,} tokens, {report.share_read:.0%} of them read, in {arguments.out}")


if __name__ == "__main__":
    main()
