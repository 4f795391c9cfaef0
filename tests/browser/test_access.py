"""The site for everybody: what axe-core finds, the keyboard alone, calm, and a map in words."""

import re
from importlib.resources import files

import make_site
import pytest
from lab import settle, wake
from test_site import SLUGS

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
BAD = ("serious", "critical")
PAGES = ["index", "playground", "glossary", "teaching", "latent_map", *SLUGS]


def faults(page, rules=()):
    """What axe-core finds on the page that keeps people out, by all rules or some, a line each."""
    page.evaluate(AXE)  # on the whole page: to leave out a part takes axe-core longer
    options = {"resultTypes": ["violations"]} | ({"runOnly": [*rules]} if rules else {})
    found = page.evaluate("options => axe.run(document, options)", options)["violations"]
    return [
        f"{page.url.split('/')[-1]}: {rule['id']} ({rule['impact']}) at {node['target']}"
        for rule in found
        for node in rule["nodes"]
        if rule["impact"] in BAD
    ]


# axe-core does not tell the contrast of what stands on a gradient, and what scrolls has one at
# its sides.
NO_GRADIENTS = "* { background-image: none !important }"
# It spends most of its time on the tokens of code. In one block, those of a kind have the same
# colours: one of them is enough.
ONE_TOKEN_OF_A_KIND = """() => {
  for (const block of document.querySelectorAll(".highlight")) {
    const kinds = new Set();
    for (const token of block.querySelectorAll("span[class]")) {
      if (kinds.has(token.className)) token.replaceWith(...token.childNodes);
      kinds.add(token.className);
    }
  }
}"""


@pytest.fixture(scope="module", params=PAGES)
def opened(site, browser, request):
    """Each page of the site in turn, opened once for all that looks at it, with no error."""
    context, errors = browser.new_context(), []
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((site / f"{request.param}.html").as_uri())
    wake(page)
    page.add_style_tag(content=NO_GRADIENTS)
    page.evaluate(ONE_TOKEN_OF_A_KIND)
    yield page
    context.close()
    assert errors == []


def test_no_page_is_forgotten_here(site):
    assert sorted(path.stem for path in site.glob("*.html")) == sorted(PAGES)


@pytest.mark.parametrize("scheme, rules", [("light", ()), ("dark", ["color-contrast"])])
def test_axe_finds_nothing_serious_on_any_page(opened, scheme, rules):
    opened.emulate_media(color_scheme=scheme)  # in the dark only colours differ
    assert faults(opened, rules) == []


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


# ---- The keyboard alone ----

# Everything on a page that can be used, also in the widgets' shadow trees, with its visible box.
USABLE = """() => {
  const found = [];
  const walk = (root) => {
    for (const node of root.querySelectorAll("*")) {
      if (node.shadowRoot) walk(node.shadowRoot);
      if (!node.matches("a[href], button, input, select, textarea, summary, [tabindex]")) continue;
      const closed = node.closest("details:not([open])");
      const hidden = closed && node !== closed.querySelector("summary");
      const group = node.type === "radio" && !node.checked;  // arrow keys lead to these
      if (!hidden && !group && !node.disabled && node.tabIndex >= 0 && node.checkVisibility())
        found.push(node);
    }
  };
  walk(document);
  window.usable = new Set(found);
  return found.length;
}"""
FOCUSED = """() => {
  let node = document.activeElement;
  while (node?.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  usable.delete(node);
  const ring = (one) => one && getComputedStyle(one).outlineStyle !== "none";
  const seen = ring(node) || ring(node.querySelector(".plot"));
  return [usable.size, seen ? "" : node.outerHTML.slice(0, 80)];
}"""


def test_the_tab_key_leads_to_everything_on_every_page_and_shows_where_it_is(opened):
    opened.evaluate("() => scrollTo(0, 0)")
    count, unseen = opened.evaluate(USABLE), set()
    for _ in range(count + 5):
        opened.keyboard.press("Tab")
        left, without_ring = opened.evaluate(FOCUSED)
        unseen.add(without_ring)
        if not left:
            break
    assert opened.evaluate("() => [...usable].map(node => node.outerHTML.slice(0, 80))") == []
    assert unseen == {""}


def test_what_opens_by_keys_closes_by_keys_and_gives_the_place_back(site, new_page):
    page = new_page()
    page.goto((site / "01_data.html").as_uri())
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**#main")  # the first key skips the header
    page.locator("a.zoom").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("dialog[open]").count() == 1
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    assert page.evaluate("() => document.activeElement.matches('a.zoom')")
    page.locator("#search").focus()
    page.keyboard.type("average digit")
    page.locator("#found a").first.wait_for()
    page.keyboard.press("Tab")
    page.evaluate("""() => document.querySelector("script[src='search_index.js']").onload()""")
    page.keyboard.press("Enter")  # the result is still there if the index tells late that it came
    page.wait_for_url("**#the-average-digit")


def test_the_map_is_walked_by_keys_and_says_its_state_in_words(site, new_page):
    page = new_page()
    page.goto((site / "index.html").as_uri())
    page.get_by_label("article").focus()
    page.keyboard.press("ArrowDown")  # chooses the other plane
    page.locator("#plane-07_deep .map").focus()
    told = page.locator("#plane-07_deep .told")
    assert told.get_attribute("aria-live") == "polite"
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function(
        "() => /z₁ = .+ z₂ = .+ Decoded. Nearest original: \\d./.test("
        "document.querySelector('#plane-07_deep .live > div').shadowRoot"
        ".querySelector('.told').textContent)"
    )
    before = told.inner_text()
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Enter")
    page.locator("#plane-07_deep .walk").wait_for()
    page.wait_for_function(
        "before => document.querySelector('#plane-07_deep .live > div').shadowRoot"
        ".querySelector('.told').textContent !== before",
        arg=before,
    )


def test_nothing_moves_by_itself_for_those_who_ask_for_calm(site, new_page):
    page = new_page(reduced_motion="reduce")
    for path in sorted(site.glob("*.html")):
        page.goto(path.as_uri())
        wake(page)
        assert page.evaluate("() => document.getAnimations().length") == 0, path.name
    page.goto((site / "index.html").as_uri())
    page.locator(".map:visible").focus()
    for key in ("Enter", "Shift+ArrowRight", "Shift+ArrowUp", "Enter"):
        page.keyboard.press(key)
    place = page.locator(".place:visible").inner_text()
    settle(page)
    page.wait_for_timeout(300)
    assert page.locator(".place:visible").inner_text() == place, "the walk has no film"


# ---- Contrast in what axe-core does not see: the texts drawn on the map ----

CONTRASTS = """map => {
  const root = map.getRootNode();
  const bare = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const luminance = (colour) => {
    bare.fillStyle = colour;
    bare.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...bare.getImageData(0, 0, 1, 1).data].map((v) => {
      const c = v / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = luminance(getComputedStyle(root.querySelector(".plot")).backgroundColor);
  return [...root.querySelectorAll("svg text")].map((text) => {
    const ink = luminance(getComputedStyle(text).fill);
    return [text.textContent, (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05)];
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_on_the_map_stands_out_from_its_paper(site, new_page, scheme):
    page = new_page(color_scheme=scheme)
    page.goto((site / "index.html").as_uri())
    wake(page)
    found = page.locator(".map:visible").evaluate(CONTRASTS)
    assert len(found) > 15
    assert [(text, contrast) for text, contrast in found if contrast < 4.5] == []


# ---- The links of the teachers' page ----

SITUATIONS = re.findall(
    r"\[([^]]+)\]\(https://[^)]+/(\w+\.html)#(\S*?=\S*?)\)",
    (make_site.SOURCES.parent / "teaching.md").read_text(),
)


@pytest.mark.parametrize("name, file, state", dict.fromkeys(SITUATIONS))
def test_a_link_of_the_teachers_page_opens_the_situation_that_it_names(
    site, new_page, name, file, state
):
    page = new_page(viewport={"width": 1400, "height": 900})
    page.goto(f"{(site / file).as_uri()}#{state}")
    wake(page)
    values = dict(pair.split("=") for pair in state.split("&"))
    if file == "index.html":
        plane = values.get("plane", "article")
        assert page.locator(".switch input:checked").get_attribute("value") == plane
        told = page.locator(f"#plane-{plane} .place").inner_text()
        found = [float(z.replace("−", "-")) for z in re.findall(r"= (\S+)", told)]
        assert found == [float(z) for z in values["z"].split(",")]
        return
    page.locator("input[name=seed]").wait_for()
    for field, value in values.items():
        assert page.locator(f"[name={field}]").input_value() == value
    assert page.locator(".states").inner_text() == "", "the playground refuses nothing of it"
    page.get_by_role("button", name="One epoch").click()
    said = page.locator(".states")
    if values == {"seed": "21"}:
        said.filter(has_text="is dead").wait_for()
    elif values.get("rate") == "1":
        said.filter(has_text="The learning rate 1 is too high").wait_for()
    else:
        page.locator(".status", has_text="Epoch 1.0").wait_for()
        assert ("dead" in said.inner_text()) == (values == {"seed": "6"})
