"""The page on blessing: its snippets are read by what reads the real files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlproject.cases import Cases, read_cases
from mlproject.cases.sections import ChangedCase, GoldenCase
from mlproject.sections import EvaluationSection, InfraSection

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "blessing.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```yaml( cases)?\n(.*?)```", PAGE, re.DOTALL)
SECTIONS = {"evaluation": EvaluationSection, "infra_validation": InfraSection}


@pytest.mark.parametrize("text", [text for kind, text in SNIPPETS if not kind])
def test_the_snippets_of_project_yaml_are_valid(text: str) -> None:
    values: dict[str, Any] = yaml.safe_load(text)
    assert values
    for name, section in values.items():
        assert SECTIONS[name].model_validate(section)


def test_the_page_shows_the_defaults_of_the_trial() -> None:
    (text,) = [text for _, text in SNIPPETS if text.startswith("infra_validation")]
    assert InfraSection.model_validate(yaml.safe_load(text)["infra_validation"]) == InfraSection()


def test_the_snippet_of_cases_is_a_whole_file(tmp_path: Path) -> None:
    (text,) = [text for kind, text in SNIPPETS if kind]
    (tmp_path / "cases.yaml").write_text(text, encoding="utf-8")
    cases = read_cases(tmp_path / "cases.yaml", "binary")
    assert cases.golden
    assert cases.invariance
    assert cases.directional


def test_every_key_of_a_case_stands_in_the_table() -> None:
    documented = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", PAGE, re.M))))
    keys = {
        field.alias or name
        for section in (GoldenCase, ChangedCase, Cases)
        for name, field in section.model_fields.items()
    }
    assert keys - {"golden", "invariance", "directional"} | {"must_not"} <= documented


def test_the_cases_of_the_taxi_example_are_read() -> None:
    cases = read_cases(ROOT / "examples" / "taxi" / "cases.yaml", "binary")
    assert len(cases.everything) >= 5
