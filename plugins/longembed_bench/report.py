"""One HTML file with the tables, the pictures, the settings and the fingerprints."""

from __future__ import annotations

import base64
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment

from longembed_bench.plots import draw_all
from longembed_bench.results import ResultFolder
from longembed_bench.tables import score_tables
from longembed_st.files import write_text

LIBRARIES = ("longembed-st", "sentence-transformers", "transformers", "torch", "mteb", "bm25s")

TEMPLATE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>LongEmbed benchmark</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
         color: #111; background: #fff; }
  .wide { overflow-x: auto; }
  table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
  th, td { padding: .25rem .75rem; border-bottom: 1px solid #ccc; text-align: right; }
  th:first-child, td:first-child { text-align: left; }
  img { max-width: 100%; }
  figure { margin: 2rem 0; }
  code { font-size: .85rem; overflow-wrap: anywhere; }
</style>
<h1>LongEmbed benchmark</h1>
<p>"read" is the share of the corpus' tokens that the vectors were computed from, "vecs/doc" how
many of them stand for one document and "kB/doc" the kilobytes that they take in single precision,
"s/doc" the time to read one; where there are several lengths, all four are of the longest. "chunks"
is the unextended model on chunks of its original window, where the best chunk of a document
counts.</p>
{% for table in tables %}
<h2>{{ table.title }}</h2>
<div class="wide"><table>
<tr>{% for heading in table.headings %}<th>{{ heading }}</th>{% endfor %}</tr>
{% for row in table.rows %}
<tr><td>{{ row.label }}</td>{% for cell in row.cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
{% if table.note %}<p>{{ table.note }}</p>{% endif %}
{% endfor %}
<h2>Pictures</h2>
{% for caption, picture in pictures %}
<figure><img src="data:image/png;base64,{{ picture }}" alt="{{ caption }}">
<figcaption>{{ caption }}</figcaption></figure>
{% endfor %}
<h2>Runs</h2>
{% for run in runs %}
<h3>{{ run.label }}</h3>
<p><code>{{ run.mteb_name }}, revision {{ run.mteb_revision }}</code></p>
<p><code>{{ run.settings | tojson }}</code></p>
{% endfor %}
<h2>Versions</h2>
<p>{{ versions }}</p>
</html>
"""


def write_report(out: Path) -> Path:
    """Draw the pictures of an output folder and gather everything in `report.html`.

    Args:
        out: The folder of `longembed bench`.

    Returns:
        The report.
    """
    folder = ResultFolder(out)
    results = folder.results()
    pictures = [
        (caption, base64.b64encode(path.read_bytes()).decode("ascii"))
        for caption, path in draw_all(results, out / "pictures")
    ]
    template = Environment(autoescape=True, trim_blocks=True).from_string(TEMPLATE)
    html = template.render(
        tables=score_tables(results),
        pictures=pictures,
        runs=folder.settings(),
        versions=", ".join(f"{library} {version(library)}" for library in LIBRARIES),
    )
    path = out / "report.html"
    write_text(path, html)
    return path
