"""A page of 5,000 runs and 5,000 ledger entries answers a reader within 3 s, and asks for nothing from a network."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

COUNT = 5000
LIMIT = 3.0  # seconds
ROWS = "#entries tbody tr:not(.detail):not([hidden])"


def _benchmark() -> Any:
    path = Path(__file__).parents[2] / "benchmarks" / "report.py"
    spec = importlib.util.spec_from_file_location("report_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


benchmark = _benchmark()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return benchmark.large(tmp_path_factory.mktemp("large"), COUNT)


def test_filters_search_and_runs_answer_in_time(page: Path, tab: Any) -> None:
    tab.set_default_timeout(60_000)
    # Laying out all entries is asked for by a button of its own, and is no answer to a filter.
    actions = {name: code for name, code in benchmark.ACTIONS.items() if name != "lay out all entries"}
    taken = benchmark.timings(tab, page, actions)
    late = [name for name in actions if taken[name] > LIMIT]
    if late:  # once more: other processes may have had the cores
        taken |= benchmark.timings(tab, page, actions)
    assert {name: taken[name] for name in late if taken[name] > LIMIT} == {}


def test_what_is_shown_is_right_at_that_size(page: Path, tab: Any) -> None:
    tab.goto(page.as_uri() + "?tier=smoke&q=entry-77&verdict=differs")
    wanted = [n for n in range(COUNT) if str(n).startswith("77") and n % 5 == 1]
    shown = tab.eval_on_selector_all(f"{ROWS} th button", "all => all.map(one => one.textContent)")
    assert sorted(name.partition("/entry-")[2] for name in shown) == sorted(map(str, wanted))
    assert len(shown) == 2
    assert tab.locator(".run").count() == COUNT
    tab.select_option("#c-experiment", "")
    assert tab.locator("#curves path.line").count() == 500
    said = tab.locator("#drawn").text_content()
    assert said.startswith("500 runs, ")
    left = int(said.split(" drawn; ")[1].split()[0])
    assert tab.locator(".keys li").count() + left == len(set(tab.evaluate(LABELS)))


# The label of each run's settings by the slow way: what tells it from every other run of its method, one by one.
LABELS = """() => {
    const flat = (value, prefix = "") => Object.entries(value).flatMap(([key, inner]) =>
        inner !== null && typeof inner === "object" && !Array.isArray(inner) ? flat(inner, prefix + key + ".")
            : [[prefix + key, Array.isArray(inner) ? inner.join(", ") : String(inner)]]);
    return JSON.parse(document.getElementById("run-data").textContent).map(run =>
        run.method + JSON.stringify(flat(run.settings).filter(([key]) => key !== "seed").sort()));
}"""


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *words: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


ASKS = """async address => {
    const image = new Image();
    const seen = new Promise(done => { image.onload = image.onerror = done; });
    image.src = address + '/image';
    document.body.append(image);
    const frame = document.createElement('iframe');
    frame.src = address + '/frame';
    document.body.append(frame);
    const script = document.createElement('script');
    script.textContent = `window.ran = true; fetch('${address}/script').catch(() => 0)`;
    document.body.append(script);
    const form = document.createElement('form');
    form.action = address + '/form';
    form.target = 'elsewhere';
    document.body.append(form);
    form.submit();
    await Promise.all([seen, fetch(address + '/fetch', { mode: 'no-cors' }).catch(() => 0)]);
    await new Promise(done => setTimeout(done, 500));
    return window.ran === true;
}"""


def test_the_policies_let_no_request_out(
    built: Any, chromium: Any, server: tuple[str, list[str]], tmp_path: Path
) -> None:
    """Markup that got into the page all the same could ask for nothing; a page without the policy asks for all."""
    address, asked = server
    notebook = built.layout.report("garrido2023").with_suffix(".html")
    bare = tmp_path / "bare.html"
    bare.write_text("<!doctype html><body>", encoding="utf-8")
    for file, free in ((built.page, False), (notebook, False), (bare, True)):
        tab = chromium.new_page()
        tab.goto(file.as_uri())
        assert tab.evaluate(ASKS, address) is free
        assert bool(asked) is free, (file.name, asked)
        tab.close()
    assert {"/image", "/frame", "/script", "/fetch", "/form?"} <= set(asked)


def test_pages_are_whole_without_a_network(built: Any, chromium: Any) -> None:
    context = chromium.new_context(offline=True)
    asked: list[str] = []
    context.route("**/*", lambda route: (asked.append(route.request.url), route.continue_()))
    tab = context.new_page()
    for file in (built.page, *sorted(built.root.glob("results/smoke/reports/*.html"))):
        tab.goto(file.as_uri())
        tab.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        tab.wait_for_timeout(300)
        lost = "[...document.images].filter(one => one.loading !== 'lazy' && !one.naturalWidth).length"
        assert tab.evaluate(lost) == 0
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
    assert len(asked) >= 4
    context.close()
