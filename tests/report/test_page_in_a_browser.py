"""The page as a person has it, in a browser: filters, order, details, curves, notebooks, a telephone's width."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from urllib.parse import unquote, urlsplit

from spectral_ssl.papers import speed

TOTAL = 7 + len(speed.speed())
ROWS = "#entries tbody tr:not(.detail):not([hidden])"


def entries(tab: Any) -> list[str]:
    """The names of the rows that are shown, in their order."""
    return tab.eval_on_selector_all(f"{ROWS} th button", "found => found.map(one => one.textContent)")


def go(tab: Any, site: Any, rest: str = "") -> None:
    tab.goto(site.page.as_uri() + rest)


def sort(tab: Any, column: str) -> None:
    tab.click(f"th[data-column={column}] button")


def test_a_verdicts_count_leads_to_those_entries(tab: Any, built: Any) -> None:
    go(tab, built)
    assert tab.locator(".tile.differs b").text_content() == "2"
    tab.click(".tile.differs")
    assert entries(tab) == ["marks/y", "rank/z"]
    assert tab.locator("#shown").text_content() == f"2 of {TOTAL} entries"
    tab.click(".card:nth-child(2) .bar .differs")
    assert entries(tab) == ["marks/y"]
    tab.go_back()
    assert entries(tab) == ["marks/y", "rank/z"]


def test_filters_and_search_narrow_together(tab: Any, built: Any) -> None:
    go(tab, built)
    tab.select_option("#f-paper", "haochen2021")
    assert entries(tab) == ["table1/order", "table1/few", "figure1"]
    tab.select_option("#f-family", "table1")
    tab.select_option("#f-kind", "order")
    assert entries(tab) == ["table1/order", "table1/few"]
    tab.fill("#f-q", "BEATS c.")
    assert entries(tab) == ["table1/few"]
    tab.fill("#f-q", "nothing of that")
    assert entries(tab) == []
    tab.click("#clear")
    assert len(entries(tab)) == TOTAL
    assert tab.locator("#shown").get_attribute("aria-live") == "polite"


def test_numbers_sort_as_numbers_both_ways_and_back(tab: Any, built: Any) -> None:
    go(tab, built, "?tier=smoke")
    before = entries(tab)
    heading = tab.locator("th[data-column=measured]")
    sort(tab, "measured")
    rising = ["table1/few", "statement/welch", "table1/order", "values/x", "rank/z", "marks/y", "figure1"]
    assert entries(tab) == rising  # a text after the numbers, what is empty last
    assert heading.get_attribute("aria-sort") == "ascending"
    sort(tab, "measured")
    assert entries(tab) == [*rising[4::-1], *rising[5:]]
    assert heading.get_attribute("aria-sort") == "descending"
    sort(tab, "measured")
    assert entries(tab) == before
    assert heading.get_attribute("aria-sort") is None


def test_every_column_sorts_and_ties_keep_their_order(tab: Any, built: Any) -> None:
    go(tab, built, "?tier=smoke")
    before = entries(tab)
    tried = tab.evaluate(
        """() => [...document.querySelectorAll('#entries thead th')].flatMap(heading => [1, 2].map(() => {
            heading.querySelector('button').click();
            const shown = document.querySelectorAll('#entries tbody tr:not([hidden])');
            return [heading.dataset.column, heading.getAttribute('aria-sort'), shown.length,
                document.querySelectorAll('[aria-sort]').length];
        }))"""
    )
    columns = [column for column, *_ in tried]
    assert len(set(columns)) == 15
    both = ("ascending", "descending")
    assert tried == [[column, both[n % 2], len(before), 1] for n, column in enumerate(columns)]
    sort(tab, "tier")
    sort(tab, "tier")
    assert entries(tab) == before  # one tier: all are equal
    sort(tab, "tier")
    assert entries(tab) == before


def test_an_address_brings_filters_order_and_search_back(tab: Any, built: Any) -> None:
    go(tab, built)
    tab.select_option("#f-tier", "smoke")
    tab.fill("#f-q", "table1/")
    sort(tab, "measured")
    sort(tab, "measured")
    found = entries(tab)
    assert found == ["table1/order", "table1/few"]
    address = tab.url
    go(tab, built)
    assert len(entries(tab)) == TOTAL
    tab.goto(address)
    assert entries(tab) == found
    assert tab.input_value("#f-q") == "table1/"
    assert tab.locator("th[data-column=measured]").get_attribute("aria-sort") == "descending"


def test_an_entry_opens_and_closes_by_keyboard(tab: Any, built: Any) -> None:
    go(tab, built)
    button = tab.get_by_role("button", name="table1/order")
    for key in ("Enter", "Space"):
        button.focus()
        tab.keyboard.press(key)
        assert button.get_attribute("aria-expanded") == "true"
        said = tab.locator(".detail").inner_text()
        for words in ("A beats B.", "1.5 to 2.5", "0.81", "0.5", "a rule", "analogue: digits", "2.004"):
            assert words in said, words
        for href in ("#table-haochen2021-table1", "#figure-haochen2021-table1"):
            assert tab.locator(f'.detail a[href="{href}"]').count() == 1
        assert "digits-gone" in tab.locator(".detail").text_content()  # named, but there is nothing to go to
        tab.keyboard.press(key)
        assert button.get_attribute("aria-expanded") == "false"
        assert tab.locator(".detail").count() == 0


def test_seeds_needed_come_with_the_command_to_get_them(tab: Any, built: Any) -> None:
    go(tab, built, "?q=table1/few")
    assert "snakemake --config tier=smoke seeds=12" in tab.locator(ROWS).inner_text()
    tab.click(f"{ROWS} th button")
    assert "12, to be had with snakemake --config tier=smoke seeds=12" in tab.locator(".detail").inner_text()


def test_an_address_of_an_entry_shows_it_whatever_the_filters(tab: Any, built: Any) -> None:
    go(tab, built, "?verdict=differs#entry-smoke-haochen2021-figure1")
    assert tab.locator(".detail").is_visible()
    tab.click('.detail a[href="#entry-smoke-haochen2021-table1/order"]')
    tab.get_by_role("button", name="table1/order", expanded=True).wait_for()
    assert "no/such" in tab.locator("[id$=figure1--detail]").text_content()


def test_every_link_within_and_beside_the_page_leads_somewhere(tab: Any, built: Any) -> None:
    go(tab, built)
    tab.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    tab.evaluate("document.querySelectorAll('#entries tbody th button').forEach(one => one.click())")
    tab.wait_for_timeout(200)
    lost = """found => found.map(one => one.getAttribute('href')).filter(at => at.startsWith('#'))
        .filter(at => !document.getElementById(decodeURIComponent(at.slice(1))))"""
    assert tab.eval_on_selector_all("a[href]", lost) == []
    found = tab.eval_on_selector_all("a[href]", "found => found.map(one => one.getAttribute('href'))")
    files = {urlsplit(at).path for at in found} - {""}
    assert {"smoke/reports/garrido2023.html", "../figures/smoke/haochen2021/table1.svg"} <= files
    assert any(path.endswith("/history.csv") for path in files)
    assert [path for path in files if not (built.page.parent / unquote(path)).is_file()] == []


def test_training_curves_are_drawn_and_chosen(tab: Any, built: Any) -> None:
    go(tab, built, "#runs")
    lines = tab.locator("#curves path.line")
    tab.select_option("#c-experiment", "")
    assert lines.count() == 5
    axes = tab.locator("#curves svg").first.text_content()
    assert "epoch" in axes
    assert "loss" in axes
    tab.select_option("#c-column", "online_accuracy")
    assert "online accuracy" in tab.locator("#curves svg").first.text_content()
    looks = "found => new Set(found.map(one => one.getAttribute('stroke') + one.getAttribute('stroke-dasharray'))).size"
    settings = int(tab.locator("#drawn").text_content().split(", ")[1].split()[0])
    assert tab.eval_on_selector_all("#curves path.line", looks) == settings > 1
    tab.check("#c-log")
    assert lines.count() == 5
    tab.uncheck("#c-log")
    tab.select_option("#c-column", "loss")
    tab.select_option("#c-method", "mine")
    assert lines.count() == 1
    # Its second epoch has no number: the line is lifted there.
    assert lines.get_attribute("d").count("M") == 2
    assert "L" not in lines.get_attribute("d")


def test_the_curves_of_an_entry_and_the_origin_of_a_run(tab: Any, built: Any) -> None:
    go(tab, built, "?q=table1/order")
    tab.click(f"{ROWS} th button")
    tab.get_by_role("button", name="Draw their training curves").click()
    assert tab.locator("#curves path.line").count() == 2
    assert tab.locator("#c-experiment option:checked").text_content() == "table1/order"
    assert tab.url.endswith("?q=table1%2Forder#runs")
    tab.go_back()
    assert not tab.url.endswith("#runs")
    assert entries(tab) == ["table1/order"]
    tab.locator(".keys a").first.click()
    run = tab.locator(".run[open]")
    run.locator("dl").first.wait_for()
    said = run.inner_text()
    for words in ("abc123", "2.11.0", "batch_size", "embedding_dim", "cpu", "history.csv"):
        assert words in said, words
    assert "2001" not in said
    assert "somebody" not in said


def test_a_notebook_opens_in_the_page(tab: Any, built: Any) -> None:
    go(tab, built)
    tab.locator(".notebook summary").nth(1).click()
    inside = tab.frame_locator(".notebook[open] iframe")
    assert inside.locator("h1").text_content() == "Read me, garrido2023"
    assert inside.locator("math").count() == 1
    assert tab.locator(".notebook iframe").nth(1).get_attribute("sandbox") == ""


def test_a_telephones_width_is_enough(tab: Any, built: Any) -> None:
    tab.set_viewport_size({"width": 360, "height": 740})
    go(tab, built, "#entry-smoke-haochen2021-table1/order")
    tab.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    tab.wait_for_timeout(100)
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
    right = "found => Math.max(...found.map(one => one.getBoundingClientRect().right))"
    assert tab.eval_on_selector_all(".filters select", right) <= 344  # the page's own margin is left


def test_headings_come_in_order_and_the_focus_is_seen(tab: Any, built: Any) -> None:
    go(tab, built)
    levels = tab.eval_on_selector_all("h1, h2, h3, h4", "found => found.map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert tab.locator("th:not([scope])").count() == 0
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_five_thousand_entries_filter_and_sort_fast(tab: Any, site: Any) -> None:
    kinds = ("order", "value", "same", "range")
    rule = "printed value within the prediction interval of one further seed, 95 %"
    site.ledger(
        [
            {"paper": "haochen2021", "entry": f"table{n % 40}/entry-{n}", "kind": kinds[n % 4], "rule": rule}
            | {"printed": f"Method {n} beats method {n + 1}.", "measured": str((n * 7919) % 5003 / 7)}
            | {
                "verdict": "differs" if n % 5 else "holds",
                "protocol": "analogue: digits, conv_narrow, accuracy",
            }
            for n in range(5000)
        ]
    )
    site.build()
    go(tab, site)
    timed = """async act => {
        const begin = performance.now();
        new Function(act)();
        document.body.offsetHeight;
        await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
        return performance.now() - begin;
    }"""
    search = "const q = document.querySelector('#f-q'); q.value = '%s'; q.dispatchEvent(new Event('input'))"
    taken = {"search": tab.evaluate(timed, search % "entry-49")}
    assert len(entries(tab)) == 111
    taken["all"] = tab.evaluate(timed, search % "")
    for again in ("ascending", "descending", "as it was"):
        taken[again] = tab.evaluate(
            timed, "document.querySelector('th[data-column=measured] button').click()"
        )
    assert max(taken.values()) < 3000, taken
    assert len(entries(tab)) == 200


def test_entries_beyond_the_first_are_shown_when_asked_for(tab: Any, site: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("spectral_ssl.report.entries.FIRST", 3)
    site.build()
    go(tab, site, "?tier=smoke#entry-smoke-balestriero2022-rank/z")
    assert entries(tab) == [
        "table1/order",
        "table1/few",
        "figure1",
        "rank/z",
    ]  # the last: its address was asked for
    assert tab.locator("#shown").text_content() == f"7 of {TOTAL} entries, the first 3 shown"
    tab.click("#all")
    assert len(entries(tab)) == 7
    assert not tab.locator("#all").is_visible()
