"""The method protocol: what a method need not answer, and methods from other packages."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from compare import difference
from reference.plain import PlainModel
from small_models import text_of

import longembed_st as le
from longembed_st.positions.method import ENTRY_POINT_GROUP, get_method

MIRROR = '''
from typing import ClassVar
import torch
from pydantic import Field
from longembed_st import Method

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
'''


def mirrored(n, window):
    forth_and_back = [*range(window), *reversed(range(window))]
    return [forth_and_back[i % (2 * window)] for i in range(n)]


@pytest.fixture
def mirror(install):
    return install(ENTRY_POINT_GROUP, "mirror = brought_along:Mirror", MIRROR)


def test_a_method_of_another_package_is_found_and_used(mirror, small_model, tmp_path):
    folder = small_model("roberta")
    plain = PlainModel(folder, 64, 2)
    text = text_of(250, plain.tokenizer)
    short = text_of(64, plain.tokenizer)
    model = le.load(folder, method="mirror", max_seq_length=300)
    model.save_pretrained(str(tmp_path / "saved"))
    back = le.load(tmp_path / "saved")
    hidden = plain.hidden(plain.token_ids(text), positions=mirrored(250, 64))
    expected = torch.stack([plain.embed(short), plain.finish(plain.pool(hidden))])
    vectors = model.encode([short, text])
    assert difference(vectors, expected) < 1e-5
    assert difference(back.encode([short, text]), vectors) < 1e-6
    assert "mirror" in le.methods()
    assert le.fingerprint(model) == le.fingerprint(back)


def test_options_of_another_packages_method_are_validated(mirror, small_model):
    folder = str(small_model("bert"))
    model = le.load(folder, method="mirror", max_seq_length=128, turn=2)
    assert model[0].extension.method_options == {"turn": 2}
    with pytest.raises(le.ConfigError, match=r"turn=-1"):
        le.load(folder, method="mirror", max_seq_length=128, turn=-1)
    with pytest.raises(le.ConfigError, match=r"trun.*options: turn"):
        le.load(folder, method="mirror", max_seq_length=128, trun=1)


def test_a_method_is_registered_in_this_process_too(install, small_model):
    @le.register_method
    class Standing(le.Method):
        """Every token of a long text stands on the first position."""

        name: ClassVar[str] = "standing"
        needs: ClassVar[frozenset[le.Capability]] = frozenset({"position_ids"})

        def position_ids(self, n, context):
            return torch.zeros(n, dtype=torch.long)

    folder = small_model("roberta")
    plain = PlainModel(folder, 64, 2)
    text = text_of(100, plain.tokenizer)
    hidden = plain.hidden(plain.token_ids(text), positions=[0] * 100)
    vector = le.load(folder, "standing").encode(text)
    assert difference(vector, plain.finish(plain.pool(hidden))) < 1e-5


@pytest.mark.parametrize(
    "entry_point",
    ["mirror = brought_along:torch", "mirror = brought_along:Nameless"],
)
def test_what_is_not_a_method_is_an_error_that_names_it(install, entry_point):
    install(ENTRY_POINT_GROUP, entry_point, MIRROR)
    with pytest.raises(le.ConfigError, match=entry_point.split(" = ")[1]):
        le.methods()


def test_an_unknown_method_is_an_error_that_lists_the_known_ones():
    for name in ("PI", "", None, ["pi"]):
        with pytest.raises(le.ConfigError, match=r"installed methods: .*pi"):
            get_method(name)


def test_what_a_method_does_not_say_is_not_baked():
    class Silent(le.Method):
        name = "silent"

    context = le.Context(64, 128)
    for baked in (Silent().baked_positions, lambda c: Silent().baked_rope({}, 8, c)):
        with pytest.raises(le.ModelError, match="cannot be baked"):
            baked(context)
    assert not Silent.can_be_baked()
