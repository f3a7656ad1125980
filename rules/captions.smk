# What `snakemake --report` shows: each product under its paper, with the title and caption
# that it has elsewhere. A caption has to be a file; these last as long as this process, and
# no job depends on them.
import re
import tempfile

from spectral_ssl.papers import PAPERS
from spectral_ssl.papers.manifest import digest
from spectral_ssl.jobs import products

CAPTIONS = tempfile.TemporaryDirectory(prefix="captions")
# Two of each: between two the report has a switch, on the first by the alphabet.
FORMATS = {
    "tables": {".csv": "CSV", ".tex": "LaTeX"},
    "figures": {".png": "PNG", ".pdf": "vector (PDF)"},
}
MERGED = {
    "ledger.csv": (
        "Ledger",
        "Every printed number, what was measured, and the verdict. Of all tiers present.",
    ),
    "theorems.csv": (
        "Theorem checks",
        "Every statement and its negative control. Of all tiers present.",
    ),
    "report.html": (
        "Report",
        "Ledger, statements, tables and figures on one page. Of all tiers present. "
        "Its links to files work only in the checkout's results/, not in this copy.",
    ),
}


def marked(file, category, subcategory, labels, caption, table=""):
    """A file for the report; the caption is words, `table` a text file shown below it."""
    # Escaped, so that no mark means markup, nor brackets a template.
    text = re.sub(r"([^\w\s]|_)", r"\\\1", caption)
    if table:
        text += f"\n\n.. include:: {table}\n   :literal:\n   :start-line: 2\n"
    path = Path(CAPTIONS.name) / f"{digest(text)}.rst"
    path.write_text(text, encoding="utf-8")
    words = {"category": category, "subcategory": subcategory, "labels": labels}
    return report(file, caption=str(path), **words)


def captioned(files, paper, kind):
    """A paper's tables or figures (`kind`), two formats of each marked for the report."""
    found = []
    for file in files:
        path = Path(file)
        told = products(paper, kind).get(path.stem)
        if told and path.suffix in FORMATS[kind]:
            data = told.get("data", targets.tier.description)
            labels = {kind[:-1]: told["title"], "format": FORMATS[kind][path.suffix]}
            caption = f"{told['caption']} Measured on {data}."
            table = path.with_suffix(".md") if kind == "tables" else ""
            file = marked(file, PAPERS[paper], kind, labels, caption, table)
        found.append(file)
    return found


def noted(files, paper):
    """A paper's notebook, its HTML marked for the report."""
    notebook, page = files
    labels = {"notebook": Path(page).name}
    caption = "Tables, figures and statements, each beside what the paper prints."
    return [notebook, marked(page, PAPERS[paper], "notebook", labels, caption)]


def merged(files):
    """What covers every paper and every tier present, marked for the report."""
    found = []
    for file in files:
        title, caption = MERGED[Path(file).name]
        labels = {"result": title}
        found.append(marked(file, "All papers", "merged", labels, caption))
    return found
