"""Attributes that are computed on first access, and whose errors are remembered too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

from aigc_core.plugins.guarded_import import NEVER_CATCH
from aigc_core.testing.results import CheckFailed, Unavailable, describe

T = TypeVar("T")


class once(Generic[T]):
    """A cached property that remembers an error too.

    Checks share expensive objects. If one cannot be made, each check that needs it fails with a
    short message that names the cause.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._what = (make.__doc__ or make.__name__).splitlines()[0].rstrip(".")

    def __set_name__(self, owner: type, name: str) -> None:
        self._key = f"_once_{name}"

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Self | T:
        if instance is None:
            return self
        if self._key not in vars(instance):
            vars(instance)[self._key] = self._try(instance)
        value, error = vars(instance)[self._key]
        if error is not None:
            raise Unavailable(error)
        made: T = value
        return made

    def _try(self, instance: object) -> tuple[T | None, str | None]:
        try:
            return self._make(instance), None
        except CheckFailed as error:  # its message is complete
            return None, str(error)
        except NEVER_CATCH:
            raise
        except BaseException as error:
            return None, f"{self._what} could not be made: {describe(error)}"
