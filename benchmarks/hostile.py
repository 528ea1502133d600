"""Hostile queries and requests to a server, and a soak: how long each takes, and what memory.

    python benchmarks/hostile.py [--queries 10000] [--requests 2000] [--soak 1800] [--clients 16]

The server runs in a process of its own, over a small store. Queries and requests are drawn at
random from kinds that have cost time, memory or an error somewhere. It is an error if one takes
longer than `--limit` seconds, has an answer with a status of 500 or more, or none at all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
from measure import minilm
from serving import start_server

LIMIT, PATIENCE = 60.0, 5.0
PIECES = (
    *("“", "„", "«", "「", '"', '"a b" ', "'", "[", "](", "](<", "(", "{", "\\", "\\u0000", "$("),
    *("e\u0301", "\u0301" * 9, "\u200b", "\u00ad", "\u202e", "\ud800", "\udfff", "\0", "\x7f"),
    *("人", "人 ", "木 水 ", "กา", "한국", "ﷺ", "İ", "ß", "\u0661", "🧑‍🚀", "a", "a-\n", "x" * 99),
    *(
        "the ",
        "budget ",
        "NEAR/3 ",
        "OR ",
        "* ",
        "' OR 1=1 -- ",
        "%s",
        "../",
        "<b>",
        " ",
        "\t",
        "\n",
    ),
)
BODIES = (
    *(b"", b"{", b"[" * 9_000, b'{"a":' * 9_000, b"\xff\xfe", b"NaN", b"null", b'"a"', b"\0" * 99),
    b'{"query": "a", "k": 1e999}',
    b'{"query": "a", "where": {"title": "%s"}}' % (b"*a" * 5_000),
    b'{"query": "a", "where": {"title": "%s"}}' % (b"*a" * 499),
    b'{"query": "a", "where": {"title": [%s]}}' % b",".join(b'"%d"' % n for n in range(10_000)),
    b'{"query": "a", "where": {%s}}' % b",".join(b'"%d": 1' % n for n in range(9_000)),
    b'{"query": "%s", "documents": ["a"]}' % (b"a " * 50_000),
    b'{"query": "a", "where": {"year": {"gte": "\xf0\x9f\xa7\x91"}}}',
    b'{"query": "\\ud800", "mode": "lexical"}',
    b'{"input": [%s]}' % b",".join([b"[]"] * 200_000),
    b'{"input": [%s]}' % b",".join([b'""'] * 2_048),
    b'{"query": "a", "documents": [%s]}' % b",".join([b"{}"] * 50_000),
    b'{"query": "a", "max_words": 100000}',
    b'{"source": "%s"}' % (b"../" * 9_000),
)
PATHS = ("/search", "/context", "/document", "/v1/embeddings", "/v1/rerank", "/v1/models/x", "/")
QUESTIONS = ("who approved the budget?", '"the budget"', "when did the council meet in spring?")


def hostile_query(draw: random.Random, longest: int) -> str:
    """A query of a few kinds of pieces."""
    pieces, size = draw.sample(PIECES, draw.randint(1, 4)), int(longest ** draw.random())
    return "".join(draw.choices(pieces, k=size))[:size]


def hostile_filter(draw: random.Random) -> dict[str, object]:
    """A filter of patterns that are tried in many places, or of many values."""
    pieces = draw.sample(("*", "?", "*a", "a", "/", "[", "*?", "[!a-", "é", "e\u0301"), 3)
    values = [
        "".join(draw.choices(pieces, k=draw.randint(1, 400))) for _ in range(draw.randint(1, 40))
    ]
    return {draw.choice(("title", "source", "id", "read", "x")): draw.choice((values, values[0]))}


def hostile_request(draw: random.Random) -> bytes:
    """A request as it is sent: wrong, cut off, or with headers that do not fit."""
    body = bytearray(draw.choice(BODIES))
    for _ in range(draw.choice((0, 0, 1, 20))):
        if body:
            body[draw.randrange(len(body))] = draw.randrange(256)
    length = draw.choice((len(body), len(body), len(body) + 5, 10**12, -1))
    headers = [
        f"{draw.choice(('POST', 'POST', 'GET', 'TRACE', 'ÄÖ'))} {draw.choice(PATHS)} HTTP/1.1",
        "Host: localhost",
        draw.choice(
            (f"Content-Length: {length}", "Transfer-Encoding: chunked", "X: " + "y" * 9_000)
        ),
        draw.choice(("A: b", "Expect: 100-continue", "Connection: upgrade", "Authorization: x")),
    ]
    return "\r\n".join(headers).encode() + b"\r\n\r\n" + bytes(body)


def memory(process: subprocess.Popen, name: str = "VmRSS") -> int:
    """Megabytes of a process; VmHWM for the most that it had."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) // 1024
    return 0


def write_store(place: Path, model: str) -> Path:
    """Index some documents, a long one among them."""
    draw, documents = random.Random(1), place / "documents"
    documents.mkdir()
    words = ["the", "budget", "of", "council", "was", "approved", "in", "spring", "人木水", "été"]
    for number in range(40):
        size = 20_000 if number == 0 else 400
        sentences = [" ".join(draw.choices(words, k=12)) + "." for _ in range(size // 12)]
        (documents / f"{number}.txt").write_text(" ".join(sentences))
    command = ["index", str(documents), "--store", str(place / "store"), "--model", model]
    run = [sys.executable, "-m", "longembed_st", *command, "--method", "pcw"]
    subprocess.run(run, check=True, capture_output=True)
    return place / "store"


def run_queries(address: str, count: int, process: subprocess.Popen) -> None:
    """Put hostile queries, one after the other."""
    draw, seconds, statuses = random.Random(2), [], Counter()
    with httpx.Client(base_url=address, timeout=LIMIT) as client:
        for number in range(count):
            # Vectors of long texts are the model's work, which takes as long as any text.
            mode = draw.choice(("lexical", "lexical", "lexical", "hybrid"))
            query = hostile_query(draw, 25_000 if mode == "lexical" else 2_000)
            where = hostile_filter(draw) if draw.random() < 0.2 else {}
            body = json.dumps({"query": query, "mode": mode, "where": where}).encode()
            begin = time.perf_counter()
            answer = client.post(draw.choice(("/search", "/context")), content=body)
            seconds.append(time.perf_counter() - begin)
            statuses[answer.status_code] += 1
            if answer.status_code not in (200, 400):
                print(f"query {number}: {answer.status_code} {answer.text[:200]}: {query[:60]!r}")
    report(f"{count:,} hostile queries", seconds, statuses, process)


async def run_requests(address: str, count: int, process: subprocess.Popen) -> None:
    """Send hostile requests, some at the same time."""
    draw, seconds, statuses = random.Random(3), [], Counter()
    host, port = address.removeprefix("http://").strip("/").split(":")

    async def send(request: bytes, is_cut: bool) -> None:
        begin = time.perf_counter()
        reader, writer = await asyncio.open_connection(host, int(port))
        answer = b""
        try:
            writer.write(request[: len(request) // 2] if is_cut else request)
            if not is_cut:
                answer = await asyncio.wait_for(reader.read(65536), PATIENCE)
        except asyncio.TimeoutError:
            # The rest of the body is waited for.
            answer = b"- given-up"
        except OSError:
            answer = b"- reset"
        finally:
            writer.close()
        seconds.append(time.perf_counter() - begin)
        status = answer.split(b" ")[1].decode() if b" " in answer else "none"
        statuses["left" if is_cut else status] += 1

    for _ in range(0, count, 8):
        requests = [send(hostile_request(draw), draw.random() < 0.2) for _ in range(8)]
        await asyncio.gather(*requests)
    report(f"{count:,} hostile requests", seconds, statuses, process)


async def soak(address: str, clients: int, limit: float, process: subprocess.Popen) -> None:
    """Let clients search and embed for some time, a tenth of it hostile; watch the memory."""
    seconds: list[float] = []
    statuses: Counter[int] = Counter()
    memories: list[int] = []
    end = time.monotonic() + limit

    async def client(number: int) -> None:
        draw = random.Random(number)
        async with httpx.AsyncClient(base_url=address, timeout=LIMIT) as session:
            while time.monotonic() < end:
                if draw.random() < 0.1:
                    body = {"query": hostile_query(draw, 3_000), "mode": "lexical"}
                else:
                    body = {"query": f"{draw.choice(QUESTIONS)} {draw.randrange(10**6)}"}
                path = draw.choice(("/search", "/search", "/context", "/v1/embeddings"))
                if path == "/v1/embeddings":
                    body = {"input": [f"the budget {draw.randrange(10**6)} " * draw.randint(1, 40)]}
                begin = time.perf_counter()
                answer = await session.post(path, content=json.dumps(body).encode())
                seconds.append(time.perf_counter() - begin)
                statuses[answer.status_code] += 1

    async def watch() -> None:
        while time.monotonic() < end:
            memories.append(memory(process))
            await asyncio.sleep(limit / 20)

    await asyncio.gather(watch(), *map(client, range(clients)))
    report(f"soak of {limit:.0f} s with {clients} clients", seconds, statuses, process)
    print("    memory in MB: " + " ".join(map(str, memories)))


def report(title: str, seconds: list[float], statuses: Counter, process: subprocess.Popen) -> None:
    """Print what came out."""
    median, late, most = np.quantile(seconds, [0.5, 0.99, 1])
    print(f"{title}: {dict(statuses.most_common())}")
    print(f"    {median:.3f} s (median), {late:.2f} s (99%), {most:.2f} s (longest)")
    now, peak = memory(process), memory(process, "VmHWM")
    print(f"    memory of the server now {now} MB, at most {peak} MB", flush=True)


def main() -> None:
    """Attack, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default=minilm())
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--soak", type=float, default=1_800, metavar="SECONDS")
    parser.add_argument("--clients", type=int, default=16)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        process, address = start_server(write_store(Path(place), arguments.model))
        log: list[str] = []
        threading.Thread(target=log.extend, args=(process.stderr,), daemon=True).start()
        try:
            print(f"memory of the server at its start: {memory(process)} MB", flush=True)
            run_queries(address, arguments.queries, process)
            asyncio.run(run_requests(address, arguments.requests, process))
            asyncio.run(soak(address, arguments.clients, arguments.soak, process))
            print("healthz:", httpx.get(f"{address}healthz").json())
        finally:
            begin = time.perf_counter()
            process.terminate()
            code = process.wait(60)
        print(f"ended with {code}, {time.perf_counter() - begin:.1f} s after SIGTERM")
    lines = Counter(line.strip() for line in log)
    print(f"{sum('Traceback' in line for line in log)} tracebacks; the log:")
    for line, times in lines.most_common(20):
        print(f"    {times} times: {line[:200]}")


if __name__ == "__main__":
    main()
