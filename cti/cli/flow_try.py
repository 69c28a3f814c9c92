"""`cti flow test`: runs the tests beside the flows, for people, for JSON and for JUnit readers; `cti flow sim`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as xml

import msgspec

from cti.adapters import flow_cases, flow_files
from cti.adapters.flow_files import written
from cti.cli import flow_sim, options
from cti.config import Config
from cti.core import ivr
from cti.core.ivr.cases import Cases
from cti.core.ivr.coverage import Coverage, coverage
from cti.core.ivr.problems import shown
from cti.core.ivr.trial import Result, run
from cti.errors import BadInput


class Suite(msgspec.Struct, frozen=True):
    """A test file, with its results or its problems."""

    cases: Cases
    results: tuple[Result, ...]

    @property
    def failed(self) -> int:
        return len(self.cases.problems) + sum(bool(result.failures) for result in self.results)


class Run(msgspec.Struct, frozen=True):
    """The tests of a folder. `faults`: of its flows, of which then none is tried."""

    suites: tuple[Suite, ...] = ()
    covered: tuple[Coverage, ...] = ()
    faults: tuple[ivr.Problem, ...] = ()


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    flow_sim.add(verbs)
    test = verbs.add_parser("test", help="run the *.test.yaml files beside the flows; exit 1 when one fails")
    test.add_argument("path", nargs="*", type=Path, metavar="PATH", help="test files, or folders of flows")
    test.add_argument("--flows", type=Path, metavar="DIR", help="default: where the tests are")
    test.add_argument("--junit", type=Path, metavar="FILE", help="also write JUnit XML")
    test.add_argument("--coverage", action="store_true", help="list the nodes and outcomes that no test comes to")
    options.add(test, with_json=True)
    test.set_defaults(func=_test)


def check(path: Path, book: ivr.Book | None, settings: Config) -> list[ivr.Problem]:
    """The problems of a test file, or of the test files in a folder."""
    return flow_cases.check(path, book, settings.site.time_zone)


def check_alone(path: Path, settings: Config) -> tuple[ivr.Book | None, list[ivr.Problem]]:
    """One test file against the flows beside it, whose own problems are not told."""
    book, _ = flow_files.check(path.absolute().parent, country=settings.site.country, zone=settings.site.time_zone)
    return book, check(path, book, settings)


def _test(args: argparse.Namespace) -> int:
    settings = options.load(args)
    runs = [_run(folder, files, settings) for folder, files in _wanted(args, settings).items()]
    if not any(one.suites or one.faults for one in runs):
        raise BadInput("there are no tests: write them in NAME.test.yaml beside the flows")
    if args.junit:
        args.junit.write_bytes(junit(suite for one in runs for suite in one.suites))
    if args.json:
        options.print_json(_as_json(runs))
    else:
        for one in runs:
            _print(one, args.coverage)
    return 1 if any(one.faults or any(suite.failed for suite in one.suites) for one in runs) else 0


def _wanted(args: argparse.Namespace, settings: Config) -> dict[Path, list[Path]]:
    """The test files by the folder of their flows."""
    found: dict[Path, list[Path]] = {}
    for path in args.path or [args.flows or settings.paths.flows]:
        if not path.exists():
            raise BadInput(f"{written(str(path))}: there is no such file or folder")
        if not path.is_dir() and not flow_cases.is_test(path):
            raise BadInput(f"{written(str(path))}: a test file ends in {flow_cases.ENDING}")
        folder = args.flows or (path if path.is_dir() else path.parent)
        files = flow_cases.beside(path) if path.is_dir() else [path]
        found.setdefault(folder, []).extend(file for file in files if file not in found[folder])
    return found


def _run(folder: Path, files: Sequence[Path], settings: Config) -> Run:
    book, problems = flow_files.check(folder, country=settings.site.country, zone=settings.site.time_zone)
    if book is None:
        return Run(faults=tuple(problems))
    read = flow_cases.load(files, book, settings.site.time_zone)
    suites = tuple(Suite(cases, tuple(run(book, cases, one) for one in cases.tests)) for cases in read)
    passed = (node for suite in suites for result in suite.results for node in result.path)
    return Run(suites, tuple(coverage(book, flow_cases.lines(folder), passed)))


# ---------------------------------------------------------------- for people


def _print(one: Run, with_missing: bool) -> None:
    for problem in one.faults:
        print(problem, file=sys.stderr)
    for suite in one.suites:
        for problem in suite.cases.problems:
            print(f"FAIL {problem}")
        for result in suite.results:
            print(*_told(suite, result), sep="\n")
    if one.suites:
        tests = sum(len(suite.results) for suite in one.suites)
        print(f"{tests} tests, {sum(suite.failed for suite in one.suites)} failed")
    for flow in one.covered:
        print("flow {}: nodes {} of {}, outcomes {} of {}".format(flow.flow, *flow.nodes, *flow.ways))
        for way in flow.missing if with_missing else ():
            print(f"  no test: {way}")


def _told(suite: Suite, result: Result) -> Iterator[str]:
    yield f"{'FAIL' if result.failures else 'ok  '} {suite.cases.file}: {shown(result.case.name)}"
    if result.failures:
        yield from (f"     {line}" for line in _why(result))


def _why(result: Result) -> Iterator[str]:
    yield from map(str, result.failures)
    yield f"path so far: {shown(', '.join(result.way())) or 'none'}"
    yield from (f"note: {hint}" for hint in result.hints)


# ---------------------------------------------------------------- for programs


def _as_json(runs: Iterable[Run]) -> object:
    tests = [
        {
            "file": suite.cases.file,
            "test": result.case.name,
            "ok": not result.failures,
            "failures": msgspec.to_builtins(result.failures),
            "path": result.way(),
        }
        for one in runs
        for suite in one.suites
        for result in suite.results
    ]
    problems = [problem for one in runs for suite in one.suites for problem in suite.cases.problems]
    faults = [problem for one in runs for problem in one.faults]
    return {
        "ok": not faults and not problems and all(test["ok"] for test in tests),
        "problems": msgspec.to_builtins([*faults, *problems]),
        "tests": tests,
        "coverage": [_covered_json(flow) for one in runs for flow in one.covered],
    }


def _covered_json(flow: Coverage) -> object:
    missing = [way._asdict() for way in flow.missing]
    return {"flow": flow.flow, "nodes": flow.nodes, "outcomes": flow.ways, "no_test": missing}


def junit(suites: Iterable[Suite]) -> bytes:
    """JUnit XML as Jenkins and GitLab read it; a test file with problems is a test that could not be run."""
    root = xml.Element("testsuites", name="cti flow test")
    for suite in suites:
        count = len(suite.results) + len(suite.cases.problems)
        failed = sum(bool(result.failures) for result in suite.results)
        node = xml.SubElement(root, "testsuite", name=suite.cases.file, tests=str(count), time="0")
        node.set("failures", str(failed))
        node.set("errors", str(len(suite.cases.problems)))
        for problem in suite.cases.problems:
            xml.SubElement(_testcase(node, suite, f"line {problem.line}", problem.line), "error", message=str(problem))
        for result in suite.results:
            case = _testcase(node, suite, shown(result.case.name), suite.cases.place(result.case.path)[0])
            if result.failures:
                told = xml.SubElement(case, "failure", message=str(result.failures[0]), type="assertion")
                told.text = "\n".join(_why(result))
    xml.indent(root)
    return bytes(xml.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _testcase(parent: xml.Element, suite: Suite, name: str, line: int) -> xml.Element:
    file = suite.cases.file
    group = file.removesuffix(flow_cases.ENDING)
    return xml.SubElement(parent, "testcase", classname=group, name=name, file=file, line=str(line), time="0")
