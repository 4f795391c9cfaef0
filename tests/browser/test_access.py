"""The site for everybody: what axe-core finds, the keyboard alone, calm, and a map in words."""

from importlib.resources import files

import pytest
from lab import wake

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
BAD = ("serious", "critical")


def faults(page):
    """What axe-core finds on the page that keeps people out, a line each."""
    page.evaluate(AXE)
    found = page.evaluate("() => axe.run({ resultTypes: ['violations'] })")["violations"]
    return [
        f"{page.url.split('/')[-1]}: {rule['id']} ({rule['impact']}) at {node['target']}"
        for rule in found
        for node in rule["nodes"]
        if rule["impact"] in BAD
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(site, new_page, scheme):
    page, found = new_page(color_scheme=scheme), []
    for path in sorted(site.glob("*.html")):
        page.goto(path.as_uri())
        wake(page)
        found += faults(page)
    assert found == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_what_opens_on_a_page(site, new_page, scheme):
    page, found = new_page(color_scheme=scheme), []
    page.goto((site / "index.html").as_uri())
    page.get_by_label("deeper").check()
    page.get_by_label("Search").fill("loss")
    page.locator("#found a").first.wait_for()
    wake(page)
    found += faults(page)
    page.goto((site / "01_data.html").as_uri())
    page.locator("a.zoom").first.click()
    found += faults(page)
    assert found == []
