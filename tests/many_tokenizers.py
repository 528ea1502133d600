"""Tokenizers of every kind, trained on a few texts of many scripts."""

from __future__ import annotations

from collections.abc import Callable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, processors, trainers
from tokenizers import normalizers as n
from tokenizers import pre_tokenizers as p
from transformers import PreTrainedTokenizerFast

CORPUS = [
    "The court of the river: an engine, a contract; 1,234.56 gardens & windows! naïve café",
    "Der Löwe saß im Gras. Straße, Übermut, ÄÖÜ, Wörterbuchverlagsgesellschaft",
    "中文没有空格。我们在这里写一些句子，然后测试。今天天气很好！東京は日本の首都です。カタカナ",
    "שלום עולם, זה משפט בעברית. مرحبا بالعالم هذه جملة",
    "नमस्ते दुनिया क्षत्रिय สวัสดีชาวโลกภาษาไทยไม่มีช่องว่าง 안녕하세요 세계",
    "👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷 👍🏽 e\u0301 a\u0308 \ufb01 \u2167 ½ ｱｲｳ",
    "def f(x):\n    return x  +  1\n\n\n\tif a == b:  # comment\r\n        pass",
    "aaaa aaaaaaaa !!!! .... ---- ==== 0000 000000 ababab",
]
"""What the tokenizers learn from, and texts are made of."""

GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _trained(tokenizer: Tokenizer, trainer: object) -> Tokenizer:
    tokenizer.train_from_iterator(CORPUS * 5, trainer)
    return tokenizer


def _special(tokenizer: Tokenizer, template: str) -> Tokenizer:
    ids = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=ids)
    return tokenizer


_SPECIALS = ["<unk>", "<s>", "</s>", "<pad>"]


def _wordpiece(normalizer: object, pre_tokenizer: object, longest: int = 100) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>", max_input_chars_per_word=longest))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    trained = _trained(
        tokenizer, trainers.WordPieceTrainer(vocab_size=400, special_tokens=_SPECIALS)
    )
    return _special(trained, "<s> $A </s>")


def _bpe(normalizer: object, pre_tokenizer: object, **options: object) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", **options))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    suffix = {name: options[name] for name in options if name == "end_of_word_suffix"}
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=_SPECIALS + [f"<0x{byte:02X}>" for byte in range(256)],
        initial_alphabet=p.ByteLevel.alphabet() if options == {} else [],
        **suffix,
    )
    return _special(_trained(tokenizer, trainer), "<s> $A </s>")


def _unigram(normalizer: object, pre_tokenizer: object) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, p.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=400, special_tokens=_SPECIALS, unk_token="<unk>", show_progress=False
    )
    trained = _trained(tokenizer, trainer)
    trained.pre_tokenizer = pre_tokenizer
    return _special(trained, "$A </s>")


def _llama(split_words: bool) -> Tokenizer:
    """Byte-pair encoding of the whole text as one word, as Llama and Mistral have it."""
    marks = [n.Prepend("▁"), n.Replace(" ", "▁")]
    options = {"fuse_unk": True, "byte_fallback": True}
    tokenizer = _bpe(n.Sequence(marks), p.Split("▁", "merged_with_next"), **options)
    tokenizer.decoder = decoders.ByteFallback()
    if not split_words:
        trained = tokenizer.to_str()
        tokenizer = Tokenizer.from_str(trained)
        tokenizer.pre_tokenizer = p.Split(Regex("(?!)"), "isolated")
    return tokenizer


def _with_added_tokens() -> Tokenizer:
    tokenizer = _wordpiece(n.BertNormalizer(), p.BertPreTokenizer())
    tokenizer.add_tokens(
        [
            AddedToken("<mask>", lstrip=True, special=True),
            AddedToken("<end>", rstrip=True),
            AddedToken("of the river", normalized=True),
            AddedToken("THE COURT", normalized=False),
            AddedToken("court", single_word=True),
            AddedToken("aa", normalized=False),
            AddedToken("\n\n", normalized=False),
        ]
    )
    return tokenizer


KINDS: dict[str, Callable[[], Tokenizer]] = {
    "bert": lambda: _wordpiece(n.BertNormalizer(), p.BertPreTokenizer()),
    "bert, short words only": lambda: _wordpiece(n.BertNormalizer(), p.BertPreTokenizer(), 12),
    "wordpiece, nfc": lambda: _wordpiece(n.NFC(), p.Whitespace()),
    "wordpiece, nfkd, punctuation": lambda: _wordpiece(
        n.Sequence([n.NFKD(), n.StripAccents(), n.Lowercase()]),
        p.Sequence([p.WhitespaceSplit(), p.Punctuation(), p.Digits()]),
    ),
    "wordpiece, scripts": lambda: _wordpiece(
        n.NFKC(), p.Sequence([p.Whitespace(), p.UnicodeScripts()])
    ),
    "byte-level": lambda: _bpe(None, p.ByteLevel(add_prefix_space=False)),
    "byte-level, prefix space": lambda: _bpe(n.NFC(), p.ByteLevel(add_prefix_space=True)),
    "byte-level, gpt-4": lambda: _bpe(
        n.NFC(),
        p.Sequence(
            [
                p.Split(Regex(GPT4), "isolated"),
                p.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        ),
    ),
    "byte-level, one word": lambda: _bpe(None, p.ByteLevel(False, use_regex=False)),
    "clip": lambda: _bpe(
        n.Sequence([n.NFC(), n.Replace(Regex(r"\s+"), " "), n.Lowercase()]),
        p.Sequence([p.Whitespace(), p.Punctuation()]),
        end_of_word_suffix="</w>",
    ),
    "llama": lambda: _llama(split_words=False),
    "llama, words": lambda: _llama(split_words=True),
    "unigram": lambda: _unigram(n.NFKC(), p.Metaspace()),
    "unigram, first": lambda: _unigram(n.NFKC(), p.Metaspace(prepend_scheme="first")),
    "unigram, one word": lambda: _unigram(n.NFKC(), p.Metaspace(split=False)),
    "unigram, nmt": lambda: _unigram(
        n.Sequence([n.Nmt(), n.NFKC(), n.Replace(Regex(" {2,}"), " "), n.Strip()]),
        p.Sequence([p.WhitespaceSplit(), p.Metaspace()]),
    ),
    "fixed length": lambda: _wordpiece(n.Lowercase(), p.FixedLength(5)),
    "added tokens": _with_added_tokens,
}


def tokenizer_of(kind: str) -> PreTrainedTokenizerFast:
    """One of `KINDS`, as transformers wraps it."""
    tokens = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=KINDS[kind](), **tokens)
