"""The IVR: flows as data, their checker, and an interpreter that goes one step at a time. Pure."""

from cti.core.ivr.checker import load_book
from cti.core.ivr.interpreter import again, begin, proceed
from cti.core.ivr.model import Book, Flow, Node, Number
from cti.core.ivr.problems import Problem
from cti.core.ivr.source import Source
from cti.core.ivr.steps import Action, Answer, Context, Dial, End, Enqueue, Line, Menu, Say, Turn, Visit

__all__ = [
    "Action", "Answer", "Book", "Context", "Dial", "End", "Enqueue", "Flow", "Line", "Menu", "Node", "Number",
    "Problem", "Say", "Source", "Turn", "Visit", "again", "begin", "load_book", "proceed",
]  # fmt: skip
