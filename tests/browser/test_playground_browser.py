"""The playground in a real browser: the page by file://, and the widget in a real JupyterLab."""

import functools
import re
import threading
import zlib
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from lab import settle, wait_until

from ae_helpers.widgets.playground import Playground

# Keep what the worker tells last, where a test can read it.
WATCH = """window.Worker = class extends Worker {
  constructor(url) {
    super(url);
    this.addEventListener("message", ({ data }) => {
      if (data.codes) window.plane = data;
    });
  }
};"""
# Of the ten codes nearest to a 1, at least eight in ten are 1s too.
ONES_APART = """() => {
  const [codes, labels] = [window.plane?.codes, LABELS];
  if (!codes || window.plane.epoch < 2) return false;
  const ones = [...labels.keys()].filter((i) => labels[i] === 1).slice(0, 100);
  const near = (i) => [...labels.keys()]
    .map((k) => [Math.hypot(codes[2 * k] - codes[2 * i], codes[2 * k + 1] - codes[2 * i + 1]), k])
    .sort(([a], [b]) => a - b).slice(1, 11).filter(([, k]) => labels[k] === 1).length;
  return ones.reduce((sum, i) => sum + near(i), 0) >= 8 * ones.length;
}"""
TRAINED = re.compile(r"Epoch .* loss")


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    return Playground().export_html(tmp_path_factory.mktemp("page") / "playground.html")


@pytest.fixture
def open_page(open_alone, html):
    def open_it(state="", **options):
        page = open_alone(html, state, WATCH, may_ask=["blob:"], **options)  # its worker
        page.locator(".status", has_text=re.compile("loss|random")).wait_for()
        return page

    return open_it


def labels():
    """Return the labels of the digits drawn."""
    return list(zlib.decompress(Playground()._labels))[:2000]


def epoch(page):
    return float(page.locator(".status").text_content().split()[1])


def picture(page, canvas):
    return page.locator(canvas).evaluate("canvas => canvas.toDataURL()")


def said(page, words):
    page.locator(".states", has_text=words).wait_for()
    return page.locator(".states").text_content()


def test_it_starts_pauses_goes_on_and_the_ones_lie_apart(open_page):
    page = open_page()  # the seed that it opens with
    page.locator(".status", has_text=TRAINED).wait_for()
    early = picture(page, ".points")
    page.wait_for_function(ONES_APART.replace("LABELS", str(labels())), timeout=20_000)
    page.get_by_role("button", name="Pause").press("Enter")
    page.get_by_role("button", name="Start").wait_for()
    paused = epoch(page), picture(page, ".points")
    assert paused[1] != early
    page.get_by_role("button", name="One epoch").click()
    page.get_by_role("button", name="Start").wait_for()
    assert epoch(page) == pytest.approx(int(paused[0]) + 1, abs=0.01)
    assert picture(page, ".points") != paused[1]


def test_it_trains_when_it_is_hosted_and_asks_its_server_for_nothing(new_page, html):
    asked, said = [], []
    handler = functools.partial(SimpleHTTPRequestHandler, directory=html.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        address = f"http://127.0.0.1:{server.server_port}/{html.name}"
        page.goto(f"{address}#digits=500")
        page.locator(".status", has_text=TRAINED).wait_for()
        server.shutdown()
    others = [url.partition("#")[0] for url in asked if not url.startswith("blob:")]
    assert others == [address]
    assert said == []


def test_the_map_decodes_with_the_weights_of_the_moment(open_page):
    page = open_page("#seed=5&digits=500", reduced_motion="reduce")
    assert page.locator(".status").text_content().startswith("Not trained yet")
    page.locator(".map").press("ArrowRight")
    settle(page)
    grey = picture(page, ".decoded canvas")
    page.get_by_role("button", name="One epoch").press("Enter")
    page.locator(".status", has_text="Epoch 1.0").wait_for()
    settle(page)
    learned = picture(page, ".decoded canvas")
    assert learned != grey
    page.locator(".map").press("Shift+ArrowRight")
    settle(page)
    assert picture(page, ".decoded canvas") != learned


def test_planes_come_more_seldom_while_the_hand_moves_over_the_map(open_page):
    page = open_page()
    page.locator(".status", has_text=TRAINED).wait_for()
    box = page.locator(".plot").bounding_box()

    page.evaluate("""() => {
      const real = setTimeout;
      window.waits = [];
      window.setTimeout = (go, wait) => { waits.push(wait); return real(go, wait); };
    }""")

    def waits_after_a_plane(move):
        page.evaluate("() => { waits.length = 0; }")
        for k in range(60):
            if move:
                page.mouse.move(box["x"] + 100 + k, box["y"] + 100)
            page.wait_for_timeout(16)
        return page.evaluate("waits")

    in_hand = 160  # ms, in playground.js
    assert in_hand in waits_after_a_plane(move=True)
    page.wait_for_timeout(500)
    at_rest = waits_after_a_plane(move=False)
    assert 0 in at_rest and in_hand not in at_rest


def wait_until_trained(page):
    """Wait for a loss; start the network where the one before it had come to its end."""
    start = page.get_by_role("button", name="Start", exact=True)
    if start.count():
        start.click()
    page.locator(".status", has_text=TRAINED).wait_for()


def test_another_seed_and_code_begin_anew_and_stand_in_the_address_and_the_gallery(open_page):
    page = open_page("#seed=5&digits=500")
    wait_until_trained(page)
    page.get_by_role("button", name="New seed").click()
    page.locator(".gallery button", has_text="seed 5 · relu").wait_for()
    wait_until_trained(page)
    page.locator("select[name=code]").select_option("tanh")
    assert page.url.endswith("#seed=6&code=tanh&digits=500")
    page.locator(".gallery button", has_text="seed 5").click()
    assert page.url.endswith("#seed=5&digits=500")
    for _ in range(9):
        wait_until_trained(page)
        page.get_by_role("button", name="New seed").click()
    assert page.locator(".gallery button").count() == 8
    assert page.locator(".gallery button").first.text_content().startswith("seed 13 ")


def test_a_dead_unit_is_told_and_a_link_leads_to_it(open_page):
    page = open_page("#seed=21&code=relu")
    assert re.search(r"Unit [12] is dead: it is 0 for every digit\.", said(page, "dead"))
    assert page.locator("input[name=seed]").input_value() == "21"
    page.evaluate("location.hash = 'seed=21&code=linear'")
    page.locator(".status", has_text=TRAINED).wait_for()
    assert page.locator("select[name=code]").input_value() == "linear"
    assert page.locator(".states").text_content() == ""


@pytest.mark.parametrize(
    ("state", "fault"),
    [
        ("hidden=0", "hidden=0 cannot work: it must be one of 4, 8, 16"),
        ("seed=-1", "seed=-1 cannot work: it must be a whole number from 0"),
        ("rate=fast", "rate=fast cannot work: it must be a number from"),
        ("code=constructor", "code=constructor cannot work: it must be one of relu"),
        ("<b>x=%ff&&=", "There is no “<b>x” here"),
    ],
)
def test_nonsense_in_a_link_is_told_and_the_rest_works(open_page, state, fault):
    page = open_page(f"#{state}&digits=500")
    assert fault in said(page, "cannot work" if "cannot" in fault else "There is no")
    page.locator(".status", has_text=TRAINED).wait_for()
    assert page.locator("input[name=digits]").input_value() == "500"


def test_a_rate_that_blows_up_is_told_and_the_last_good_plane_stays(open_page):
    page = open_page("#seed=5&digits=500&rate=1000", reduced_motion="reduce")
    before = picture(page, ".points")
    page.get_by_role("button", name="Start").click()
    assert "The learning rate 1000 is too high" in said(page, "too high")
    assert picture(page, ".points") == before
    page.locator("input[name=rate]").fill("0.001")
    page.locator("input[name=rate]").press("Enter")
    page.get_by_role("button", name="One epoch").click()
    page.locator(".status", has_text="Epoch 1.0").wait_for()
    assert page.locator(".states").text_content() == ""


def test_it_trains_in_jupyterlab_and_its_state_is_the_kernels(lab_page, lab):
    setup = "from ae_helpers import Playground\nshown = Playground('seed=5&digits=500')\nshown"
    lab.open(
        lab_page, setup, "shown.state = 'seed=21&digits=500&code=linear'", "print(shown.state)"
    )
    lab.run(lab_page, 0)
    lab_page.get_by_role("button", name="Start", exact=True).click()
    lab_page.locator(".status", has_text=TRAINED).wait_for()
    lab.run(lab_page, 1)
    lab_page.locator(".gallery button", has_text="seed 5 · relu").wait_for()
    assert lab_page.locator("select[name=code]").input_value() == "linear"
    lab_page.locator("select[name=code]").select_option("prelu")
    wait_until(lab_page, lambda: "code=prelu" in lab.run(lab_page, 2))
