"""Types, lint and the list of dependencies, held as tests. `python tests/test_quality.py` reports sizes."""

from __future__ import annotations

import ast
import os
import re
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

from cti.__main__ import NOUNS
from cti.adapters.web.app import ROUTES

ROOT = Path(__file__).parents[1]
# Of tests/core: what takes long and covers nothing that the others do not.
LONG = (
    "test_invariants.py", "test_flow_versions.py::test_1000_publishes_while_50_calls_run", "ivr/test_random_calls.py",
    "ivr/test_ivr_properties.py", "ivr/test_checker_nonsense.py", "ivr/test_queue_nonsense.py",
    "ivr/test_case_nonsense.py", "ivr/test_hours.py::test_the_next_opening_is_the_first_minute_at_which_it_is_open",
    "test_acd_sim.py::test_fastest_first_waits_less_and_as_theory_says",
    "test_acd_sim.py::test_erlang_c_and_a_come_out",
    "test_acd_days.py::test_the_law_is_found_again_in_a_censored_sample",
    "test_stats.py::test_the_fold_agrees_with_a_slow_one_also_when_mixed_and_doubled",
)  # fmt: skip


def run(*argv: str) -> str:
    """The complaints of a tool; empty when it has none."""
    done = subprocess.run([sys.executable, "-m", *argv], cwd=ROOT, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_types_are_strict_and_right() -> None:
    assert run("mypy", "--strict", "cti") == ""


def test_lint_is_clean() -> None:
    assert run("ruff", "check", "--quiet", "cti", "tests") == ""


def test_every_branch_of_the_core_is_covered_by_its_own_tests(tmp_path: Path) -> None:
    argv = [
        sys.executable, "-m", "pytest", "tests/core", "-q", "-p", "no:cacheprovider", "--cov=cti.core", "--cov-branch",
        "--cov-report=term-missing:skip-covered", "--cov-fail-under=100",
        *(f"--deselect=tests/core/{test}" for test in LONG),
    ]  # fmt: skip
    env = {**os.environ, "COVERAGE_FILE": str(tmp_path / "coverage")}
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout[-3000:]


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return {re.split(r"[=<>~\[; ]", line)[0].lower() for lines in lists for line in lines}


def explained() -> dict[str, list[str]]:
    rows = {}
    for line in (ROOT / "docs/dependencies.md").read_text().split("\n## System")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 3 and cells[0] != "package" and not cells[0].startswith("---"):
            rows[cells[0].lower()] = cells[1:]
    return rows


def test_every_dependency_is_explained_and_none_too_many() -> None:
    assert explained().keys() == declared()
    assert all(why and licence for why, licence in explained().values())


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    assert [line for lines in lists for line in lines if "==" not in line] == []


# ---------------------------------------------------------------- what the pages of docs promise


def documented(pattern: str) -> set[tuple[str, str]]:
    """(page, match) of a pattern in README and docs."""
    pages = [*sorted((ROOT / "docs").glob("*.md")), *ROOT.glob("README.md")]
    return {(page.name, found) for page in pages for found in re.findall(pattern, page.read_text())}


def test_every_documented_request_is_served() -> None:
    served = {re.sub(r"\{.*?\}", "*", route.path) for route in ROUTES}
    asked = documented(r"(?<![\w.])/api/v1/[\w./{}-]*\w\}?")
    assert asked
    names = r"/(\{\w+\}|NAME|ID)(?=/|$)"
    assert [(page, path) for page, path in sorted(asked) if re.sub(names, "/*", path) not in served] == []


def test_every_documented_verb_is_there() -> None:
    known = {noun for noun in NOUNS if (ROOT / f"cti/cli/{noun}.py").exists()}
    asked = documented(r"(?m)(?:^|`)(?:\.venv/bin/)?cti ([a-z-]+)")
    assert asked
    assert [(page, verb) for page, verb in sorted(asked) if verb not in known] == []


def test_every_link_between_pages_leads_somewhere() -> None:
    links = documented(r"\]\(([\w./-]+\.md)\)")
    assert [(page, link) for page, link in sorted(links) if not (ROOT / "docs" / link).exists()
            and not (ROOT / link).exists()] == []  # fmt: skip


def report() -> None:
    """Files over 300 lines, functions over 30, and the median function: to be read, not to be failed."""
    lengths = []
    for path in sorted((ROOT / "cti").rglob("*.py")):
        text = path.read_text()
        if (lines := text.count("\n")) > 300:
            print(f"{lines:5}  {path.relative_to(ROOT)}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lengths.append((node.end_lineno or 0) - node.lineno + 1)
                if lengths[-1] > 30:
                    print(f"{lengths[-1]:5}  {path.relative_to(ROOT)}:{node.lineno} {node.name}")
    print(f"{len(lengths)} functions, median {statistics.median(lengths)} lines")


if __name__ == "__main__":
    report()
