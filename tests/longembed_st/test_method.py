"""The method protocol and the registry: a third-party package brings a method by entry point."""

from __future__ import annotations

import sys

import pytest
import torch
from compare import difference
from fresh_process import run_fresh
from reference.plain import PlainModel
from small_models import text_of

import longembed_st as le
from longembed_st.method import methods

MIRROR = '''
from typing import ClassVar, Literal
import torch
from pydantic import Field
from longembed_st import Context, Method

class Mirror(Method):
    """Positions that run back and forth through the table."""
    name: ClassVar[str] = "mirror"
    summary: ClassVar[str] = "there and back again"
    source: ClassVar[str] = "nowhere"
    needs: ClassVar = frozenset({"position_ids"})

    turn: int = Field(default=0, ge=0)

    def position_ids(self, n, context):
        period = 2 * (context.original - self.turn)
        places = torch.arange(n) % period
        return torch.minimum(places, period - 1 - places)

class Nameless(Method):
    summary: ClassVar[str] = ""

class Other:
    name = "other"
'''


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a package with entry points on the path, as pip would."""

    def install(entry_points, code=MIRROR, package="mirror_method"):
        (tmp_path / f"{package}.py").write_text(code)
        record = tmp_path / f"{package}-1.0.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (record / "entry_points.txt").write_text(f"[longembed_st.methods]\n{entry_points}\n")
        return tmp_path

    monkeypatch.syspath_prepend(str(tmp_path))
    methods.cache_clear()
    yield install
    methods.cache_clear()
    sys.modules.pop("mirror_method", None)


def mirrored(n, window):
    forth_and_back = [*range(window), *reversed(range(window))]
    return [forth_and_back[i % (2 * window)] for i in range(n)]


def test_a_method_of_another_package_is_found_and_used(install, small_model, tmp_path):
    site = install("mirror = mirror_method:Mirror")
    folder = small_model("roberta")
    plain = PlainModel(folder, 64, 2)
    text = text_of(250, plain.tokenizer)
    short = text_of(64, plain.tokenizer)
    code = """
        import longembed_st as le
        model = le.load(given["model"], method="mirror", max_seq_length=300)
        model.save_pretrained(given["saved"])
        back = le.load(given["saved"])
        answer([model.encode(given["texts"]).tolist(), back.encode(given["texts"]).tolist(),
                list(le.methods()), le.fingerprint(model) == le.fingerprint(back)])
    """
    given = {"model": str(folder), "saved": str(tmp_path / "saved"), "texts": [short, text]}
    fresh, back, names, same = run_fresh(code, tmp_path, given=given, PYTHONPATH=str(site))
    hidden = plain.hidden(plain.token_ids(text), positions=mirrored(250, 64))
    expected = torch.stack([plain.embed(short), plain.finish(plain.pool(hidden))])
    assert difference(fresh, expected) < 1e-5
    assert difference(back, fresh) == 0
    assert "mirror" in names
    assert same


def test_options_of_another_packages_method_are_validated(install, small_model):
    install("mirror = mirror_method:Mirror")
    folder = str(small_model("bert"))
    model = le.load(folder, method="mirror", max_seq_length=128, turn=2)
    assert model[0].extension.options == {"turn": 2}
    with pytest.raises(le.ConfigError, match=r"turn=-1"):
        le.load(folder, method="mirror", max_seq_length=128, turn=-1)
    with pytest.raises(le.ConfigError, match=r"trun.*options: turn"):
        le.load(folder, method="mirror", max_seq_length=128, trun=1)


def test_a_method_of_another_package_that_cannot_be_baked_says_so(install, small_model, tmp_path):
    install("mirror = mirror_method:Mirror")
    model = le.load(str(small_model("bert")), method="mirror", max_seq_length=128)
    with pytest.raises(le.ModelError, match=r"mirror.*baked"):
        le.bake(model, tmp_path / "baked")
    assert not (tmp_path / "baked").exists()


@pytest.mark.parametrize(
    "entry_point",
    [
        "mirror = mirror_method:Other",
        "mirror = mirror_method:torch",
        "mirror = mirror_method:Nameless",
        "mirror = mirror_method:Missing",
        "mirror = no_such_module:Mirror",
        "glass = mirror_method:Mirror",
        "pi = mirror_method:Mirror",
    ],
)
def test_a_wrong_registration_is_an_error_that_names_it(install, entry_point):
    install(entry_point)
    name, value = entry_point.split(" = ")
    with pytest.raises(le.ConfigError) as refusal:
        le.methods()
    assert name in str(refusal.value)
    assert value.split(":")[0] in str(refusal.value)


def test_a_name_that_is_taken_is_an_error(install):
    install(
        "pi = mirror_method:Impostor",
        MIRROR + '\nclass Impostor(Mirror):\n    name: ClassVar[str] = "pi"\n',
    )
    with pytest.raises(le.ConfigError, match=r"'pi'.*taken"):
        le.methods()


def test_the_same_method_seen_twice_is_fine(install):
    install("pi = longembed_methods.absolute:PositionInterpolation", package="twice")
    assert le.methods()["pi"].__module__ == "longembed_methods.absolute"


@pytest.mark.parametrize("name", ["PI", "", "pi ", None, 7, ["pi"]])
def test_an_unknown_method_is_an_error_that_lists_the_known_ones(name):
    with pytest.raises(le.ConfigError, match=r"installed methods: .*pi"):
        le.method.get_method(name)


def test_a_method_that_answers_nothing_reads_as_the_model_does():
    class Silent(le.Method):
        name = "silent"

    context = le.Context(64, 128)
    silent = Silent()
    assert silent.windows(100, 62) is None
    assert silent.position_ids(100, context) is None
    assert silent.tokens_per_window(context) == 64
    assert Silent.default_max_seq_length(512) == 4096
    silent.check(context)
    with pytest.raises(le.ModelError, match="cannot be baked"):
        silent.baked_positions(context)
