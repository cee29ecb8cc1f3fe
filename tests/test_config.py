"""The mechanism, on models of its own; the models that `mtil train` reads are in tests/training/test_config.py."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, PositiveFloat, PositiveInt, ValidationError

from mtil.config import Config, dump, load, read
from mtil.errors import ConfigError


class Circle(Config):
    kind: Literal["circle"] = "circle"
    radius: PositiveFloat = 1.0


class Square(Config):
    kind: Literal["square"] = "square"
    side: PositiveFloat = 1.0
    corners: Literal["sharp", "round"] = "sharp"


Shape = Annotated[Circle | Square, Field(discriminator="kind")]


class Pen(Config):
    colour: str
    width: PositiveInt = 1


class Drawing(Config):
    title: str
    shape: Shape = Square()
    frame: Shape
    pen: Pen | None = None
    others: tuple[Shape, ...] = ()
    pens: dict[str, Pen] = Field(default_factory=dict)
    weights: dict[str, PositiveFloat] | None = None
    copies: int | Literal["many"] = 1
    folder: Path = Path("out")


GOOD = "title: x\nframe: {kind: circle}\n"


def mistake(*overrides: str, text: str = GOOD) -> str:
    with pytest.raises(ConfigError) as raised:
        load(Drawing, text, overrides)
    message = str(raised.value)
    assert "\n" not in message
    return message


shapes = st.builds(Circle, radius=st.floats(0.1, 1e9)) | st.builds(Square, corners=st.sampled_from(["sharp", "round"]))
pens = st.builds(Pen, colour=st.text(), width=st.integers(1, 10**20))
drawings = st.builds(
    Drawing,
    title=st.text(),
    shape=shapes,
    frame=shapes,
    pen=st.none() | pens,
    others=st.lists(shapes, max_size=3).map(tuple),
    pens=st.dictionaries(st.text(), pens, max_size=3),
    weights=st.none() | st.dictionaries(st.text(), st.floats(1e-3, 1e3), max_size=3),
    copies=st.integers() | st.just("many"),
)


@given(drawings)
def test_loading_what_was_dumped_gives_the_same(drawing: Drawing) -> None:
    text = dump(drawing)
    assert load(Drawing, text) == drawing
    assert dump(load(Drawing, text)) == text


@given(drawings)
def test_a_dump_is_complete(drawing: Drawing) -> None:
    assert list(yaml.safe_load(dump(drawing))) == list(Drawing.model_fields)


def test_a_configuration_is_frozen() -> None:
    drawing = load(Drawing, GOOD)
    with pytest.raises(ValidationError, match="frozen"):
        drawing.title = "y"  # pyright: ignore[reportAttributeAccessIssue]


def test_overrides_are_yaml_and_the_last_one_wins() -> None:
    overrides = [
        "title=a=b",
        "pen.colour=red",
        "pen.width=2",
        "pen.width=3",
        "copies=many",
        "weights={a: 1e-3, b: 2}",
        "others=[{kind: circle, radius: 2}]",
    ]
    drawing = load(Drawing, GOOD + "pen:\n", overrides)
    assert drawing.title == "a=b"
    assert drawing.pen == Pen(colour="red", width=3)
    assert drawing.copies == "many"
    assert drawing.weights == {"a": 1e-3, "b": 2.0}
    assert drawing.others == (Circle(radius=2),)


def test_a_kind_left_out_is_the_defaults() -> None:
    assert load(Drawing, GOOD, ["shape.side=2"]).shape == Square(side=2)
    assert load(Drawing, GOOD, ["shape.kind=circle", "shape.radius=2"]).shape == Circle(radius=2)


def test_a_kind_left_out_where_there_is_no_default() -> None:
    assert mistake(text="title: x\nframe: {radius: 2}") == "config: frame: needs a 'kind'; valid: circle, square"
    assert mistake("others=[{radius: 2}]") == "config: others.0: needs a 'kind'; valid: circle, square"


@pytest.mark.parametrize(
    ("override", "clause"),
    [
        ("titel=x", "titel: unknown key 'titel'; did you mean 'title'? valid: title, shape, frame, pen, others, pens,"),
        ("pen={colour: red, widht: 2}", "pen.widht: unknown key 'widht'; did you mean 'width'? valid: colour, width"),
        ("pens={a: {colour: red, widht: 2}}", "pens.a.widht: unknown key 'widht'; did you mean 'width'?"),
        (
            "frame.raduis=2",
            "frame.raduis: unknown key 'raduis'; did you mean 'radius'? valid: kind, radius (of kind 'c",
        ),
        (
            "shape.sied=2",
            "shape.sied: unknown key 'sied'; did you mean 'side'? valid: kind, side, corners (of kind 'sq",
        ),
        ("shape.radius=2", "shape.radius: unknown key 'radius'; valid: kind, side, corners (of kind 'square')"),
        ("others=[{kind: circle}, {kind: square, sid: 2}]", "others.1.sid: unknown key 'sid'; did you mean 'side'?"),
        ("frame.circle.radius=2", "frame.circle: unknown key 'circle'; valid: kind, radius (of kind 'circle')"),
        ("frame.kind=cirlce", "frame.kind: unknown kind 'cirlce'; did you mean 'circle'? valid: circle, square"),
        ("shape.kind=3", "shape.kind: unknown kind '3'; valid: circle, square"),
        ("others=[{kind: cube}]", "others.0.kind: unknown kind 'cube'; valid: circle, square"),
        ("shape.corners=shrap", "shape.corners: unknown value 'shrap'; did you mean 'sharp'? valid: sharp, round"),
        ("title=3", "title: input should be a valid string, found 3"),
        ("pen={colour: red, width: wide}", "pen.width: input should be a valid integer, unable to parse string as an"),
        ("frame.radius=-1", "frame.radius: input should be greater than 0, found -1"),
        ("frame.radius=.inf", "frame.radius: input should be a finite number, found inf"),
        ("weights={a: 1, b: -1}", "weights.b: input should be greater than 0, found -1"),
        ("frame=3", "frame: expected keys and values, found 3"),
        ("pen=red", "pen: expected keys and values, found 'red'"),
        ("pen.width=3", "pen.colour: required, but not given"),
        ("others=[3]", "others.0: expected keys and values, found 3"),
        ("title.x=3", "override 'title.x=3': 'title' holds a value, not keys"),
        ("title.x.y=3", "override 'title.x.y=3': 'title' holds a value, not keys"),
        ("title", "override 'title': expected key.path=value"),
        ("=3", "override '=3': expected key.path=value"),
        ("pen..width=3", "override 'pen..width=3': expected key.path=value"),
        ("title=[a", "override 'title=[a': not valid YAML: while parsing a flow sequence in line 1, column 1"),
    ],
)
def test_one_clause_tells_a_mistake(override: str, clause: str) -> None:
    message = mistake(override)
    assert message.removeprefix("config: ").startswith(clause)
    assert ";" not in message.removeprefix("config: ").removeprefix(clause.split(";")[0] + ";")


def test_a_value_of_none_of_the_types_is_one_clause() -> None:
    message = mistake("copies=[1]")
    assert message.startswith(
        "config: copies: input should be a valid integer, found [1] or unknown value '[1]'; valid: many"
    )


def test_every_mistake_is_told() -> None:
    message = mistake("titel=x", "frame.raduis=2", "pen={colour: 3}", "shape.kind=cube", text="frame: {kind: circle}")
    keys = [clause.split(": ")[0] for clause in message.removeprefix("config: ").replace("; valid", "").split("; ")]
    told = [key for key in keys if not key.startswith("did you mean")]
    assert sorted(told) == ["frame.raduis", "pen.colour", "shape.kind", "titel", "title"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "config: title: required, but not given; frame: required, but not given"),
        ("- 1", "config: expected a mapping of keys to values, found list"),
        ("false", "config: expected a mapping of keys to values, found bool"),
        ("a: [1", "config: not valid YAML: while parsing a flow sequence in line 1, column 4"),
        ("title: x\ntitle: y", "config: not valid YAML: key 'title' is given twice in line 2, column 1"),
        ("pen: {colour: a, colour: b}", "config: not valid YAML: key 'colour' is given twice"),
        ("title: 2001-99-99", "config: not valid YAML: month must be in 1..12"),
        ("{[1]: 2}", "config: not valid YAML: while constructing a mapping"),
        ("\x00", "config: not valid YAML: unacceptable character"),
        ("!!python/name:os.system", "config: not valid YAML: could not determine a constructor"),
    ],
)
def test_text_that_is_no_configuration(text: str, message: str) -> None:
    assert mistake(text=text).startswith(message)


def test_numbers_as_keys() -> None:
    assert "keys should be strings, found 1" in mistake(text=GOOD + "1: 2")


def test_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "drawing.yaml"
    with pytest.raises(ConfigError, match=r"drawing\.yaml: cannot be read: No such file"):
        read(Drawing, path)
    path.write_text(GOOD)
    assert read(Drawing, path, ["title=y"]).title == "y"
    with pytest.raises(
        ConfigError, match=r"drawing\.yaml: pen\.width: unknown key|drawing\.yaml: pen\.colour: required"
    ):
        read(Drawing, path, ["pen.width=2"])
    path.write_bytes(b"title: \xff")
    with pytest.raises(ConfigError, match=r"drawing\.yaml: not UTF-8 text: invalid start byte at byte 7"):
        read(Drawing, path)
