"""The model card of a saved model that reads long texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from longembed_st.files import write_text

if TYPE_CHECKING:
    from longembed_st.base.long_model import LongModel

TRAINED = "generated_from_trainer"
"""Tag of a trained model, whose card sentence-transformers writes."""

_ENCODE = 'vectors = model.encode_document(["a contract of forty pages ..."])'
_KINDS = {
    "SentenceTransformer": (
        "sentence-similarity",
        "feature-extraction",
        "An embedding model that reads long texts",
        _ENCODE,
    ),
    "SparseEncoder": (
        "feature-extraction",
        "sparse-encoder",
        "A sparse encoder that reads long texts",
        _ENCODE,
    ),
    "MultiVectorEncoder": (
        "sentence-similarity",
        "multi-vector",
        "A late-interaction model that reads long texts",
        _ENCODE,
    ),
    "CrossEncoder": (
        "text-ranking",
        "cross-encoder",
        "A cross-encoder that reads long texts",
        'ranked = model.rank("Who pays the tax?", ["a contract of forty pages ..."])',
    ),
}
"""For each class: its task on the hub, a tag, a heading, and an example."""


def write_card(model: LongModel, folder: Path) -> None:
    """Write the card of a saved model, or add ours to that of a trained one."""
    path = folder / "README.md"
    before = path.read_text(encoding="utf8") + "\n" if is_trained(model) else _front(model)
    if model.long_transformer.max_seq_length is None:
        # sentence-transformers knows no models without an upper length.
        before = before.replace(f"{model.max_seq_length} tokens", "no upper length")
    write_text(path, before + _about(model))


def is_trained(model: LongModel) -> bool:
    """Whether the model was trained with sentence-transformers."""
    return TRAINED in (getattr(model.model_card_data, "tags", None) or [])


def _front(model: LongModel) -> str:
    task, tag, heading, _ = _KINDS[model.model_type]
    return f"""---
library_name: sentence-transformers
pipeline_tag: {task}
tags:
- sentence-transformers
- {tag}
- longembed-st
---

# {heading}

"""


def _about(model: LongModel) -> str:
    extension = model.long_transformer.extension
    method = model.long_transformer.method
    window = extension.original_max_seq_length
    reach = extension.max_seq_length
    options = ", ".join(f"{name}={value!r}" for name, value in extension.method_options.items())
    base = getattr(model.model_card_data, "base_model", None)
    of = f" of [{base}](https://huggingface.co/{base})" if base else ""
    beyond = (
        "Texts of any length are read to their end."
        if reach is None
        else f"What lies beyond {reach:,} tokens is not read, and reported once per call."
    )
    prompts = {name: prompt for name, prompt in model.prompts.items() if prompt}
    width = getattr(model, "get_embedding_dimension", None)
    vector_row = f"\n| vector | {width()} numbers |" if width is not None else ""
    prompts_row = f"\n| prompts | {prompts} |" if prompts else ""
    return f"""## How it reads

The weights{of} come with settings for
[longembed-st](https://pypi.org/project/longembed-st/). Texts of up to {window:,} tokens get the
vectors of the original model.

| | |
|---|---|{vector_row}
| original window | {window:,} tokens |
| extended window | {"no upper length" if reach is None else f"{reach:,} tokens"} |
| method | {extension.method}{f" ({options})" if options else ""}: {method.summary} |
| source | {method.source} |{prompts_row}

{beyond} `le.coverage(model, texts)` says how much of each text is read, without reading it.

## Loading

```bash
pip install longembed-st
```

```python
import longembed_st as le

model = le.load("MODEL")  # this folder, or its name on the hub
{_KINDS[model.model_type][3]}
```

{_stock_loading(model)}A folder that needs no package is written by
`longembed bake`, if the method can be written into a plain model.
"""


def _stock_loading(model: LongModel) -> str:
    """Say how the stock class loads the model, if it would give the same results."""
    if model.long_transformer.refusal_of_stock(model) is not None:
        return ""
    call = f'{model.model_type}("MODEL", trust_remote_code=True)'
    return f"""With the package installed, `{call}` loads it, too:
the flag lets it use the package's module. """
