"""The one rule: `app -> engine, adapters -> core`, never back; adapters do not import each other; core is pure."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CTI = ROOT / "cti"

# The core may use nothing else. All of it is pure; zoneinfo reads only the machine's time zone tables.
CORE_LIBRARY = {
    "__future__", "abc", "array", "base64", "bisect", "calendar", "collections", "contextlib", "copy", "dataclasses",
    "datetime", "decimal", "difflib", "enum", "fractions", "functools", "graphlib", "hashlib", "heapq", "html",
    "ipaddress", "itertools", "json", "math", "operator", "re", "statistics", "string", "struct", "textwrap", "types",
    "typing", "unicodedata", "zoneinfo",
    "msgspec", "jinja2", "phonenumbers", "holidays",
}  # fmt: skip
# What in them, or built in, is not pure.
IMPURE = {"now", "utcnow", "today", "open", "print", "input", "exec", "eval", "__import__"}
STATEFUL = {"cache", "lru_cache"}
MUTATORS = {
    "append", "appendleft", "add", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft", "remove",
    "setdefault", "sort", "update",
}  # fmt: skip
MUTABLE_CALLS = {"dict", "list", "set", "deque", "defaultdict", "Counter", "OrderedDict", "bytearray", "count"}

# Who may import whom, inside cti. A folder stands for everything below it. `errors` is open to all.
MAY = {
    "core": {"core"},
    "engine": {"core"},
    "sections": set(),
    "config_faults": {"sections"},
    "config": {"sections", "config_faults"},
    "plain": set(),
    "vault": {"core"},
    "adapters": {"core", "config", "plain", "vault", "adapters"},  # its own family only, see `family`
    "embedded": {"core", "config", "adapters", "plain", "embedded"},
    "demo": {"core", "config", "adapters", "embedded", "demo"},
    "flows": {"core", "config", "adapters", "publishing"},
    "publishing": {"core", "config", "sections", "adapters"},
    "figures": {"core", "adapters"},
    "lost": {"core"},
    "collector": set(),
    "outside": {"core", "config", "adapters"},
    "app": {
        "core", "collector", "config", "adapters", "embedded", "engine", "figures", "flows", "lost", "outside",
        "publishing", "vault",
    },
    "cli": {"core", "config", "adapters", "embedded", "demo", "engine", "app", "publishing", "plain", "cli"},
    "__main__": {"cli"},
    "__init__": set(),
}


def modules(under: Path = CTI) -> Iterator[tuple[str, ast.Module]]:
    """(`cti.core.acd`, its tree) for every module."""
    for path in sorted(under.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__"), ast.parse(path.read_text(), str(path))


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import, those inside functions too. `from a import b` gives `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)


def room(name: str) -> str:
    """`cti.adapters.web.api` -> `adapters`; `cti` itself -> `__init__`."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def family(name: str) -> str:
    """`cti.adapters.ami_frames` -> `ami`; `cti.adapters.web.api` -> `web`."""
    return name.split(".")[2].split("_")[0] if name.count(".") >= 2 else ""


def layer_faults(name: str, tree: ast.Module) -> Iterator[str]:
    for line, target in imports(tree):
        where = f"{name}:{line} imports {target}"
        if target.startswith("."):
            yield f"{where}: relative"
        if not target.startswith("cti.") or room(target) in ("errors", "__version__"):
            continue
        if room(target) not in MAY[room(name)]:
            yield f"{where}: {room(name)} may not know {room(target)}"
        elif room(name) == room(target) == "adapters" and family(name) != family(target):
            yield f"{where}: adapters do not import each other"


def purity_faults(name: str, tree: ast.Module) -> Iterator[str]:
    for line, target in imports(tree):
        top = target.split(".")[0]
        if top not in CORE_LIBRARY | {"cti"}:
            yield f"{name}:{line} imports {target}"
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield f"{name}:{node.lineno} is async"
        elif isinstance(node, ast.Call) and called(node) in IMPURE:
            yield f"{name}:{node.lineno} calls {called(node)}"


def called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""


def state_faults(name: str, tree: ast.Module) -> Iterator[str]:
    """Tables are fine: constants that nothing ever writes to. `global`, caches and written tables are not."""
    tables = set()
    for node in tree.body:
        value, targets = assigned(node)
        if is_mutable(value):
            tables |= targets
    for name_ in sorted(tables - {"__all__"}):
        if name_.upper() != name_:
            yield f"{name}: {name_} is a module-level mutable that is not spelled as a constant"
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield f"{name}:{node.lineno} global {', '.join(node.names)}"
        elif (written := base(node)) in tables:
            yield f"{name}:{node.lineno} writes to {written}"
        elif isinstance(node, ast.FunctionDef):
            words = {word for decorator in node.decorator_list for word in names(decorator)}
            if words & STATEFUL:
                yield f"{name}:{node.lineno} {node.name} is cached"


def assigned(node: ast.stmt) -> tuple[ast.expr | None, set[str]]:
    if isinstance(node, ast.Assign):
        return node.value, {target.id for target in node.targets if isinstance(target, ast.Name)}
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.value, {node.target.id}
    return None, set()


def is_mutable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        return called(value) in MUTABLE_CALLS
    return isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp)


def base(node: ast.AST) -> str:
    """The name whose content this node changes: `x[...] = `, `del x[...]`, `x |= `, `x.append(...)`."""
    target: ast.expr | None = None
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        target = node.value
    elif isinstance(node, ast.AugAssign):
        target = node.target
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
        target = node.func.value
    return target.id if isinstance(target, ast.Name) else ""


def names(node: ast.AST) -> set[str]:
    found = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    return found | {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}


# ---------------------------------------------------------------- the rule


def test_every_room_has_a_rule() -> None:
    rooms = {room(name) for name, _ in modules()}
    assert rooms - {"errors"} <= set(MAY), "a new room in cti/: say in MAY what it may import"
    assert {"core", "adapters", "errors"} <= rooms


def test_imports_go_one_way() -> None:
    assert [fault for name, tree in modules() for fault in layer_faults(name, tree)] == []


def test_errors_import_nothing_of_ours() -> None:
    trees = dict(modules())
    assert [target for _, target in imports(trees["cti.errors"]) if target.startswith("cti")] == []


def test_the_core_is_pure() -> None:
    assert [fault for name, tree in modules(CTI / "core") for fault in purity_faults(name, tree)] == []


def test_the_core_keeps_no_state_in_modules() -> None:
    assert [fault for name, tree in modules(CTI / "core") for fault in state_faults(name, tree)] == []


# ---------------------------------------------------------------- the rule's teeth


@pytest.mark.parametrize(("name", "code"), [
    ("cti.core.acd", "from cti.adapters import ami"),
    ("cti.core.acd", "from cti.engine import Engine"),
    ("cti.core.acd", "def f():\n    import cti.config"),
    ("cti.core.acd", "from . import line"),
    ("cti.adapters.ami", "from cti.adapters.agi import AgiServer"),
    ("cti.adapters.ami", "from cti.adapters import postgres"),
    ("cti.adapters.web.api", "from cti.adapters import postgres"),
    ("cti.adapters.web.api", "from cti.engine import Engine"),
    ("cti.adapters.ami", "import cti.app"),
    ("cti.engine", "from cti.adapters.journal import Journal"),
    ("cti.config", "from cti.core import ids"),
    ("cti.embedded.up", "from cti.app import App"),
])  # fmt: skip
def test_a_forbidden_import_is_found(name: str, code: str) -> None:
    assert len(list(layer_faults(name, ast.parse(code)))) == 1


@pytest.mark.parametrize(("name", "code"), [
    ("cti.adapters.ami", "from cti.adapters.ami_frames import clean"),
    ("cti.adapters.ami", "from cti.adapters import ami_frames"),
    ("cti.adapters.web.api", "from cti.adapters.web.ws import Sockets"),
    ("cti.adapters.web.api", "from cti.errors import Refused"),
    ("cti.app", "from cti.adapters.ami import AmiLink\nfrom cti import __version__"),
])  # fmt: skip
def test_an_allowed_import_is_let_by(name: str, code: str) -> None:
    assert list(layer_faults(name, ast.parse(code))) == []


@pytest.mark.parametrize("code", [
    "import time", "import os.path", "from random import choice", "import logging", "import asyncio", "import uuid",
    "import aiohttp", "async def f(): pass", "datetime.now()", "datetime.datetime.now(UTC)", "date.today()",
    "open('x')", "print(1)",
])  # fmt: skip
def test_impure_code_is_found(code: str) -> None:
    assert len(list(purity_faults("cti.core.x", ast.parse(code)))) == 1


@pytest.mark.parametrize("code", [
    "seen = {}",
    "calls: list[str] = []",
    "T = {}\ndef f(): T['a'] = 1",
    "T = dict()\ndef f(): T.update(a=1)",
    "T = []\ndef f():\n    T.append(1)",
    "T = {'a': 1}\ndef f():\n    del T['a']",
    "T = set()\nT |= {1}",
    "N = 0\ndef f():\n    global N",
    "@functools.cache\ndef f(): pass",
    "@lru_cache(maxsize=9)\ndef f(): pass",
])  # fmt: skip
def test_state_in_a_module_is_found(code: str) -> None:
    assert len(list(state_faults("cti.core.x", ast.parse(textwrap.dedent(code))))) == 1


def test_a_table_that_is_only_read_is_let_by() -> None:
    code = "T = {'a': 1}\n_FOLDS = [1]\n__all__ = ['T']\nX = (1, 2)\ndef f(t):\n    t['b'] = T['a']"
    assert list(state_faults("cti.core.x", ast.parse(code))) == []
