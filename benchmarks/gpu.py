"""Long texts on a GPU: tokens a second, the share of its matrix peak, peak memory.

Models of real shapes with random weights, in bfloat16; vectors are compared with float32. Beside
them, sentence-transformers reads the same windows in float16, with flash attention and without
padding if flash-attn is installed. Without a GPU it says so and measures nothing; `--device cpu
--small` tries the harness itself.

    python benchmarks/gpu.py [--device cuda] [--small]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from measure import SHORT_WORDS, random_texts
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoModel,
    BertConfig,
    LlamaConfig,
    NomicBertConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
)
from transformers.utils import is_flash_attn_2_available

import longembed_st as le

WINDOW = 512
METHODS = {
    "6-layer encoder": ("pcw", "pi"),
    "24-layer encoder": ("pcw", "pi", "self_extend"),
    "1-B decoder": ("pcw", "pi", "self_extend"),
}
LEAST_COSINE = 0.99


def shapes(small: bool) -> dict[str, PretrainedConfig]:
    """Return the configurations; small ones only exercise the harness."""
    by = 16 if small else 1
    vocabulary = {"vocab_size": 1000 if small else 30522, "pad_token_id": 0}
    return {
        "6-layer encoder": BertConfig(
            hidden_size=384,
            num_hidden_layers=6 // (3 if small else 1),
            num_attention_heads=12,
            intermediate_size=1536,
            max_position_embeddings=WINDOW,
            **vocabulary,
        ),
        "24-layer encoder": NomicBertConfig(
            hidden_size=1024 // by,
            num_hidden_layers=2 if small else 24,
            num_attention_heads=16 // (by if small else 1) or 1,
            intermediate_size=4096 // by,
            max_position_embeddings=WINDOW,
            **vocabulary,
        ),
        "1-B decoder": LlamaConfig(
            hidden_size=2048 // by,
            num_hidden_layers=2 if small else 16,
            num_attention_heads=2 if small else 32,
            num_key_value_heads=1 if small else 8,
            intermediate_size=8192 // by,
            max_position_embeddings=WINDOW,
            **vocabulary,
        ),
    }


def write_model(config: PretrainedConfig, folder: Path) -> str:
    """Write a sentence-transformers folder with random weights, and return its name."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    numbered = {word: number for number, word in enumerate([*specials, *SHORT_WORDS])}
    words = Tokenizer(models.WordLevel(numbered, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", model_max_length=WINDOW
    )
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder / "plain")
    tokenizer.save_pretrained(folder / "plain")
    transformer = Transformer(str(folder / "plain"))
    pooling = Pooling(transformer.get_embedding_dimension(), "mean")
    SentenceTransformer(modules=[transformer, pooling], device="cpu").save(str(folder / "model"))
    return str(folder / "model")


def timed(run: Callable[[], object], device: str, runs: int = 3) -> float:
    """Return the median seconds of a job, what is queued on the device included."""
    taken = []
    for _ in range(runs + 1):
        begin = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - begin)
    return sorted(taken[1:])[runs // 2]


def matmul_peak(device: str, small: bool) -> float:
    """Return the operations a second of a large product in bfloat16."""
    n = 512 if small else 8192
    matrix = torch.randn(n, n, device=device, dtype=torch.bfloat16)
    return 2 * n**3 / timed(lambda: matrix @ matrix, device, 9)


def operations(model: SentenceTransformer, texts: list[str]) -> int:
    """Return the operations that torch counts in one call."""
    with FlopCounterMode(display=False) as counter:
        model.encode(texts)
    return int(counter.get_total_flops())


def measure(name: str, method: str, texts: list[str], device: str, peak: float) -> str:
    """Return one line of the table."""
    reach = {} if method == "pcw" else {"max_seq_length": 32768}
    model = le.load(name, method, device=device, dtype="bfloat16", **reach)
    exact = le.load(name, method, device=device, dtype="float32", **reach)
    alike = torch.cosine_similarity(
        model.encode(texts[:1], convert_to_tensor=True).float(),
        exact.encode(texts[:1], convert_to_tensor=True),
    )
    assert float(alike.min()) > LEAST_COSINE, f"bfloat16 is off: cosine {float(alike.min()):.4f}"
    del exact
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = timed(lambda: model.encode(texts), device)
    tokens = sum(coverage.read for coverage in le.coverage(model, texts))
    share = operations(model, texts) / seconds / peak
    memory = torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else float("nan")
    return (
        f"{method:12} {tokens / seconds:12,.0f} tokens/s   {share:5.0%} of the peak   "
        f"{memory:6.2f} GB   cosine with float32 {float(alike.min()):.5f}"
    )


def measure_stock(name: str, texts: list[str], device: str) -> str:
    """Return the line of sentence-transformers, which reads the windows as separate texts."""
    size = WINDOW - 2
    windows = []
    for text in texts:
        words = text.split(" ")
        windows += [" ".join(words[n : n + size]) for n in range(0, len(words), size)]
    attention = "flash_attention_2" if is_flash_attn_2_available() else "sdpa"
    dtype = torch.float16 if device == "cuda" else torch.float32
    loading = {"dtype": dtype, "attn_implementation": attention}
    model = SentenceTransformer(name, device=device, model_kwargs=loading)
    seconds = timed(lambda: model.encode(windows, batch_size=64), device)
    tokens = sum(len(window.split(" ")) + 2 for window in windows)
    label = f"sentence-transformers, windows, {str(dtype).removeprefix('torch.')}, {attention}"
    return f"{tokens / seconds:12,.0f} tokens/s   {label}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny shapes and texts")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("not run: there is no GPU here")
        return
    peak = matmul_peak(arguments.device, arguments.small)
    print(f"matrix products in bfloat16: {peak / 1e12:.2f} TFLOP/s")
    longest = 1024 if arguments.small else 32768
    kinds = {
        f"{longest:,} tokens": random_texts([longest - 2] * (1 if arguments.small else 4), 0),
        "mixed lengths": random_texts([max(16, longest >> n) - 2 for n in range(9)], 1),
    }
    for shape, config in shapes(arguments.small).items():
        with tempfile.TemporaryDirectory() as folder:
            name = write_model(config, Path(folder))
            for kind, texts in kinds.items():
                print(f"{shape}, {kind}")
                for method in METHODS[shape]:
                    print(f"  {measure(name, method, texts, arguments.device, peak)}", flush=True)
                print(f"  {'stock':12} {measure_stock(name, texts, arguments.device)}", flush=True)


if __name__ == "__main__":
    main()
