"""A verb: options become a plan, and a plan can be carried out or described."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, ParamSpec, TypeVar

from onnxq.documents import Plan
from onnxq.interruption import interruptible
from onnxq.verbs.arguments import accepted_annotations, accepted_signature, bind_arguments

P = ParamSpec("P")
PlanT = TypeVar("PlanT")
ResultT = TypeVar("ResultT")


class Verb(Generic[P, PlanT, ResultT]):
    """What ``onnxq.run`` and its like are: called, it does what its options say.

    Attributes:
        planned: From the options to the plan, open for as long as it is needed.
        execute: Carries a plan out.
        describe: Says what a plan would do.
    """

    def __init__(
        self,
        planned: Callable[P, Iterator[PlanT]],
        execute: Callable[[PlanT], ResultT],
        describe: Callable[[PlanT], Plan],
    ) -> None:
        functools.update_wrapper(self, planned)
        self.planned: Callable[..., AbstractContextManager[PlanT]] = contextmanager(planned)
        self.execute = execute
        self.describe = describe
        result = inspect.get_annotations(execute)["return"]
        self._parameters = inspect.signature(planned)
        shown = accepted_signature(self._parameters).replace(return_annotation=result)
        self.__signature__ = shown
        self.__annotations__ = accepted_annotations(shown)

    def __call__(self, *args: P.args, **options: P.kwargs) -> ResultT:
        """Do it; the arguments, the result and the errors are those of the docstring."""
        with interruptible(), self._open(args, options) as plan:
            return self.execute(plan)

    def plan(self, *args: P.args, **options: P.kwargs) -> Plan:
        """Say what a call with these arguments would do; nothing is done, and no framework loaded.

        Args:
            args: As for the call.
            options: As for the call.

        Returns:
            The plan.

        Raises:
            OnnxqError: If the arguments contradict each other, or a file cannot be read.
            TypeError: If the verb has no such option.
        """
        with interruptible(), self._open(args, options) as plan:
            return self.describe(plan)

    def _open(
        self, args: tuple[object, ...], options: Mapping[str, object]
    ) -> AbstractContextManager[PlanT]:
        bound = bind_arguments(self.planned.__name__, self._parameters, args, options)
        return self.planned(*bound.args, **bound.kwargs)


def verb(
    execute: Callable[[PlanT], ResultT], describe: Callable[[PlanT], Plan]
) -> Callable[[Callable[P, Iterator[PlanT]]], Verb[P, PlanT, ResultT]]:
    """Make a verb of a function that yields its plan once.

    Args:
        execute: Carries the plan out.
        describe: Says what it would do.

    Returns:
        A decorator.
    """

    def decorate(planned: Callable[P, Iterator[PlanT]]) -> Verb[P, PlanT, ResultT]:
        return Verb(planned, execute, describe)

    return decorate
