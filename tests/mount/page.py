#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The status page in a real browser: what a person reads while all is well and while a store is away.

MANGROVE_SCREENSHOTS names a folder that keeps the pictures."""

import json
import os
import sys
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from browser import Browser  # noqa: E402
from rig import Rig, main, wait_until, write_file  # noqa: E402

CARD = "document.querySelector('[data-store=azure]')"


def picture(browser, rig, name):
    folder = os.environ.get("MANGROVE_SCREENSHOTS") or rig.tmp
    return browser.screenshot(os.path.join(folder, name + ".png"))


def colours(browser):
    return browser.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")


def luminance(colour):
    r, g, b = (int(part.strip(" rgba()")) / 255 for part in colour.split(",")[:3])
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (r, g, b)]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear))


def contrasts(browser):
    """Of every text on the page with what is behind it."""
    rows = browser.evaluate("""[...document.querySelectorAll('body *')].filter(e => e.checkVisibility() &&
        [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())).map(e => {
            let back = e;
            while (back && getComputedStyle(back).backgroundColor === 'rgba(0, 0, 0, 0)') back = back.parentElement;
            return [e.textContent.slice(0, 30), getComputedStyle(e).color, getComputedStyle(back || document.body).backgroundColor];
        })""")
    for text, fore, back in rows:
        high, low = sorted((luminance(fore), luminance(back)), reverse=True)
        yield text, (high + 0.05) / (low + 0.05)


def test_the_page_of_a_mount():
    with Browser() as browser, Rig() as rig:
        m = rig.mount("listen=127.0.0.1:0")
        base = f"http://{m.status()['mount']['listen']}/"
        write_file(m.path("f"), os.urandom(5 << 20), sync=True)
        browser.open(base)
        browser.wait("document.getElementById('state').textContent === 'healthy'")
        assert browser.evaluate("document.title") == f"{rig.name} · mangrove"
        assert browser.evaluate("[...document.querySelectorAll('[data-store]')].map(e => e.dataset.store)") == ["aws", "azure", "google"]
        text = browser.evaluate("document.body.innerText")
        for word in (m.dir, "Journal", "Cache", "Programs", "Volume", "Latency", "Missing copies", "Cost", "this mount"):
            assert word in text, f"{word}: {text}"
        # Live: what is written moves the line, within the page's second.
        browser.wait("document.querySelector('[data-store=aws] path.write').getAttribute('d').split('L').length > 3")
        write_file(m.path("g"), os.urandom(20 << 20), sync=True)
        browser.wait("/at most [0-9.]+ MB/.test(document.querySelector('[data-store=aws] svg').getAttribute('aria-label'))")
        light = colours(browser)
        assert len(zlib.compress(picture(browser, rig, "page-light"))) > 10000, "an empty picture"
        for text, contrast in contrasts(browser):
            assert contrast >= 4.5, f"{text!r} can hardly be read: {contrast:.1f}"

        os.rename(rig.folder("azure"), rig.folder("azure") + ".away")
        write_file(m.path("h"), os.urandom(5 << 20), sync=True)
        browser.wait(f"{CARD}.innerText.includes('down') && !{CARD}.innerText.includes('Missing copies\\nnone')")
        assert browser.evaluate("document.getElementById('state').textContent") == "degraded"
        assert "azure does not answer" in browser.evaluate("document.getElementById('say').textContent")
        assert browser.evaluate("document.title").startswith("▲")
        browser.scheme("dark")
        assert luminance(colours(browser)[0]) < 0.1 < 0.5 < luminance(light[0])
        for text, contrast in contrasts(browser):
            assert contrast >= 4.5, f"{text!r} can hardly be read in the dark: {contrast:.1f}"
        picture(browser, rig, "page-dark-azure-down")
        browser.width(390)
        assert browser.evaluate("document.documentElement.scrollWidth <= 390"), "wider than a telephone"
        picture(browser, rig, "page-small")

        os.rename(rig.folder("azure") + ".away", rig.folder("azure"))
        browser.wait("document.getElementById('state').textContent === 'healthy'")
        assert all(url.startswith(base) or url.startswith("data:") for url in browser.requests), browser.requests
        assert not browser.complaints, browser.complaints
        m.umount()
        browser.wait("document.getElementById('state').textContent === 'no answer'")


def test_the_page_of_buckets():
    """A mount without a volume: no journal, its buckets in a table."""
    with Browser() as browser, Rig(formatted=False) as rig:
        place = os.path.join(rig.tmp, "place")
        os.makedirs(place)
        write_file(os.path.join(rig.folder("aws"), "<b>bold"), b"x")
        rig.run("mount", f"raw=file://{rig.folder('aws')}", place, "-o", f"cache_dir={rig.tmp}/c,listen=127.0.0.1:0")
        try:
            wait_until(lambda: os.listdir(place) == ["raw"], "the mount")
            assert os.listdir(os.path.join(place, "raw")) == ["<b>bold"]
            browser.open(f"http://{json.loads(rig.run('status', place, '--json').stdout)['mount']['listen']}/")
            browser.wait("document.getElementById('buckets').innerText.includes('raw')")
            text = browser.evaluate("document.body.innerText")
            assert "Journal" not in text and "Cache" in text, text
            assert not browser.complaints, browser.complaints
        finally:
            rig.run("umount", place)


main()
