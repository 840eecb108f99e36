"""What a child is asked to do: a stage once, a conversation question by question."""

from typing import Final, Generic, TypeVar

from msgspec import Struct

RequestT = TypeVar("RequestT", bound=Struct)
ResultT = TypeVar("ResultT", bound=Struct)
QuestionT = TypeVar("QuestionT", bound=Struct)
AnswerT = TypeVar("AnswerT", bound=Struct)


class Stage(Generic[RequestT, ResultT]):
    """A stage by name: where its function lives and what it takes and gives.

    Attributes:
        name: Unique; what users read.
        target: ``module:function``, imported in the child alone.
        request: Type of the request.
        result: Type of the result.
    """

    def __init__(
        self, name: str, target: str, request: type[RequestT], result: type[ResultT]
    ) -> None:
        self.name: Final = name
        self.target: Final = target
        self.request: Final = request
        self.result: Final = result


class Conversation(Generic[RequestT, QuestionT, AnswerT]):
    """A stage that stays: it opens something and then answers questions about it.

    Attributes:
        name: Unique; what users read.
        target: ``module:function``: ``(request, folder) -> (question -> answer)``.
        request: Type of the request that opens it.
        question: Type of a question.
        answer: Type of an answer.
    """

    def __init__(
        self,
        name: str,
        target: str,
        request: type[RequestT],
        question: type[QuestionT],
        answer: type[AnswerT],
    ) -> None:
        self.name: Final = name
        self.target: Final = target
        self.request: Final = request
        self.question: Final = question
        self.answer: Final = answer
