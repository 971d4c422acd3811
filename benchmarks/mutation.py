"""How many wrong libraries do the unit tests tell from the right one?

    share caught = seeded faults under which a unit test nearest to them fails / seeded faults

`mutations.toml` lists one-token faults as data: file, old text, new text, and the tests nearest to it. Each is put into
a copy of the repository, those tests run, and the copy is mended. The list is curated: mutmut and cosmic-ray would make
thousands of mutants here, most of them in messages, in defaults and in code that says the same, and hours of tests; and
what is worth seeing, such as a step's index or a wall's picture in another's place, is seldom an operator swapped.
Aims: ≥ 95 % over mathematics, ≥ 90 % over views. Some ten minutes on two cores; `--only WORD` takes the faults whose
name or file has that word.
Each run of pytest is a process forked from a server that has imported everything but the library.
"""

import argparse
import importlib.util
import multiprocessing
import os
import queue
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tqdm import tqdm

SERVER = multiprocessing.get_context("forkserver")
ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_name("mutations.toml")
AIMS = {"mathematics": 0.95, "views": 0.90}
COPIED = ("tutorial_lib", "tests", "benchmarks", "notebooks", "pyproject.toml", "conftest.py")
PRELOADED = ["torch", "scipy.stats", "sklearn.datasets", "matplotlib.pyplot", "ipywidgets", "hypothesis", "pytest"]
PYTEST = ["-x", "-q", "-p", "no:cacheprovider", "--timeout=0"]  # no time limit a test: a busy machine catches nothing
FAILED, PASSED, ELSEWHERE = 1, 0, 90  # pytest's exit codes, and ours for a library that is not the copy's
PATIENCE = 1800  # seconds for one fault's tests


@dataclass(frozen=True)
class Mutation:
    """A fault: the one `old` of a file becomes `new`, which one of `tests` should notice. part: see AIMS."""

    part: str
    name: str
    file: str
    old: str
    new: str
    tests: list[str]

    def applied(self, source: str) -> str:
        """The source with the fault in it; ValueError unless `old` occurs exactly once."""
        if (found := source.count(self.old)) != 1:
            raise ValueError(f"{self.name!r}: expected {self.old!r} once in {self.file}, found it {found} times")
        return source.replace(self.old, self.new)


def mutations(file: Path = LIST) -> list[Mutation]:
    """All that are listed."""
    return [Mutation(**entry) for entry in tomllib.loads(file.read_text(encoding="utf-8"))["mutation"]]


@contextmanager
def copies(n: int) -> Iterator["queue.Queue[Path]"]:
    """n copies of what the tests need, in a temporary folder, to be taken and put back."""
    with tempfile.TemporaryDirectory() as folder:
        free: queue.Queue[Path] = queue.Queue()
        for k in range(n):
            place = Path(folder) / str(k)
            place.mkdir()
            for name in COPIED:
                if (ROOT / name).is_dir():
                    shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
                elif (ROOT / name).exists():
                    shutil.copy(ROOT / name, place / name)
            free.put(place)
        yield free


def outcome(place: Path, tests: Iterable[str]) -> int:
    """pytest's exit code for those tests in a copy; −1 where they took longer than PATIENCE."""
    process = SERVER.Process(target=run_pytest, args=(str(place), list(tests)))
    process.start()
    process.join(PATIENCE)
    if process.exitcode is None:
        process.kill()
        process.join()
    return -1 if process.exitcode is None or process.exitcode < 0 else process.exitcode


def run_pytest(place: str, tests: list[str]) -> None:
    """What a forked process does: run tests on the library in `place`, in silence, and exit with pytest's code."""
    os.chdir(place)
    sys.path.insert(0, place)
    sys.dont_write_bytecode = True
    os.environ |= dict(PYTHONPATH=place, PYTHONDONTWRITEBYTECODE="1")  # for tests that start an interpreter
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    found = importlib.util.find_spec("tutorial_lib")
    if found is None or not str(found.origin).startswith(place):
        os._exit(ELSEWHERE)
    os._exit(int(pytest.main([*PYTEST, *tests])))


def judged(mutation: Mutation, free: "queue.Queue[Path]") -> int:
    """The outcome of a fault's tests with the fault in place."""
    place = free.get()
    file = place / mutation.file
    source = file.read_text(encoding="utf-8")
    try:
        file.write_text(mutation.applied(source), encoding="utf-8")
        return outcome(place, mutation.tests)
    finally:
        file.write_text(source, encoding="utf-8")
        free.put(place)


def healthy(tests: list[str], free: "queue.Queue[Path]") -> bool:
    """Whether one test file passes where nothing is wrong, without which its failing says nothing."""
    place = free.get()
    try:
        return outcome(place, tests) == PASSED
    finally:
        free.put(place)


def report(chosen: list[Mutation], codes: list[int]) -> str:
    """The share caught of each part, and every fault that was not, by name."""
    lines = []
    for part, aim in AIMS.items():
        found = [code for mutation, code in zip(chosen, codes, strict=True) if mutation.part == part]
        if found:
            caught = found.count(FAILED)
            lines.append(f"{part}: {caught} of {len(found)} caught, {caught / len(found):.0%} (aim ≥ {aim:.0%})")
    return "\n".join([*lines, *(told(m, code) for m, code in zip(chosen, codes, strict=True) if code != FAILED)])


def told(mutation: Mutation, code: int) -> str:
    """A line on a fault that was not caught."""
    said = {PASSED: "survived", -1: f"took longer than {PATIENCE} s"}.get(code, f"broke pytest ({code})")
    return f"  {said}: {mutation.name} ({mutation.file})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Seed faults and count those that the unit tests catch.")
    parser.add_argument("--only", metavar="WORD", default="", help="faults whose name or file has this word")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="copies at work at once")
    parser.add_argument("--trust", action="store_true", help="that the tests pass where nothing is wrong")
    asked = parser.parse_args()
    os.environ |= dict(OMP_NUM_THREADS="1", MPLBACKEND="agg")
    SERVER.set_forkserver_preload(PRELOADED)
    chosen = [mutation for mutation in mutations() if asked.only in f"{mutation.name} {mutation.file}"]
    files = sorted({test for mutation in chosen for test in mutation.tests})
    with copies(asked.workers) as free, ThreadPoolExecutor(asked.workers) as pool:
        if not asked.trust:
            well = list(tqdm(pool.map(lambda test: healthy([test], free), files), total=len(files), desc="before"))
            if ill := [test for test, fine in zip(files, well, strict=True) if not fine]:
                sys.exit(f"expected tests that pass where nothing is wrong, got failures in {', '.join(ill)}")
        codes = []
        for code in tqdm(pool.map(lambda fault: judged(fault, free), chosen), total=len(chosen), desc="faults"):
            codes.append(code)
            if code != FAILED:
                tqdm.write(told(chosen[len(codes) - 1], code))
    print(report(chosen, codes))


if __name__ == "__main__":
    main()
