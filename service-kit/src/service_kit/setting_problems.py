"""Invalid settings in words: the variable and what is wrong with it, never its value, which may be a secret."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError

from service_kit.settings import SecretFileProblem, field_variables

_UNPARSED = re.compile(r'field "(?P<field>\w+)"')
_NOT_JSON = 'a list is written as JSON: ["a", "b"]'


def describe_setting_problems(error: ValidationError | SettingsError) -> dict[str, str]:
    """What is wrong, by environment variable. For data that are no settings, such as a file's, by class and field."""
    if isinstance(error, SecretFileProblem):
        return {error.variable: error.reason}
    if isinstance(error, SettingsError):
        # pydantic-settings names the field, and neither its class nor its variable.
        found = _UNPARSED.search(str(error))
        field = found["field"] if found else "settings"
        return dict.fromkeys(_set_variables(field) or [field], _NOT_JSON)
    owner = next((each for each in _settings_classes() if each.__name__ == error.title), None)
    problems: dict[str, str] = {}
    for problem in error.errors(include_url=False, include_input=False):
        place = [str(part) for part in problem["loc"]]
        name = variable_of(owner, place[0]) if owner and place else ".".join([error.title, *place])
        problems[name] = problem["msg"]
    return problems


def setting_problems_line(error: ValidationError | SettingsError) -> str:
    """`describe_setting_problems` as one line."""
    problems = describe_setting_problems(error)
    return "; ".join(" ".join(f"{name}: {reason}".split()) for name, reason in problems.items())


def variable_of(owner: type[BaseSettings], field: str) -> str:
    """The environment variable of a field of `owner`, which is named by itself or by a variable.

    Of an own name and those of other voice servers, it is the one that is set.
    """
    names = next((names for name, names in _variables(owner) if field == name or field in names), (field.upper(),))
    return next((name for name in names if os.environ.get(name)), names[0])


def _variables(owner: type[BaseSettings]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each field of `owner` with the variables that it is read from, in their order."""
    for field in owner.model_fields:
        yield field, field_variables(owner, field)


def _set_variables(field: str) -> list[str]:
    """The variables in the environment that a field of this name is read from, in any settings class."""
    names = {variable_of(owner, field) for owner in _settings_classes() if field in owner.model_fields}
    return sorted(name for name in names if os.environ.get(name))


def _settings_classes(base: type[BaseSettings] = BaseSettings) -> Iterator[type[BaseSettings]]:
    for child in base.__subclasses__():
        yield child
        yield from _settings_classes(child)
