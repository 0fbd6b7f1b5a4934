"""The report of the repository's own evidence, in a real browser."""

import json
import shutil
from itertools import pairwise

import pytest

from keras_regimen.recipes.harness.evidence.discovery import shipped
from keras_regimen.recipes.harness.report.quantity import MISSING
from keras_regimen.recipes.harness.report.search_dossier import read_search
from keras_regimen.recipes.harness.report.site import write_site

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER),
        reason="needs Debian's chromium and chromium-driver",
    ),
]

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    to = tmp_path_factory.mktemp("report")
    write_site(shipped().values(), to)
    return to


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    profile = tmp_path_factory.mktemp("profile")
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability(
        "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
    )
    service = webdriver.ChromeService(executable_path=DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture
def browser(driver, site):
    """A browser that has to have stayed silent and on this machine."""
    driver.get("about:blank")
    driver.get_log("browser"), driver.get_log("performance")
    resize(driver, 1200)
    media(driver, "light")
    yield driver
    assert driver.get_log("browser") == []
    asked = [
        message["params"]["request"]["url"]
        for entry in driver.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"]
        == "Network.requestWillBeSent"
    ]
    assert asked
    own = ("data:", "about:", site.as_uri())
    assert [url for url in asked if not url.startswith(own)] == []


def resize(driver, width):
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {
            "width": width,
            "height": 800,
            "deviceScaleFactor": 1,
            "mobile": False,
        },
    )


def media(driver, scheme, kind=""):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": features, "media": kind}
    )


def find(driver, selector):
    return driver.find_elements("css selector", selector)


def shown(driver):
    return [
        element.get_attribute("href").rpartition("/")[2]
        for element in find(driver, ".recipe h3 a")
        if element.is_displayed()
    ]


def pages():
    return ["index", *shipped()]


def open_page(driver, site, name, hash_=""):
    driver.get("about:blank")  # Or only the hash would change.
    driver.get(f"{(site / name).as_uri()}.html{hash_}")


def test_the_index_filters_and_leads_to_a_recipe(browser, site):
    few = ("backpropagation", "batch_norm", "dropout", "early_stopping")
    site /= "few"
    write_site([shipped()[name] for name in few], site)
    open_page(browser, site, "index")
    everything = [f"{name}.html" for name in few]
    assert shown(browser) == everything

    (search,) = find(browser, "#q")
    search.send_keys("batch NORM")
    assert shown(browser) == ["batch_norm.html"]
    assert browser.current_url.endswith("#q=batch+NORM")
    (status,) = find(browser, "[role=status]")
    assert status.text == f"1 of {len(everything)} recipes"
    search.send_keys("\ue00c")  # Escape.
    assert shown(browser) == everything
    assert "#" not in browser.current_url

    (topic,) = find(browser, "[data-value=regularization]")
    topic.click()
    assert shown(browser) == ["dropout.html", "early_stopping.html"]
    assert topic.get_attribute("aria-pressed") == "true"
    (word,) = find(browser, "[data-value='no effect']")
    word.click()
    assert shown(browser) == ["early_stopping.html"]
    words = {e.text for e in find(browser, ".lines .word") if e.is_displayed()}
    assert words == {"no effect"}

    find(browser, ".recipe:not([hidden]) h3 a")[0].click()
    (title,) = find(browser, "h1")
    assert title.text == "Early stopping"
    browser.back()
    assert shown(browser) == ["early_stopping.html"]


def test_the_address_keeps_the_filter(browser, site):
    open_page(browser, site, "index", "#q=drop&topic=regularization")
    assert shown(browser)[0] == "dropout.html"
    (search,) = find(browser, "#q")
    assert search.get_attribute("value") == "drop"
    open_page(browser, site, "index", "#word=no+such+word")
    assert len(shown(browser)) == len(shipped())


def test_the_keyboard_is_enough(browser, site):
    open_page(browser, site, "index")
    (body,) = find(browser, "body")
    body.send_keys("/")
    active = browser.switch_to.active_element
    assert active.get_attribute("id") == "q"
    active.send_keys("backprop", "\ue004", "\ue004", "\ue004", "\ue007")
    # Past all topics and `architectures` is `basics`, which Enter presses.
    active = browser.switch_to.active_element
    assert active.get_attribute("data-value") == "basics"
    assert active.get_attribute("aria-pressed") == "true"
    assert shown(browser) == ["backpropagation.html"]
    outline = browser.execute_script(
        "return getComputedStyle(document.activeElement).outlineStyle"
    )
    assert outline == "solid"


@pytest.mark.parametrize("name", pages())
def test_no_page_is_wider_than_a_phone(browser, site, name):
    resize(browser, 360)
    open_page(browser, site, name)
    width = "return document.documentElement.scrollWidth"
    assert browser.execute_script(width) <= 360
    browser.execute_script(
        "document.querySelectorAll('details').forEach(d => d.open = true)"
    )
    assert browser.execute_script(width) <= 360


# Relative luminance and contrast, as WCAG 2 defines them, of every text
# against the nearest background that is not transparent.
CONTRAST = """
const light = (rgb) => {
  const [r, g, b] = rgb.match(/[\\d.]+/g).map((v) => {
    v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const found = getComputedStyle(e).backgroundColor;
    if (found !== "rgba(0, 0, 0, 0)") return found;
  }
};
const poor = [];
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some(
    (n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || element.closest("script, style, title, desc")) continue;
  const style = getComputedStyle(element);
  const ink = element.closest("svg") ? style.fill : style.color;
  const [a, b] = [light(ink), light(behind(element))].sort((x, y) => y - x);
  const contrast = (a + 0.05) / (b + 0.05);
  if (contrast < 4.5) poor.push([element.outerHTML.slice(0, 99), contrast]);
}
return poor;
"""


@pytest.mark.parametrize("name", ["index", "dropout", "backpropagation"])
def test_light_and_dark_differ_and_both_can_be_read(browser, site, name):
    open_page(browser, site, name)
    backgrounds = []
    for scheme in ("light", "dark"):
        media(browser, scheme)
        backgrounds.append(
            browser.execute_script(
                "return getComputedStyle(document.body).backgroundColor"
            )
        )
        assert browser.execute_script(CONTRAST) == []
    assert backgrounds[0] != backgrounds[1]


@pytest.mark.parametrize("name", pages())
def test_every_page_can_be_heard(browser, site, name):
    open_page(browser, site, name)
    mute = browser.execute_script(
        """return [...document.querySelectorAll("svg")].filter(
          (s) => !s.parentElement.closest("svg") &&
            !(s.getAttribute("role") === "img" && s.ariaLabel)
        ).map((s) => s.outerHTML.slice(0, 99))"""
    )
    assert mute == []
    levels = browser.execute_script(
        """return [...document.querySelectorAll("h1,h2,h3,h4,h5,h6")].map(
          (h) => Number(h.tagName[1]))"""
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    for above, below in pairwise(levels):
        assert below <= above + 1
    assert len(find(browser, "main")) == 1
    unnamed = browser.execute_script(
        """return [...document.querySelectorAll("button,a,input")].filter(
          (e) => !(e.textContent.trim() || e.ariaLabel ||
            e.labels?.length)).length"""
    )
    assert unnamed == 0


def test_an_arm_of_the_legend_is_turned_on_in_each_panel(browser, site):
    open_page(browser, site, "dropout")
    drawn = "#curves ~ figure .arm[data-arm=l2]"
    (button,) = find(browser, ".legend button[data-arm=l2]")[:1]
    arms = find(browser, drawn)[:6]
    assert not any("on" in a.get_attribute("class").split() for a in arms)
    browser.execute_script("arguments[0].click()", button)
    arms = find(browser, drawn)[:6]
    assert all("on" in a.get_attribute("class").split() for a in arms)
    assert button.get_attribute("aria-pressed") == "true"
    # The second condition has a legend of its own.
    other = find(browser, ".legend button[data-arm=l2]")[1]
    assert other.get_attribute("aria-pressed") == "false"


def test_a_dot_is_painted_where_its_figure_is(browser, site):
    open_page(browser, site, "dropout")
    box, zero, mean = browser.execute_script(
        """const plot = document.querySelector(".plot.paired");
        const middle = (e) => {
          const r = e.getBoundingClientRect();
          return (r.left + r.right) / 2;
        };
        const r = plot.getBoundingClientRect();
        return [[r.left, r.width], middle(plot.querySelector(".zero")),
                middle(plot.querySelector(".mean"))];"""
    )
    (plot,) = find(browser, ".plot.paired")[:1]
    share = browser.execute_script(
        "return arguments[0].querySelector('.mean').getAttribute('cx')", plot
    )
    assert mean == pytest.approx(
        box[0] + box[1] * float(share.rstrip("%")) / 100, abs=1
    )
    assert zero < mean


def test_paper_shows_what_is_folded_away(browser, site):
    open_page(browser, site, "dropout")
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    media(browser, "dark", kind="print")  # Paper is white all the same.
    assert browser.execute_script(CONTRAST) == []
    paper = "return getComputedStyle(document.body).backgroundColor"
    assert browser.execute_script(paper) == "rgb(255, 255, 255)"
    assert find(browser, "details:not([open])") == []
    assert not find(browser, ".contents")[0].is_displayed()
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert find(browser, "details[open]") == []


@pytest.fixture
def search(browser, site, hunt, about):
    """A browser that has opened the page of a model's search."""
    to = site / "searches"
    write_site([], to, searches=[read_search(hunt(about=about()))])
    open_page(browser, to, "index")
    find(browser, ".searches a")[0].click()
    return browser


def column(driver, place):
    cells = find(driver, f"table.trials tbody tr > :nth-child({place})")
    return [cell.text for cell in cells]


def sort_by(driver, place):
    (button,) = find(driver, f"table.trials th:nth-child({place}) button")
    button.send_keys("\ue007")  # Enter.


def test_a_column_of_trials_is_sorted_by_its_name(search):
    assert column(search, 1) == ["00", "01", "02"]
    sort_by(search, 2)
    assert column(search, 1) == ["01", "02", "00"]
    sort_by(search, 2)
    assert column(search, 1) == ["00", "02", "01"]
    sort_by(search, 6)
    assert column(search, 6) == ["deep", "flat", "flat"]
    sorted_by = find(search, "table.trials th[aria-sort]")
    assert [head.text.split()[0] for head in sorted_by] == ["shape"]
    # What has no value stands last, whichever way.
    for _ in range(2):
        sort_by(search, 7)
        assert column(search, 7) == ["4", MISSING, MISSING]


def test_a_search_can_be_read_on_a_phone_by_night(search):
    for scheme in ("light", "dark"):
        media(search, scheme)
        assert search.execute_script(CONTRAST) == []
    resize(search, 360)
    width = "return document.documentElement.scrollWidth"
    assert search.execute_script(width) <= 360
