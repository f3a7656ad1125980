"""Tables as LaTeX that compiles: every mark escaped, long texts on several lines, no wider than the text."""

from __future__ import annotations

import re
import unicodedata

import pandas as pd

from spectral_ssl.errors import UserError

NEEDS = "% needs \\usepackage{array,booktabs,graphicx} and UTF-8, which LaTeX reads by itself since 2018\n"
LINES = range(30, 11, -2)  # characters of a line in a cell: as many as leave the table no wider than
FITTING = 110  # characters, with two between columns: seven points' text, ten points' holds about 75
CHARACTER = 0.5  # em, a digit's width and more than most letters'
TOGETHER = re.compile(
    r"(?<=[\d%.]) (?=[±%])|(?<=±) (?=[\d.])|(?<=\d,) (?=[\d.+−-])"
)  # within one number or interval
NUMBER = re.compile(r"[<>≤≥≈±−+-]?\s*\.?\d")

MARKS = {mark: f"\\{mark}" for mark in "&%$#_{}"} | {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    "`": "\\`{}",
    "[": "{[}",  # a row that begins with one would else be a length, or a star a command's
    "]": "{]}",
    "*": "{*}",
    "\xa0": "~",
    "–": "--",
    "—": "---",
    "‘": "{`}",
    "’": "'",
    "“": "{``}",
    "”": "''",
    "…": "\\dots{}",
    "\u200b": "{}",  # no space, where two marks in a row would become a longer one
}
GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi o pi rho varsigma sigma tau "
    "upsilon phi chi psi omega"
)
MATHS = {chr(0x3B1 + place): name for place, name in enumerate(GREEK.split())} | {
    **{"Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma"},
    **{"Φ": "Phi", "Ψ": "Psi", "Ω": "Omega", "µ": "mu", "ϕ": "varphi", "ℓ": "ell"},
    **{"±": "pm", "∓": "mp", "×": "times", "÷": "div", "·": "cdot", "∘": "circ", "√": "surd", "∞": "infty"},
    **{"≤": "le", "≥": "ge", "≠": "ne", "≈": "approx", "≡": "equiv", "∼": "sim", "∝": "propto"},
    **{"≪": "ll", "≫": "gg", "→": "to", "←": "leftarrow", "↔": "leftrightarrow", "⇒": "Rightarrow"},
    **{"∈": "in", "∉": "notin", "⊂": "subset", "∪": "cup", "∩": "cap", "∑": "sum", "∏": "prod"},
    **{"∂": "partial", "∇": "nabla", "∥": "|", "⊥": "perp", "⊤": "top", "†": "dagger"},
}
PLAIN = {"−": "$-$", "°": "$^\\circ$", "ο": "o", "′": "$'$"}
RAISED = {raised: f"$^{{{plain}}}$" for raised, plain in zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+", strict=True)}
LOWERED = {lowered: f"$_{{{plain}}}$" for lowered, plain in zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True)}
TABLE = str.maketrans(
    MARKS | {mark: f"$\\{name}$" for mark, name in MATHS.items()} | PLAIN | RAISED | LOWERED
)


def escape(value: object) -> str:
    """A value's text in LaTeX's text mode: its marks and symbols as commands, nothing for None and NaN.

    Straight quotes open after a space or a bracket and close elsewhere. Letters with accents stay; a character that
    pdfLaTeX does not know, of another script say, stays too and needs XeLaTeX or LuaLaTeX.
    """
    if missing(value):
        return ""
    text = unicodedata.normalize("NFC", " ".join(re.split(r"[ \t\r\n]+", str(value).strip())))
    text = re.sub(r'(^|[\s(\[{])"', r"\1“", text).replace('"', "”")
    text = re.sub(r"([-'’])(?=\1)", "\\1\u200b", text)
    return text.translate(TABLE)


def latex(shown: pd.DataFrame, caption: str, label: str) -> str:
    """A table as people read it, in LaTeX: a float of the text's width at most, with booktabs' rules.

    Columns of numbers stand right, others left; long cells and headings are set on several lines, and what is too
    wide even then is made smaller. The first line says which packages it needs.
    Raises UserError for a label with characters that a reference cannot hold.
    """
    if not re.fullmatch(r"[\w:./-]+", label, re.ASCII):
        raise UserError(f"label '{label}' of a table; use letters, digits and any of : . / _ - alone")
    heads = [str(name) for name in shown.columns] or ["nothing measured"]
    cells = [
        ["" if missing(value) else TOGETHER.sub("\xa0", str(value)) for value in row]
        for row in shown.to_numpy()
    ]
    rows = [" & ".join(map(escape, row)) + r" \\" for row in (heads, *cells)]
    lines = [
        *(r"\begin{table}", r"\centering", rf"\caption{{{escape(caption)}}}", rf"\label{{{label}}}"),
        *(r"\smallskip", r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"),
        rf"\begin{{tabular}}{{{_columns(heads, cells)}}}",
        *(r"\toprule", *rows[:1], r"\midrule", *rows[1:], r"\bottomrule"),
        *(r"\end{tabular}}", r"\end{table}"),
    ]
    return NEEDS + "\n".join(lines) + "\n"


def missing(value: object) -> bool:
    """Whether there is nothing to show: None or NaN."""
    return value is None or value != value


def _columns(heads: list[str], cells: list[list[str]]) -> str:
    """Every column's specification: right for numbers, of a fixed width where a text is too long for one line."""
    columns = [[head, *(row[place] for row in cells)] for place, head in enumerate(heads)]
    for most in LINES:
        widths = [_width(column, most) for column in columns]
        if sum(widths) + 2 * len(widths) <= FITTING:
            break
    found = []
    for column, width in zip(columns, widths, strict=True):
        filled = [cell for cell in column[1:] if cell]
        right = bool(filled) and all(NUMBER.match(cell) for cell in filled)
        if max(map(len, column)) <= width:
            found.append("r" if right else "l")
        else:
            side = r"\raggedleft" if right else r"\raggedright"
            found.append(rf">{{{side}\arraybackslash}}p{{{CHARACTER * width + 0.5:g}em}}")
    return "".join(found)


def _width(column: list[str], most: int) -> int:
    """Characters of a column, its heading first: its longest cell, but no more than `most` unless a word has more."""
    words = [len(word) for text in column for word in text.split(" ")]
    return max([min(max(map(len, column[1:]), default=0), most), *words])
