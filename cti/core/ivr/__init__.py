"""The IVR: flows as data, their checker, and an interpreter that goes one step at a time. Pure."""

from cti.core.ivr.checker import load_book
from cti.core.ivr.interpreter import again, begin, ends_with, hung_up, proceed, result_of
from cti.core.ivr.model import Book, Flow, Node, Number
from cti.core.ivr.problems import Problem
from cti.core.ivr.source import Source
from cti.core.ivr.steps import (
    Action,
    Answer,
    Ask,
    Context,
    Dial,
    End,
    Enqueue,
    Fact,
    Frame,
    Line,
    Pause,
    Record,
    Say,
    Task,
    Turn,
    Visit,
)  # fmt: skip

__all__ = [
    "Action", "Answer", "Ask", "Book", "Context", "Dial", "End", "Enqueue", "Fact", "Flow", "Frame", "Line", "Node",
    "Number", "Pause", "Problem", "Record", "Say", "Source", "Task", "Turn", "Visit", "again", "begin", "ends_with",
    "hung_up", "load_book", "proceed", "result_of",
]  # fmt: skip
