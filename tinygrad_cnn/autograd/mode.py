"""Whether operations are recorded: a property of the running thread."""

from __future__ import annotations

import functools
import inspect
from _thread import get_ident
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import numpy as np

from tinygrad_cnn.state import Recording, pause_recording, recording

F = TypeVar("F", bound=Callable[..., Any])


def is_grad_enabled() -> bool:
    """Say whether operations on tensors that require gradients are recorded in this thread."""
    return (recording.get() or Recording()).paused_by != get_ident()


class _GradMode:
    """A context manager and decorator; leaving restores what was found, so uses may nest."""

    enabled: bool

    def __init__(self, *wrong: Any) -> None:
        if wrong:
            name = type(self).__name__
            raise TypeError(f"{name}() takes no argument, got {wrong[0]!r}; write `with {name}():` or `@{name}()`")

    def __enter__(self) -> None:
        found = pause_recording(0 if self.enabled else get_ident())
        self._found = [*getattr(self, "_found", ()), found]

    def __exit__(self, *_: object) -> None:
        pause_recording(self._found.pop())

    def _again(self) -> _GradMode:
        mode = _GradMode()
        mode.enabled = self.enabled
        return mode

    def __call__(self, function: F) -> F:
        """Decorate a function, or a generator function, whose body then runs in this mode."""
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
                # The mode holds while the generator's own code runs, not while its consumer's does.
                inner = function(*args, **kwargs)
                step, value = inner.send, None
                try:
                    while True:
                        with self._again():
                            item = step(value)
                        try:
                            step, value = inner.send, (yield item)
                        except GeneratorExit:
                            raise
                        except BaseException as error:
                            step, value = inner.throw, error
                except StopIteration as stop:
                    return stop.value
                finally:
                    with self._again():
                        inner.close()

            return generator  # type: ignore[return-value]

        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return decorated  # type: ignore[return-value]


class no_grad(_GradMode):
    """Record nothing inside the block (or the decorated function). Only this thread is concerned.

    >>> from tinygrad_cnn import Tensor, no_grad
    >>> w = Tensor([1.0], requires_grad=True)
    >>> with no_grad():
    ...     (w * 2).requires_grad
    False
    """

    enabled = False


class enable_grad(_GradMode):
    """Record inside the block, also within a `no_grad` block."""

    enabled = True


class set_grad_enabled(_GradMode):
    """Record or not, as ``mode`` says: at once, and as a context manager until the block ends."""

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, (bool, np.bool_)):
            raise TypeError(f"set_grad_enabled: mode must be True or False, got {mode!r}")
        self.enabled = bool(mode)
        self._found = [pause_recording(0 if mode else get_ident())]

    def __enter__(self) -> None:
        """Keep the mode that the constructor has set; what was found before it is restored at the end."""

    def __call__(self, function: F) -> F:
        """Decorate a function; the mode set by the constructor is undone."""
        pause_recording(self._found.pop())
        return super().__call__(function)
