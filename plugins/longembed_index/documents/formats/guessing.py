"""Guess the encoding of text that neither declares one nor is UTF-8."""

from __future__ import annotations

import math

_SAMPLE = 20_000
"""Bytes of the lines that are looked at."""

_PUNCTUATION = "\u00a0‘’“”„–—…€£©®«»°§·•™、。，・「」（）：；？！"
_CYRILLIC = "оеаинтсрвлкмдпуяызьбгчйхжюшцщэфъёіїєґ"
_LETTERS = {
    "cp1252": "éäüöáíóàèñßåøçãêæúôâûîïëùìòœõðýþªº¡¿ÿ",
    "cp1250": "íáéěłóąžčšęřýżöüůúćśńőăâţşťňđľűäîôďźĺŕ",
    "cp1254": "ıüşçğöâîûé",
    "cp1257": "āėšžīūčēąįųäõļņģķöüę",
    "cp1251": _CYRILLIC,
    "koi8-r": _CYRILLIC,
    "cp866": _CYRILLIC,
    "cp1253": "αοιετσνηυρπκμλςίόάέήγδωύχθφβώξζψϊϋ",
    "cp1255": "יוהלאמםרבתנשחדעפקטצגכזםסןךףץ",
    "cp1256": "اليمنوهترةبدعسفكقحجشطصأخضئذغثزىءإظآؤ،پچژگ",
    "cp874": "านรกอเงม่้ัยลวดทตสะปบคีิุำแจพหโไขใชถผ์ูื็ธณศซภฐญษฎฟ",
    "cp850": "éäüöáíóàèñßåøçãêæúôâûîïëùìò",
    "mac-roman": "éäüöáíóàèñßåøçãêæúôâûîïëùìò",
}
"""The letters that are not ASCII by codec, the most frequent first."""

_SIMPLIFIED = (
    "的一是不了人在有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
    "用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心本前开但因只从想实"
    "日者意无力与长机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物政文件市员新合员计"
)
_TRADITIONAL = (
    "的一是不了人在有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡"
    "用道行所然家種事成方多經麼去法學如都同現當沒動面起看定天分還進好小部其些主樣理心本前開但因只從想實"
    "日者意無力與長機十民第公此已工使情明性知全三又關點正業外將兩高間由問很最重並物政文件市員新合計"
)
_COMMON_KANJI = (
    "日一国人年大十二本中長出三時行見月分後前生五間上東四今金九入学高円子外八六下来気小七山話女"
    "北午百書先名川千水半男西電校語会議事者年的同社自民業地方理主定"
)
_SYLLABLES = (
    "이다는을의에가고하를은로한도지서기나사어자리들그시해인있대것수만부아정일라스제장게전보주원"
    "과여했안습니요세계"
)
_WIDE = {
    "gb18030": _SIMPLIFIED,
    "big5hkscs": _TRADITIONAL,
    "cp932": _COMMON_KANJI,
    "euc_jp": _COMMON_KANJI,
    "cp949": _SYLLABLES,
}
"""Frequent characters of the encodings with two bytes a character."""

_COMMON, _RARE, _WRONG = -4.0, -9.0, -14.0
"""Logarithms of how probable a character is, next to the ranked letters."""
_LEAST = -4.6
"""A text below this, per byte, is not in any of these encodings."""
_HABITS = {"cp1252": 0.2, "mac-roman": -0.8, "cp850": -0.8, "cp866": -0.4}
"""What is added to the score of an encoding that is more usual, or less, than the others."""
_LATIN = ("cp1252", "cp1250", "cp1254", "cp1257", "cp850", "mac-roman")


def guess_encoding(data: bytes) -> str | None:
    """Return the Python codec that makes the most usual text of some bytes.

    Returns:
        The codec; None if none of them makes a text.
    """
    lines = [line for line in data.splitlines(keepends=True) if not line.isascii()]
    sample = b"".join(lines)[:_SAMPLE]
    scores = {codec: _score(sample, codec) for codec in (*_LETTERS, *_WIDE)}
    for codec, habit in _HABITS.items():
        scores[codec] += habit
    best = max(scores, key=scores.__getitem__)
    return best if scores[best] > _LEAST else None


def _score(sample: bytes, codec: str) -> float:
    """Return the mean log probability of a byte that is not ASCII."""
    text = sample.decode(codec, "replace")
    others = [character for character in text if not character.isascii()]
    size = len(sample) - (len(text) - len(others))
    ranks = {letter: rank for rank, letter in enumerate(_LETTERS.get(codec, ""))}
    frequent = frozenset(_WIDE.get(codec, ""))
    total = 0.0
    for before, character, after in zip(f" {text}", text, f"{text[1:]} ", strict=False):
        if character.isascii():
            continue
        total += _log_probability(character, ranks, frequent, codec)
        # A capital behind a small letter, or alone.
        is_swapped = character.isupper() and (before.islower() or not (before + after).strip())
        # A word of two scripts.
        is_mixed = codec not in _LATIN and character.isalpha() and (before + after).isascii()
        if is_swapped or (ranks and is_mixed and (before + after).strip().isalpha()):
            total += _RARE / 2
    return total / max(size, 1)


def _log_probability(
    character: str, ranks: dict[str, int], frequent: frozenset[str], codec: str
) -> float:
    if character == "\ufffd" or (not character.isprintable() and character != "\u00a0"):
        return _WRONG
    if character in _PUNCTUATION:
        return _COMMON
    if ranks:
        small = character.lower()
        return -0.9 - 1.1 * math.log(ranks[small] + 3) if small in ranks else _RARE
    if character in frequent:
        return _COMMON - 1
    is_kana = "\u3041" <= character <= "\u30ff"
    if is_kana and codec in ("cp932", "euc_jp"):
        return _COMMON
    is_word = "\u4e00" <= character <= "\u9fff" or "\uac00" <= character <= "\ud7a3"
    return _RARE if is_word else 1.3 * _RARE
