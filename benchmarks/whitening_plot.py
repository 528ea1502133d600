"""The picture of docs/WHITENING_MEASURED.md: score against the bytes of a document's vectors.

    python benchmarks/whitening_plot.py a.json b.json ... --out docs/images/whitening-bytes.png

Each file is one that whitening.py has written with --out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter

LINES = (("equal", "whitened", "#1f77b4", "o"), ("idf", "whitened, tokens by idf", "#d62728", "s"))


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    count = len(arguments.results)
    figure, panels = plt.subplots(1, count, figsize=(3.4 * count, 3.4), layout="constrained")
    for panel, path in zip([panels] if count == 1 else panels, arguments.results, strict=True):
        result = json.loads(path.read_text())
        equal = result["found"]["equal"]
        full = max(map(int, equal["whitened"]))
        for kind, label, colour, marker in LINES:
            points = {4 * int(n): score for n, score in result["found"][kind]["whitened"].items()}
            panel.plot(
                list(points), list(points.values()), color=colour, marker=marker, label=label
            )
        panel.plot(4 * full, equal["one vector"], "^", color="black", label="one vector as it is")
        size = 4 * full * equal["vectors a document"]
        panel.plot(size, equal["best window"], "D", color="#7f7f7f", label="best window")
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:,.0f}"))
        panel.tick_params(axis="x", labelrotation=45)
        panel.set_title(result["name"], fontsize=9)
        panel.set_xlabel("bytes a document")
        panel.grid(alpha=0.3)
    first = figure.axes[0]
    first.set_ylabel("nDCG@10 x 100")
    handles, labels = first.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9)
    figure.savefig(arguments.out, dpi=130)


if __name__ == "__main__":
    main()
