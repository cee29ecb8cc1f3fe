"""Configuration: YAML and `key.path=value` overrides become frozen, checked models. It knows no field itself."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from mtil.errors import ConfigError, unknown


class Config(BaseModel):
    """Base of every component's configuration: immutable, and a key that does not exist is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: expected a mapping of keys to values, found {type(values).__name__}")
    for override in overrides:
        _apply(values, override)
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: " + "; ".join(_explain(schema, e) for e in error.errors())) from None


def read(schema: type[C], path: Path, overrides: Iterable[str] = ()) -> C:
    """`load` from a file."""
    try:
        return load(schema, path.read_text(), overrides, source=str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def dump(config: Config) -> str:
    """The complete configuration, defaults included, as YAML that `load` accepts."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, width=100)


def _apply(values: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise ConfigError(f"override {override!r}: expected key.path=value")
    *parents, last = path.split(".")
    node = values
    for name in parents:
        child = node.setdefault(name, {})
        if child is None:
            child = node[name] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"override {override!r}: {name!r} holds a value, not keys")
        node = child
    try:
        node[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"override {override!r}: {text!r} is not valid YAML") from None


def _explain(schema: type[BaseModel], error: ErrorDetails) -> str:
    """One clause for one of pydantic's errors, naming the key as the user wrote it."""
    path, keys = _resolve(schema, error["loc"])
    where = ".".join(path)
    if error["type"] == "extra_forbidden":
        parent = ".".join(path[:-1])
        return unknown(f"key in {parent!r}" if parent else "key", path[-1], keys)
    if error["type"] == "missing":
        return f"{where}: required, but not given"
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        context = error.get("ctx", {})
        tags = [tag.strip().strip("'") for tag in str(context.get("expected_tags", "")).split(",") if tag.strip()]
        if error["type"] == "union_tag_not_found":
            return f"{where}: needs a 'kind'; valid: {', '.join(keys)}"
        return f"{where}.kind: {unknown('kind', str(context['tag']), tags)}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{where or 'config'}: {message[0].lower()}{message[1:]}, found {error['input']!r}"


def _resolve(schema: Any, location: tuple[int | str, ...]) -> tuple[list[str], list[str]]:
    """The user's key path of an error (without the tags that pydantic adds) and the keys valid beside its last one."""
    path: list[str] = []
    beside: list[str] = []
    here = _members(schema)
    for part in location:
        if str(part) in here["tags"]:
            here = _members(here["tags"][str(part)])
            continue
        path.append(str(part))
        if part in here["fields"]:
            beside = list(here["fields"])
            here = _members(here["fields"][part])
        else:
            beside = list(here["fields"])
            here = _members(here["items"])
    return path, beside if path else list(here["tags"])


def _members(annotation: Any) -> dict[str, Any]:
    """What stands below an annotation: a model's fields, a tagged union's models by tag, a container's items."""
    found: dict[str, Any] = {"fields": {}, "tags": {}, "items": None}
    for part in _alternatives(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            for tag in get_args(part.model_fields["kind"].annotation) if "kind" in part.model_fields else ():
                found["tags"][tag] = part
            found["fields"] |= {name: field.annotation for name, field in part.model_fields.items()}
        elif get_origin(part) in (list, tuple, dict, Mapping):
            found["items"] = get_args(part)[-1] if get_origin(part) is not tuple else get_args(part)[0]
    return found


def _alternatives(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) is Union or type(annotation).__name__ == "UnionType":
        return [part for member in get_args(annotation) for part in _alternatives(member)]
    return [annotation]
