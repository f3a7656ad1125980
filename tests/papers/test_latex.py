"""Tables as LaTeX: every mark as itself, every table compiled, nothing wider than the text."""

from __future__ import annotations

import re
import shutil
import string
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from spectral_ssl.errors import UserError
from spectral_ssl.papers.latex import GREEK, TABLE, escape, latex

DOCUMENT = (
    "\\documentclass{article}\n\\usepackage{array,booktabs,graphicx}\n\\begin{document}\n%s\\end{document}\n"
)
MARKS = "".join(sorted(set(string.punctuation)))
UNICODE = "".join(map(chr, sorted(set(TABLE) - {0x200B}))) + "éèüçñøß"
COMMAND = re.compile(r"\\(?:[A-Za-z]+|.)|[{}]")
Shown = Callable[[str], str]


def frame(texts: list[str]) -> pd.DataFrame:
    """Texts as cells, headings and the first of a row."""
    return pd.DataFrame([[text, f"1{text}"] for text in texts], columns=[texts[0], f"x{texts[-1]}"])


def balanced(text: str) -> bool:
    depth = 0
    for mark in COMMAND.findall(text):
        depth += (mark == "{") - (mark == "}")
        if depth < 0:
            return False
    return depth == 0


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    """Compiles a document's body and reads the PDF's text back."""
    for program in ("pdflatex", "pdftotext"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")

    def compiled(body: str) -> str:
        (tmp_path / "table.tex").write_text(DOCUMENT % body, encoding="utf-8")
        words = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "table.tex"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-1500:]
        assert "Overfull" not in done.stdout
        assert "Missing character" not in done.stdout
        words = ["pdftotext", "-layout", "table.pdf", "-"]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    return compiled


def test_known_texts() -> None:
    assert escape("50 % of R&D_1 #2 $3") == r"50 \% of R\&D\_1 \#2 \$3"
    assert escape("{a} ~ ^ \\") == r"\{a\} \textasciitilde{} \textasciicircum{} \textbackslash{}"
    assert escape("76.7 ± 1.3 <= 5 × µ") == r"76.7 $\pm$ 1.3 \textless{}= 5 $\times$ $\mu$"
    assert escape('a "b" ("c") |d|') == r"a {``}b'' ({``}c'') \textbar{}d\textbar{}"
    assert escape("10⁻⁵, λ₂ → é") == r"10$^{-}$$^{5}$, $\lambda$$_{2}$ $\to$ é"
    assert escape("a--b  'n'' \n c") == r"a-{}-b 'n'{}' c"
    assert escape(None) == escape(float("nan")) == ""
    assert escape(0.5) == "0.5"


def test_greek_is_each_letter_by_its_name() -> None:
    import unicodedata

    names = {"lamda": "lambda", "final sigma": "varsigma"}
    for place, command in enumerate(GREEK.split()):
        name = unicodedata.name(chr(0x3B1 + place)).removeprefix("GREEK SMALL LETTER ").lower()
        assert command in (names.get(name, name), "o")


def test_a_letter_and_its_accent_apart_become_one_character() -> None:
    assert escape("e\u0301") == "é"


def test_no_special_mark_is_left_and_braces_balance() -> None:
    text = latex(frame([*MARKS, *UNICODE]), MARKS + UNICODE, "tab:marks")
    assert balanced(text)
    assert len(re.findall(r"(?<!\\)&", text)) == len(MARKS) + len(UNICODE) + 1  # one a row, between two cells
    rest = re.sub(r"\$[^$]*\$", "", re.sub(r"\\[&%$#_{}]", "", text.partition("\\toprule")[2]))
    assert not re.search(r"[%$#_^\"<>|`[\]*]", re.sub(r"\{(``?|[\[\]*])\}|\\`\{\}", "", rest))


@pytest.mark.parametrize("columns", [1, 2, 7])
def test_each_row_has_every_column(columns: int) -> None:
    table = pd.DataFrame([[f"a & {place}" for place in range(columns)]] * 3).rename(columns=str)
    lines = latex(table, "A caption", "tab:columns").splitlines()
    rows = [line for line in lines if line.endswith(r" \\")]
    assert len(rows) == 4
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {columns - 1}
    (begun,) = (line for line in lines if line.startswith(r"\begin{tabular}"))
    assert begun == rf"\begin{{tabular}}{{{'l' * columns}}}"


def test_numbers_stand_right_and_words_left_also_with_holes() -> None:
    table = pd.DataFrame(
        {"a": ["x", "1"], "b": ["1.5 ± 2", None], "c": [float("nan"), "< 0.1"], "d": ["", ""]}
    )
    assert r"\begin{tabular}{lrrl}" in latex(table, "", "t")


def test_long_texts_are_set_on_several_lines_and_numbers_stay_whole() -> None:
    table = pd.DataFrame({"words": ["a few words " * 6], "a rather long heading": ["1.2 ± 3.4"]})
    text = latex(table, "", "t")
    assert r"{>{\raggedright\arraybackslash}p{15.5em}>{\raggedleft\arraybackslash}p{5em}}" in text
    assert "1.2~$\\pm$~3.4" in text
    assert "{[}0.1,~0.2{]}" in latex(pd.DataFrame({"a": ["0.1 [0.1, 0.2]"]}), "", "t")


def test_more_columns_mean_shorter_lines() -> None:
    def width(columns: int) -> float:
        table = pd.DataFrame([["some words of a text that is long " * 2] * columns]).rename(columns=str)
        return float(re.findall(r"p\{([\d.]+)em\}", latex(table, "", "t"))[0])

    assert width(2) == 15.5
    assert width(5) < width(4) < 15.5


def test_caption_label_and_needs_are_said_once() -> None:
    text = latex(pd.DataFrame({"a": ["1"]}), "50 % of all.", "tab:haochen2021:table_1")
    assert text.startswith("% needs \\usepackage{array,booktabs,graphicx} and UTF-8")
    assert text.count("\\caption{50 \\% of all.}") == 1
    assert text.count("\\label{tab:haochen2021:table_1}") == 1


@pytest.mark.parametrize("label", ["", "a b", "50%", "a{b}", "é"])
def test_a_label_that_no_reference_can_hold_is_refused(label: str) -> None:
    with pytest.raises(UserError, match=r"use letters, digits and any of : \. / _ - alone"):
        latex(pd.DataFrame({"a": ["1"]}), "", label)


def test_every_mark_compiles_and_reads_as_itself(shown: Shown) -> None:
    text = shown(
        latex(frame([*MARKS, "a--b"]), MARKS, "tab:marks").replace(r"\begin{table}", r"\begin{table}[p]")
    )
    looks = {'"': "”", "'": "’", "^": "ˆ", "~": "˜"}
    for mark in MARKS.replace("_", ""):  # a rule, no character of these fonts
        assert re.search(rf"1{re.escape(looks.get(mark, mark))}", text), mark
    assert "a--b" in text


def test_unicode_compiles(shown: Shown) -> None:
    half = len(UNICODE) // 2
    pages = [latex(frame(list(part)), " ".join(part), "t") for part in (UNICODE[:half], UNICODE[half:])]
    text = shown("\n\\clearpage\n".join(pages))
    for mark in "±×≤λ":
        assert mark in text


def test_tables_that_are_empty_wide_or_long_compile_within_the_text(shown: Shown) -> None:
    wide = pd.DataFrame([["a text of several words, long", "0.123 ± 0.456"] * 6] * 3).rename(columns=str)
    endless = pd.DataFrame({"x" * 200: ["y" * 150], "b": ["[0.1, 0.2]"]})
    tables = [pd.DataFrame(), pd.DataFrame(columns=["a", "b"]), wide, endless]
    body = "".join(latex(table, "A caption.", f"t{place}") for place, table in enumerate(tables))
    assert "0.123" in shown(body)
