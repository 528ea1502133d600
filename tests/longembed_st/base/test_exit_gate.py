"""The end of an interpreter whose daemon threads compute."""

from __future__ import annotations

import threading

from fresh_process import run_fresh
from small_models import build_checkpoint

from longembed_st.base.exit_gate import ExitGate

ENDS = """
    import threading

    import torch

    import longembed_st as le

    torch.set_num_threads(1)
    model = le.load(given[0])
    begun = threading.Barrier(5)

    def encode_for_ever():
        model.encode("a")
        begun.wait()
        while True:
            model.encode(["bad kan " * length for length in (1, 30, 300)])

    for _ in range(4):
        threading.Thread(target=encode_for_ever, daemon=True).start()
    begun.wait()
    answer("the end comes while all four compute")
"""


def test_an_interpreter_may_end_while_daemon_threads_encode(tmp_path) -> None:
    """Without the gate, about one in three processes is aborted."""
    folder = build_checkpoint(tmp_path / "model", "bert", positions=64)
    run_fresh(ENDS, tmp_path, given=[str(folder)])


def test_the_end_waits_for_what_runs_and_nothing_more_begins() -> None:
    gate, is_in, may_go_on, passes = ExitGate(), threading.Event(), threading.Event(), []

    def encode() -> None:
        with gate.use():
            is_in.set()
            may_go_on.wait()
            while True:
                with gate.use():
                    passes.append("computed")

    thread = threading.Thread(target=encode, daemon=True)
    thread.start()
    is_in.wait()
    closer = threading.Thread(target=gate.close)
    closer.start()
    may_go_on.set()
    closer.join()
    assert gate._has_no_others()
    count = len(passes)
    with gate._condition:
        assert thread.is_alive()
        assert len(passes) == count
