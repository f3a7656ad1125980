"""What installing runs: packages by hash, wheels, and no code from anywhere else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted(path.name for path in ROOT.glob("*.lock"))
NOTES = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
PIN = re.compile(r"[a-z0-9][a-z0-9-]*==[0-9][0-9a-z.!+]*(?: ; [\w .*'<>=!()]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?P<more> \\)?")
STEPS = (
    *("Makefile", "Snakefile", ".ci/run", "README.md", "environment.yml"),
    *("containers/*", "docs/*.md", "docs/*.py", "rules/*", "profiles/**/*", "benchmarks/*.py", "src/**/*.py"),
)
UNHASHED = {
    ("README.md", "conda env create"),
    ("environment.yml", "conda env create"),
    ("benchmarks/views.py", "kornia"),
    ("docs/cluster.md", "--conda-create-envs-only"),
    ("docs/engine.md", "pip install tensorboard"),
    ("src/spectral_ssl/train/tensorboard.py", "pip install tensorboard"),
}
"""Where something is offered without hashes; docs/security.md says why."""
FOREIGN = {
    "a download": r"\b(curl|wget)\b|urllib\.request|urlretrieve",
    "code of a repository": r"git\+(https?|ssh|file)|git clone (?!--quiet \. )|\bhub\.load\b",
    "another installer": r"easy_install|setup\.py (install|develop)|\b(npm|cargo|gem|go|playwright) (install|i|get)\b",
    "another index": r"--(extra-)?index-url|--find-links|--trusted-host|--allow-unauthenticated|--force-yes",
}


def broken_lines(lock: str) -> list[str]:
    """The lines of a lock that are neither a pin followed by hashes nor a hash."""
    found, expected = [], PIN
    for line in lock.splitlines():
        match = expected.fullmatch(line)
        if match is None:
            found.append(line)
        elif expected is PIN or not match["more"]:
            expected = HASH if expected is PIN else PIN
    return found if expected is PIN else [*found, "the last pin has no end"]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_is_versions_and_hashes_alone(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert len(text) > 1000
    assert broken_lines(text) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("jinja2==", "jinja2>="),
        ("jinja2==", "-e git+https://example.org/jinja2#egg=jinja2 \\\njinja2=="),
        ("jinja2==", "--index-url https://example.org/\njinja2=="),
        ("jinja2==", "jinja2 @ https://example.org/j.whl \\\njinja2=="),
        ("--hash=sha256:", "--hash=md5:"),
    ],
)
def test_other_lines_are_found(old, new):
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert broken_lines(text.replace(old, new, 1)) != []


def test_a_pin_without_hashes_is_found():
    hashed = f"a==1 \\\n    --hash=sha256:{'0' * 64}\n"
    assert broken_lines(hashed) == []
    assert broken_lines("b==1\n" + hashed) == ["b==1"]
    assert broken_lines(hashed + "b==1 \\\n") == ["the last pin has no end"]
    assert broken_lines("b==1 \\\n" + hashed) == ["a==1 \\"]


def joined(text: str) -> list[str]:
    """Logical lines; the Makefile's variables of pip's options are put in."""
    text = re.sub(r"\\\n\s*", " ", text)
    for name in ("INSTALL", "WHEELS", "SOURCES"):
        if value := re.search(rf"^{name} := (.*)$", text, flags=re.M):
            text = text.replace(f"$({name})", value[1])
    return text.splitlines()


def problems(name: str, text: str) -> list[str]:
    """Lines of a file that install or fetch what no hash vouches for."""
    found = []
    for line in joined(text):
        if any(name == place and words in line for place, words in UNHASHED):
            continue
        if re.search(r"\bpip\"? install\b|\bpip\"? download\b|\buv\"? pip (install|sync)\b", line):
            for option in ("--require-hashes", "--only-binary=:all:", "--no-build-isolation"):
                if option not in line:
                    found.append(f"{option} is missing: {line.strip()}")
        if re.search(r"\bconda (env )?(create|install)\b|--conda-create-envs-only", line):
            found.append(f"conda: {line.strip()}")
        if image := re.match(r"(FROM|From:) (?!=)(.*)", line):
            pinned = re.search(r"@sha256:[0-9a-f]{64}$", image[2])
            found += [] if pinned else [f"an image without a digest: {line.strip()}"]
        found += [f"{what}: {line.strip()}" for what, words in FOREIGN.items() if re.search(words, line)]
    return found


def steps() -> dict[str, str]:
    files = sorted({file for pattern in STEPS for file in ROOT.glob(pattern) if file.is_file()})
    notes = ROOT / "docs" / "security.md"  # which names the alternatives
    kept = [file for file in files if file.suffix not in (".pyc", ".sif") and file != notes]
    return {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in kept}


def test_nothing_is_installed_or_fetched_without_a_hash():
    found = {name: lines for name, text in steps().items() if (lines := problems(name, text))}
    found.pop("src/spectral_ssl/data/official.py", None)  # data sets, on request and by checksum
    assert found == {}


def test_both_installers_are_looked_at():
    texts = steps()
    assert sum("pip $(INSTALL)" in line for line in texts["Makefile"].splitlines()) == 2
    assert "pip install" in texts["containers/install.sh"]
    assert '"$$lock/venv/bin/pip" $(INSTALL) -r requirements-uv.lock' in texts["Makefile"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("pip install --require-hashes -r a.lock", "--only-binary=:all: is missing"),
        ("pip install --only-binary=:all: --no-build-isolation uv", "--require-hashes is missing"),
        ('"$lock/bin/pip" install uv', "--require-hashes is missing"),
        ("uv pip install \\\n  -r a.lock", "--require-hashes is missing"),
        ("curl https://example.org/x.sh | sh", "a download"),
        ("bash <(wget -qO- https://example.org/x.sh)", "a download"),
        ("pip wheel git+https://example.org/x", "code of a repository"),
        ("git clone https://example.org/x", "code of a repository"),
        ("python setup.py install", "another installer"),
        ("playwright install chromium", "another installer"),
        ("PIP='pip --extra-index-url https://example.org'", "another index"),
        ("FROM python:3.11", "an image without a digest"),
        ("conda install numpy", "conda"),
    ],
)
def test_a_step_that_runs_code_from_elsewhere_is_found(line, problem):
    assert any(problem in found for found in problems("Makefile", line))


def test_every_alternative_without_hashes_is_still_there_and_explained():
    texts = steps()
    for name, words in UNHASHED:
        assert words in texts[name], f"{name} offers it no longer: take it out of this list"
        assert f"`{name}`" in NOTES


def test_what_is_built_from_source_is_what_the_notes_say():
    (named,) = re.findall(r"^SOURCES := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M)
    for name in named.split():
        assert f"`{name}`" in NOTES
    script = (ROOT / "containers" / "install.sh").read_text(encoding="utf-8")
    run = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    wanted = [name for name in named.split() if f"\n{name}==" in run]
    assert re.findall(r"--no-binary=([\w-]+)", script) == wanted


@pytest.mark.parametrize("name", [name for name in LOCKS if name != "requirements-uv.lock"])
def test_a_lock_has_the_setuptools_that_builds(name):
    """What `sed` takes out of the lock is installed first: setuptools, its hashes, nothing else."""
    script = (ROOT / "containers" / "install.sh").read_text(encoding="utf-8")
    (expression,) = re.findall(r"^sed -n '([^']*)'", script, flags=re.M)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.findall(r"sed -n '(/\^setuptools[^']*)'", makefile) == [expression.replace("$", "$$")]
    done = subprocess.run(
        ["sed", "-n", expression, str(ROOT / name)], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith("setuptools==")
    assert len(lines) > 1
    assert broken_lines(done.stdout) == []
    assert sum("==" in line for line in lines) == 1


def test_installed_packages_agree_with_one_another():
    command = [sys.executable, "-m", "pip", "check", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "No broken requirements found.\n"), done.stdout + done.stderr
