"""Configuration: YAML and `key.path=value` overrides become frozen, checked models. It knows no field itself."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from mtil.errors import ConfigError, unknown


class Config(BaseModel):
    """Base of every component's configuration: immutable, and a key that does not exist is an error.

    A member of a union tagged by `kind` may leave its kind out where the field has a default: it is then of that kind.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _default_kinds(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        kinds = {name: getattr(field.default, "kind", None) for name, field in cls.model_fields.items()}
        silent = {
            name: {"kind": kinds[name], **value}
            for name, value in values.items()
            if kinds.get(name) and isinstance(value, dict) and "kind" not in value
        }
        return values | silent


C = TypeVar("C", bound=Config)


def load(schema: type[C], text: str, overrides: Iterable[str] = (), source: str = "config") -> C:
    """Parse YAML text and overrides into a configuration.

    Args:
        schema: The model to build.
        text: A YAML mapping.
        overrides: `key.path=value` each; the value is read as YAML.
        source: Where the text came from, for messages.

    Raises:
        ConfigError: A key or value does not fit; the message has one clause per mistake.
    """
    values = _parse(text, source)
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: expected a mapping of keys to values, found {type(values).__name__}")
    for override in overrides:
        _apply(values, override)
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_explain(schema, values, error)}") from None


def read(schema: type[C], path: Path, overrides: Iterable[str] = ()) -> C:
    """`load` from a file."""
    return load(schema, _text(path), overrides, source=str(path))


def read_yaml(path: Path) -> Any:
    """The plain values of a YAML file.

    Raises:
        ConfigError: It cannot be read, is not YAML, or gives a key twice.
    """
    return _parse(_text(path), str(path))


def dump(config: Config) -> str:
    """The complete configuration, defaults included, as YAML that `load` accepts."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, width=100)


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that is given twice, of which YAML's own loader would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None


def _parse(text: str, source: str) -> Any:
    try:
        return yaml.load(text, _UniqueKeys)  # a safe loader
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that no calendar has
        told = str(error).replace('"<unicode string>", ', "")
        raise ConfigError(f"{source}: not valid YAML: {' '.join(told.split())}") from None


def _apply(values: dict[str, Any], override: str) -> None:
    """Put the value of an override into its place."""
    path, equals, text = override.partition("=")
    *parents, last = path.split(".")
    if not equals or not all((*parents, last)):
        raise ConfigError(f"override {override!r}: expected key.path=value")
    node = values
    for name in parents:
        if node.get(name) is None:
            node[name] = {}
        node = node[name]
        if not isinstance(node, dict):
            is_list = isinstance(node, list | tuple)
            found = "a list, which is given as a whole" if is_list else "a value, not keys"
            raise ConfigError(f"override {override!r}: {name!r} holds {found}")
    node[last] = _parse(text, f"override {override!r}")


def _explain(schema: type[BaseModel], values: dict[str, Any], error: ValidationError) -> str:
    """One clause for each key that is wrong. (Where several types are valid, pydantic complains once for each.)"""
    complaints: dict[str, list[str]] = {}
    for each in error.errors():
        complaints.setdefault(_users_path(values, each), []).append(_complaint(schema, each))
    return "; ".join(f"{path or 'config'}: {' or '.join(found)}" for path, found in complaints.items())


def _users_path(values: Any, error: ErrorDetails) -> str:
    """The key as the user wrote it: pydantic's location without the names of a union's members."""
    path: list[str] = []
    for part in error["loc"]:
        if (part in values) if isinstance(values, dict) else part in range(len(values)):
            path.append(str(part))
            values = values[part]
    absent = {"missing": error["loc"][-1:], "union_tag_invalid": ("kind",)}
    return ".".join([*path, *map(str, absent.get(error["type"], ()))])


def _complaint(schema: type[BaseModel], error: ErrorDetails) -> str:
    location, context = error["loc"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            (model,) = _models_at(schema, location[:-1])
            kind = "".join(f" (of kind {kind!r})" for kind in _kinds(model))
            return unknown("key", str(location[-1]), model.model_fields) + kind
        case "missing":
            return "required, but not given"
        case "union_tag_not_found":
            kinds = [kind for model in _models_at(schema, location) for kind in _kinds(model)]
            return f"needs a 'kind'; valid: {', '.join(kinds)}"
        case "union_tag_invalid":
            return unknown("kind", str(context["tag"]), _quoted(context["expected_tags"]))
        case "literal_error":
            return unknown("value", str(error["input"]), _quoted(context["expected"]))
        case "model_type" | "model_attributes_type":
            return f"expected keys and values, found {error['input']!r}"
        case "value_error":  # of a model's own validator
            return str(context["error"])
        case _:
            return f"{error['msg'][0].lower()}{error['msg'][1:]}, found {error['input']!r}"


def _quoted(names: str) -> list[str]:
    return re.findall("'([^']*)'", names)


def _models_at(annotation: Any, location: tuple[int | str, ...]) -> list[type[BaseModel]]:
    """The models that may stand at a location below an annotation."""
    models = _models(annotation)
    if not location:
        return models
    part, rest = location[0], location[1:]
    for model in models:
        if part in _kinds(model):
            return _models_at(model, rest)
        if part in model.model_fields:
            return _models_at(model.model_fields[str(part)].annotation, rest)
    return _models_at(annotation, rest)  # an index into a container


def _models(annotation: Any) -> list[type[BaseModel]]:
    """All models within an annotation: members of a union, items of a container."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _kinds(model: type[BaseModel]) -> tuple[str, ...]:
    """The tags of a member of a tagged union."""
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()
