"""Tokens that a model does not know: texts that differ in nothing else get the same vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from transformers import PreTrainedTokenizerBase

UNKNOWN_SHARE = 0.1
"""Above this share of its tokens, a text counts as not known to a model. With all-MiniLM-L6-v2,
English reports have 0.2 % at most, German and Russian sentences none, Korean ones 7 %, Japanese
40 %, Chinese 60 %, Thai all but the special tokens."""

_LOOKED_AT = 10_000
_LONGEST_WORD = 20

_LANGUAGES = {
    "Amharic": "አማርኛ",
    "Arabic": "العربية",
    "Armenian": "հայերեն",
    "Bengali": "বাংলা",
    "Burmese": "မြန်မာဘာသာ",
    "Chinese": "简体中文",
    "Georgian": "ქართული ენა",
    "Greek": "ελληνικά",
    "Hebrew": "עברית",
    "Hindi": "हिन्दी",
    "Japanese": "日本語のひらがな",
    "Khmer": "ភាសាខ្មែរ",
    "Korean": "한국어",
    "Lao": "ພາສາລາວ",
    "Russian": "русский язык",
    "Sinhala": "සිංහල",
    "Tamil": "தமிழ்",
    "Telugu": "తెలుగు",
    "Thai": "ภาษาไทย",
    "Tibetan": "བོད་སྐད།",
}
"""Languages with a script of their own, in that script."""


def unknown_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the id of the token that stands for what is not known; None if there is none.

    Tokenizers that can write any text as bytes have none, or give its name to another token.
    """
    others = (tokenizer.eos_token, tokenizer.bos_token, tokenizer.pad_token, tokenizer.cls_token)
    if tokenizer.unk_token is None or tokenizer.unk_token in others:
        return None
    return tokenizer.unk_token_id


def count_unknown(tokenizer: PreTrainedTokenizerBase, ids: ArrayLike) -> int:
    """Return how many of some tokens stand for what the model does not know."""
    # The commands import this module, and `longembed --help` is not to wait for numpy.
    import numpy as np

    unknown = unknown_id(tokenizer)
    return 0 if unknown is None else int(np.count_nonzero(np.asarray(ids) == unknown))


def unknown_words(tokenizer: PreTrainedTokenizerBase, text: str, most: int = 3) -> list[str]:
    """Return examples of what the model does not know at the beginning of a text.

    A slow tokenizer gives none.
    """
    unknown = unknown_id(tokenizer)
    if unknown is None or not tokenizer.is_fast:
        return []
    encoded = tokenizer(
        text[:_LOOKED_AT], return_offsets_mapping=True, add_special_tokens=False, verbose=False
    )
    pairs = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
    words = [text[start:end].strip() for token, (start, end) in pairs if token == unknown]
    return [word[:_LONGEST_WORD] for word in dict.fromkeys(words) if word][:most]


def unknown_languages(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return the names of common languages whose script the model does not know."""
    return [name for name, word in _LANGUAGES.items() if unknown_words(tokenizer, word)]


def advice_on_unknown(words: Sequence[str] = ()) -> str:
    """Return a sentence that says what unknown tokens mean, and what to do."""
    examples = f", such as {', '.join(map(repr, words))}" if words else ""
    return (
        f"It cannot tell apart what it does not know{examples}. Use a model of this language or a "
        "multilingual one, for instance intfloat/multilingual-e5-small"
    )
