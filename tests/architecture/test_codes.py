"""The codes of errors: each error has one, each is used, and the documentation says of each what the code says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from hevo_provider import codes, exceptions
from hevo_provider.codes import Code
from hevo_provider.exceptions import HevoError, HevoHopelessError, HevoRunError
from tests.architecture.test_imports import ROOT, files, tree_of

PAGE = ROOT / "docs" / "troubleshooting.md"
NAMES = {name: value for name, value in vars(codes).items() if isinstance(value, Code)}
# What these say is the place's to say that raises them.
WITHOUT_A_USUAL_CODE = {HevoError, HevoRunError, HevoHopelessError}
NO_END_OF_A_TASK = {
    "runs.start",  # why a start is put off
    "triggers",  # a fault of this package, whose usual code that is
}


def section_of(code: Code) -> str:
    return f"""### {code}: {code.title}

> … {code.message} …

**What it means.** {code.meaning}

**What to do.** {code.advice}
"""


def used_in(module: str) -> set[str]:
    return {
        node.attr
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "codes"
    }


def test_each_kind_of_error_has_a_code() -> None:
    kinds = {kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, HevoError)}

    assert {kind for kind in kinds if kind.code is codes.UNEXPECTED} == WITHOUT_A_USUAL_CODE


def test_what_has_no_usual_code_is_given_one() -> None:
    bare = {kind.__name__ for kind in WITHOUT_A_USUAL_CODE}
    made = [
        (module, call)
        for module in set(files()) - NO_END_OF_A_TASK
        for call in ast.walk(tree_of(module))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in bare
    ]

    assert made
    assert [
        (module, call.lineno) for module, call in made if "code" not in {keyword.arg for keyword in call.keywords}
    ] == []


def test_each_code_is_used() -> None:
    assert set(NAMES) == set().union(*(used_in(module) for module in files())) - {"ALL"}


def test_a_code_is_like_no_status_of_http_and_stands_for_one_thing() -> None:
    assert len(codes.ALL) == len(NAMES)
    for name in codes.ALL:
        number = re.fullmatch(r"HEVO-([0-9]{3})", name)
        assert number
        assert not 400 <= int(number[1]) < 600


def test_the_documentation_has_what_each_code_says() -> None:
    page = PAGE.read_text()

    assert [str(code) for code in codes.ALL.values() if section_of(code) not in page] == []


def test_it_has_no_other_code() -> None:
    assert re.findall(r"^### (HEVO-\d+)", PAGE.read_text(), re.MULTILINE) == sorted(codes.ALL)


def test_its_example_of_a_callback_is_python(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    said: list[str] = []
    namespace: dict[str, object] = {"page_somebody": said.append}
    exec(compile(example, str(tmp_path), "exec"), namespace)  # noqa: S102 - our own documentation

    error = exceptions.HevoJobFailedError("words")
    error.report = "the report"
    namespace["tell"]({"exception": error})  # type: ignore[operator]
    namespace["tell"]({"exception": ValueError("of somebody else")})  # type: ignore[operator]

    assert said == ["the report", "of somebody else"]
