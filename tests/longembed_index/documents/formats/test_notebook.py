from __future__ import annotations

import json
from typing import Any

import pytest

from longembed_index.documents.formats.notebook import read_notebook
from longembed_st.errors import InputError

CELLS: list[dict[str, Any]] = [
    {"cell_type": "markdown", "source": ["# Tides\n", "at noon"]},
    {"cell_type": "code", "source": "print(1)", "outputs": [{"text": ["result"]}]},
    {"cell_type": "raw", "source": "raw text"},
]


def test_format_4() -> None:
    notebook = {"nbformat": 4, "cells": CELLS, "metadata": {"language_info": {"name": "julia"}}}
    parsed = read_notebook(b"\xef\xbb\xbf" + json.dumps(notebook).encode())
    assert parsed.text == "# Tides\nat noon\n\n```julia\nprint(1)\n```\n\nraw text"
    assert parsed.title == "Tides"


def test_format_3() -> None:
    cells = [
        {"cell_type": "heading", "level": 2, "source": ["Tides"]},
        {"cell_type": "code", "input": ["a = 1\n", "b"], "language": "python"},
    ]
    notebook = {"nbformat": 3, "metadata": {"name": "log"}, "worksheets": [{"cells": cells}] * 2}
    parsed = read_notebook(json.dumps(notebook).encode())
    assert parsed.text.startswith("## Tides\n\n```python\na = 1\nb\n```\n\n## Tides")
    assert parsed.title == "log"


def test_what_is_not_a_notebook_is_refused() -> None:
    for data in [b"", b"[]", b'{"a": 1}', b'{"cells": [', b"[" * 100_000]:
        with pytest.raises(InputError, match="cannot be read as IPYNB"):
            read_notebook(data)


def test_odd_cells_do_not_stop_the_rest() -> None:
    for cells in [None, 3, [None, 3, {"source": 3}, {"cell_type": ["code"]}]]:
        odd = {"nbformat": 4, "cells": cells, "worksheets": [{"cells": CELLS}], "metadata": 3}
        assert "at noon" in read_notebook(json.dumps(odd).encode()).text
