"""Write the files of a query encoder: a model as one graph, and its tokenizer."""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import sentence_transformers
import torch
import transformers
from sentence_transformers.sentence_transformer.modules import Dense
from sentence_transformers.util import truncate_embeddings
from torch import Tensor, nn

from longembed_st.backends.graph import masking_of, quiet
from longembed_st.backends.graph_attention import GRAPH_ATTENTION
from longembed_st.backends.graph_files import graph_on_disk
from longembed_st.backends.query_encoder import (
    MIN_COSINE,
    PROBES,
    SETTINGS,
    TOKENIZER,
    VERSION,
    WHITENING,
    QueryEncoder,
    encoder_folder,
    forget_encoder,
)
from longembed_st.base.fingerprint import hash_weights
from longembed_st.base.pooled import ends_in_map, following_modules, linear_modules
from longembed_st.base.sharing import copy_sharing_weights
from longembed_st.base.unknown_tokens import unknown_id
from longembed_st.compat import prompt_length
from longembed_st.errors import ModelError
from longembed_st.files import atomic_folder, write_text

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from openvino import Model

    from longembed_st.sentence_transformer.model import LongSentenceTransformer

logger = logging.getLogger(__name__)

MAX_PARAMETERS = 700_000_000
"""Larger models get no encoder, because their graphs would take gigabytes."""

_LONGEST_PROBE = 5_000
"""Characters of the longest text to compare: more than local attention layers see."""


def export_query_encoder(model: LongSentenceTransformer, fingerprint: str) -> bool:
    """Write the query encoder of a model, which needs no torch, unless it exists.

    Returns:
        Whether there is an encoder. There is none if OpenVINO is not installed, or if the model is
        on a GPU, is too large, or has parts that cannot be exported.
    """
    if model.device.type != "cpu":
        return False
    folder = encoder_folder(fingerprint)
    if not folder.is_dir():
        try:
            _write(model, folder)
        except ImportError:
            return False
        # Tracing fails with errors of every kind.
        except Exception as error:
            logger.info("without a query encoder, the model encodes queries: %s", error)
            return False
        forget_encoder(fingerprint)
    return True


class _Traceable(nn.Module):
    """A model as one module, from token ids to the two vectors of `encode_query_twice`.

    The vector for documents is the one before the map of unit vectors at the end, a whitening.
    """

    def __init__(self, model: LongSentenceTransformer, prompt: str) -> None:
        super().__init__()
        reader = model.long_transformer
        self.backbone = copy_sharing_weights(reader.backbone)
        self.masking = masking_of(reader.backbone, reader.family)
        self.backbone.set_attn_implementation(
            "sdpa" if self.masking == "stock" else GRAPH_ATTENTION
        )
        self.token_weights, self.pooling = reader.token_weights, reader.pooling
        modules = following_modules(model)
        self.following = nn.ModuleList(modules[:-2] if ends_in_map(modules) else modules)
        self.linear = nn.ModuleList(linear_modules(model))
        self.truncate_dim = model.truncate_dim
        excluded = reader.excludes_prompt and bool(prompt)
        self.prompt_length = prompt_length(reader, prompt) if excluded else 0
        parameters = inspect.signature(self.backbone.forward).parameters
        self.options = {"use_cache": False} if "use_cache" in parameters else {}

    def forward(self, input_ids: Tensor) -> Tensor:
        mask = torch.ones_like(input_ids)
        masks = {"stock": mask, "keys": mask[:, None, None].bool(), "causal": None}
        states = self.backbone(
            input_ids=input_ids, attention_mask=masks[self.masking], **self.options
        )
        features: dict[str, Any] = {
            "input_ids": input_ids,
            "attention_mask": mask,
            "token_embeddings": states.last_hidden_state.float(),
        }
        if self.prompt_length:
            features["prompt_length"] = self.prompt_length
        weighted = features if self.token_weights is None else self.token_weights(features)
        vectors = [
            self._through(self.following, weighted),
            self._through(self.linear, features),
        ]
        return truncate_embeddings(torch.cat(vectors), self.truncate_dim)

    def _through(self, modules: nn.ModuleList, features: dict[str, Any]) -> Tensor:
        features = self.pooling(dict(features))
        for module in modules:
            features = module(features)
        return cast(Tensor, features["sentence_embedding"])

    def key(self) -> str:
        """Return a hash of everything that the graph depends on."""
        parts = {
            "version": VERSION,
            "by": [torch.__version__, transformers.__version__, sentence_transformers.__version__],
            "config": {**self.backbone.config.to_dict(), "_name_or_path": None},
            "modules": [
                (type(module).__name__, getattr(module, "get_config_dict", dict)())
                for module in (self.pooling, *self.following)
            ],
            "prompt_length": self.prompt_length,
            "truncate_dim": self.truncate_dim,
        }
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
        hash_weights(digest, self)
        return digest.hexdigest()


def _whitening_of(model: LongSentenceTransformer) -> NDArray[np.float32] | None:
    """Return the whitening matrix of a model, shape (dimensions, width); None without one."""
    modules = following_modules(model)
    if not ends_in_map(modules):
        return None
    return cast("NDArray[np.float32]", cast(Dense, modules[-2]).linear.weight.detach().numpy())


def _write(model: LongSentenceTransformer, folder: Path) -> None:
    import openvino

    parameters = sum(parameter.numel() for parameter in model.parameters())
    if parameters > MAX_PARAMETERS:
        raise ModelError(f"the model has {parameters:,} parameters, more than {MAX_PARAMETERS:,}")
    model.eval()
    prompt = model.prompt_of("query") or ""
    tokenizer = json.loads(model.tokenizer.backend_tokenizer.to_str())
    tokenizer.update(truncation=None, padding=None)
    traceable = _Traceable(model, prompt).eval()
    key = traceable.key()
    graph_on_disk(openvino.Core(), key, lambda: _traced(traceable, model))
    window = model.long_transformer.extension.context.original
    encoded = model.encode_with_coverage(PROBES, role="query")
    probes = zip(PROBES, encoded.vectors.tolist(), encoded.coverages, strict=True)
    settings = {
        "graph": key,
        "prompt": prompt,
        "window": window,
        "unknown": unknown_id(model.long_transformer.text_tokenizer),
        "probes": {text: vector for text, vector, read in probes if read.tokens <= window},
    }
    whitening = _whitening_of(model)
    with atomic_folder(folder) as unfinished:
        write_text(unfinished / SETTINGS, json.dumps(settings))
        write_text(unfinished / TOKENIZER, json.dumps(tokenizer))
        if whitening is not None:
            np.save(unfinished / WHITENING, whitening)
        _compare(QueryEncoder(unfinished), model)


def _compare(encoder: QueryEncoder, model: LongSentenceTransformer) -> None:
    """Raise an error if encoder and model differ for texts longer than the traced one."""
    text = PROBES[0]
    while (query := encoder.encode(text)) is not None and len(text) < _LONGEST_PROBE:
        expected = model.encode_query_twice(text)
        cosine = min(
            query.vector @ expected.vector / np.linalg.norm(expected.vector),
            query.plain @ expected.plain,
        )
        if not cosine >= MIN_COSINE:
            raise ModelError(f"the graph gives other vectors than the model (cosine {cosine:.5f})")
        text = f"{text} {text}"


def _traced(traceable: _Traceable, model: LongSentenceTransformer) -> Model:
    import openvino

    example = model.long_transformer.tokenize_texts([PROBES[0]], None)[0]
    with torch.no_grad(), quiet():
        graph = openvino.convert_model(traceable, example_input=torch.tensor([list(example.ids)]))
    graph.inputs[0].get_node().set_partial_shape(openvino.PartialShape([1, -1]))
    graph.validate_nodes_and_infer_types()
    return graph
