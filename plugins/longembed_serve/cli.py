"""`longembed serve`."""

from __future__ import annotations

import ipaddress
import os
import sys
import warnings
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longembed_index.command.options import (
    CollectionOption,
    MovedModelOption,
    StoreOption,
    open_index,
)
from longembed_index.errors import PhraseNotFoundWarning
from longembed_st.command.app import INTERRUPTED
from longembed_st.command.display import loading
from longembed_st.command.options import (
    BackendOption,
    DeviceOption,
    DtypeOption,
    settings_from_options,
)
from longembed_st.command.terminal import terminal
from longembed_st.errors import ConfigError, TextNotReadWarning, UnknownTokensWarning
from longembed_st.extras import needs_extra

if TYPE_CHECKING:
    from longembed_st.base.reranking import Reranker

KEY = "LONGEMBED_API_KEY"
"""The environment variable that holds the key that requests must bring."""


def serve(
    store: StoreOption,
    *,
    collection: CollectionOption = "documents",
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any free one.")] = 8080,
    model: MovedModelOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    backend: BackendOption = None,
    rerank: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Cross-encoder or late-interaction model for /v1/rerank and searches that ask "
            "for it.",
            show_default="none",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name by which clients ask for the model.",
            show_default="the model's own",
        ),
    ] = None,
    most_waiting: Annotated[
        int,
        typer.Option(
            min=1, metavar="MB", help="Text that may wait to be read; beyond, clients get 429."
        ),
    ] = 20,
    most_body: Annotated[int, typer.Option(min=1, metavar="MB", help="The longest request.")] = 20,
    grace: Annotated[
        int,
        typer.Option(
            min=0, metavar="SECONDS", help="How long requests may go on after SIGTERM or Ctrl-C."
        ),
    ] = 8,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A name by which the server may be called, beside its address. Repeatable.",
        ),
    ] = None,
    serve_files: Annotated[
        bool,
        typer.Option(
            "--serve-files",
            help="Let the page link to the files of the documents: those that the store has read, "
            "and no others.",
        ),
    ] = False,
    log_requests: Annotated[
        bool,
        typer.Option(
            "--log-requests", help="Print a line of JSON for each request, without its texts."
        ),
    ] = False,
    without_key: Annotated[
        bool,
        typer.Option("--without-key", help=f"Listen to other machines though {KEY} is not set."),
    ] = False,
) -> None:
    """Serve a store by HTTP: a page to search it, and the API of OpenAI's embeddings.

    The page is at /, the API's description at /docs. `POST /v1/embeddings` takes what OpenAI's
    clients send, texts of any length, and says of each what was read; `POST /search` answers from
    the store, `POST /v1/rerank` orders documents. Requests that come together are read together.
    Texts are never logged. With the environment variable LONGEMBED_API_KEY set, requests must bring
    it as a bearer token. SIGTERM ends the server when it has answered what it accepted, after
    --grace seconds at the latest.

    Example: `longembed serve --store ./store --port 8080`
    """
    key = os.environ.get(KEY) or None
    if not _is_loopback(host) and key is None and not without_key:
        raise ConfigError(
            f"at {host}, other machines could search the store: set {KEY}, or say --without-key"
        )
    with needs_extra("serve", "fastapi", "mcp", "prometheus_client", "uvicorn"):
        import fastapi  # noqa: F401 - of the same extra
        import mcp  # noqa: F401 - of the same extra
        import prometheus_client  # noqa: F401 - of the same extra
        import uvicorn  # noqa: F401 - of the same extra
    from longembed_serve.application import application, server_config
    from longembed_serve.metrics import log_to
    from longembed_serve.service import Service

    console = terminal(stderr=True)
    reranker: Reranker | None = None
    if rerank is not None:
        from longembed_st.loading.reranker import reranker_of

        with loading(console, rerank):
            reranker = reranker_of(rerank, device=device)
    settings = settings_from_options(device=device, dtype=dtype, backend=backend)
    with loading(console):
        index = open_index(store, collection, model=model, settings=settings)
        service = Service(
            index,
            reranker=reranker,
            max_waiting=most_waiting * 1_000_000,
            name=name,
            serve_files=serve_files,
        )
    hosts = ["*"] if not _is_loopback(host) and not allow_host else _names(host, allow_host)
    app = application(service, max_bytes=most_body * 1_000_000, key=key, hosts=hosts)
    config = server_config(app, host, port, grace)
    server = _server(config, lambda address: console.say(f"Open {address}"))
    if log_requests:
        log_to(sys.stderr)
    try:
        with warnings.catch_warnings():
            # They quote texts, and Python keeps each for ever.
            for category in (UnknownTokensWarning, TextNotReadWarning, PhraseNotFoundWarning):
                warnings.simplefilter("ignore", category)
            server.run()
    finally:
        if service.is_working:
            # The interpreter must not end while a thread computes: the libraries might crash.
            os._exit(INTERRUPTED)


def _server(config: Any, on_start: Any) -> Any:
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                host, port = self.servers[0].sockets[0].getsockname()[:2]
                on_start(f"http://{f'[{host}]' if ':' in host else host}:{port}/")

    return Server(config)


def _names(host: str, further: list[str] | None) -> list[str]:
    bare = host.strip("[]")
    shown = f"[{bare}]" if ":" in bare else bare
    return ["localhost", "127.0.0.1", "[::1]", shown, *(further or [])]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
