"""A verb: options become a plan, and a plan can be carried out or described."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, ParamSpec, TypeVar

from onnxq.documents import Plan
from onnxq.interruption import interruptible

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
        self.planned = contextmanager(planned)
        self.execute = execute
        self.describe = describe
        result = inspect.get_annotations(execute)["return"]
        self.__annotations__ = {**planned.__annotations__, "return": result}
        self.__signature__ = inspect.signature(planned).replace(return_annotation=result)

    def __call__(self, *args: P.args, **options: P.kwargs) -> ResultT:
        """Do it; the arguments, the result and the errors are those of the docstring."""
        with interruptible(), self.planned(*args, **options) as plan:
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
        """
        with interruptible(), self.planned(*args, **options) as plan:
            return self.describe(plan)


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
