#!/usr/bin/env python3
"""Owns: the page's tests in a real browser: each screen by each way, each action, hostile names and logs, both themes,
narrow screens, rules for who does not see. Without a Chromium it says so and passes. `--shots DIR` keeps pictures."""

import argparse
import pathlib
import sys
import time
import traceback

import browser
import cluster as clusters

PURE = (pathlib.Path(__file__).parent / "pure.js").read_text()
RULES = (pathlib.Path(__file__).parent / "rules.js").read_text()
SCREENS = [
    ("jobs", "#/jobs", "document.querySelectorAll('.rows .row').length >= 6"),
    ("failed", "#/jobs?state=Failed&label=app%3Ddemo", "document.querySelectorAll('.rows .row').length == 2"),
    ("indexes", "#/jobs/default/flaky?tab=indexes", "document.querySelector('.legend')?.textContent.includes('Failed 4')"),
    ("attempts", "#/jobs/default/flaky?tab=attempts&state=Failed", "document.querySelectorAll('.rows .row').length == 4"),
    ("timeline", "#/jobs/default/flaky?tab=timeline", "document.querySelector('canvas')?.ariaLabel?.startsWith('30 attempts')"),
    ("events", "#/jobs/default/toolarge?tab=events", "document.body.textContent.includes('FailedScheduling')"),
    ("manifest", "#/jobs/default/flaky?tab=manifest", "document.querySelector('pre')?.textContent.includes('completionMode: Indexed')"),
    ("why", "#/jobs/default/toolarge", "document.querySelector('.why')?.textContent.includes('Insufficient cpu')"),
    ("nodes", "#/nodes", "document.querySelectorAll('.rows .row').length == 3"),
    ("node", "#/nodes/node-1", "document.querySelectorAll('.rows .row').length >= 1"),
    ("cronjobs", "#/cronjobs", "document.body.textContent.includes('03:30')||document.body.textContent.includes('(in ')"),
    ("queues", "#/queues", "document.body.textContent.includes('There is no Queue')"),
]


class Checks:
    def __init__(self, shots):
        self.shots = shots
        self.passed = self.failed = 0

    def __call__(self, name, work, *given):
        start = time.monotonic()
        try:
            work(*given)
            self.passed += 1
            print(f"ok     {name}, {1000 * (time.monotonic() - start):.0f} ms", flush=True)
        except Exception:
            self.failed += 1
            print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)

    def shot(self, page, name):
        if self.shots:
            page.shot(f"{self.shots}/{name}.png")


def sign_in(page, address, token):
    page.go(address)
    if token:
        page.wait("the form", "document.getElementById('token')")
        page.run(f"document.getElementById('token').value = '{token}'; document.querySelector('form button').click()")
    page.wait("the list of Jobs", "document.querySelectorAll('.rows .row').length > 3")


def show(page, hash, condition):
    page.run(f"location.hash = '{hash}'")
    page.wait(hash, condition)


def kept_to(page):
    """The rules for who does not see the page as we do hold."""
    broken = page.run(RULES)
    assert not broken, broken


def screen(page, check, way, name, hash, condition, theme, width):
    page.size(width, 800)
    page.theme(theme)
    show(page, hash, condition)
    check.shot(page, f"{way.replace(' ', '-')}-{name}-{theme}-{width}")
    kept_to(page)


def hostile(page, cluster):
    """Names, annotations and logs that are markup stay text."""
    show(page, "#/jobs/default/hostile?tab=manifest", "document.querySelector('pre')?.textContent.includes('onerror')")
    pod = next(line.split()[0] for line in cluster.run("get", "pods", "-l", "job-name=hostile").splitlines()[1:])
    show(page, f"#/logs/default/{pod}/main", "document.querySelector('.log')?.textContent.includes('<script>alert(2)')")
    assert page.run("document.querySelectorAll('main img, main script').length") == 0
    assert page.run("document.querySelector('.log .c1')?.textContent") == "red"
    kept_to(page)
    assert "title" not in page.run("document.querySelector('.log').textContent")


def logs(page, cluster):
    pod = next(line.split()[0] for line in cluster.run("get", "pods", "-l", "job-name=talker").splitlines()[1:])
    show(page, f"#/logs/default/{pod}/main", "document.querySelector('.log')?.textContent.includes('tick-')")
    kept_to(page)
    first = page.run("document.querySelector('.log').textContent")
    page.wait("it follows", f"document.querySelector('.log').textContent !== {first!r}")
    page.run("[...document.querySelectorAll('button')].find(b => b.textContent === 'All').click()")
    page.wait("all lines", "/[23],\\d\\d\\d lines/.test(document.querySelector('.bar-of-tools').textContent)")
    page.press("/")
    for key in "line 77":
        page.press(key)
    page.wait("what was found", "document.querySelectorAll('mark').length > 0 && / of \\d+/.test(document.body.textContent)")
    page.run("document.querySelector('.log').focus()")
    page.run("[...document.querySelectorAll('button')].find(b => b.textContent === 'Time stamps').click()")
    page.wait("times", "/\\d{4}-\\d\\d-\\d\\dT/.test(document.querySelector('.log').textContent)")
    page.run("[...document.querySelectorAll('button')].find(b => b.textContent === 'Wrap').click()")
    page.wait("wrapped lines", "document.querySelector('.log.wrapped .line')")


def press_button(page, label, choice=None):
    button = f"document.querySelector('[aria-label=\"{label}\"]')"
    page.wait(label, button)
    page.run(f"{button}.click()")
    page.wait("the question", "document.querySelector('dialog[open] h2')")
    assert page.run("document.querySelector('dialog').contains(document.activeElement)")
    if choice:
        page.run(f"document.querySelector('dialog input[value={choice}]').click()")
    page.run("document.querySelector('dialog .buttons button:last-child').click()")
    page.wait("the dialog has gone", "!document.querySelector('dialog')")


def actions(page, cluster):
    show(page, "#/jobs/default/talker", "document.querySelector('h1')?.textContent.includes('talker')")
    press_button(page, "Suspend talker")
    page.wait("it is suspended", "document.querySelector('.title .suspended')")
    assert cluster.job("talker")["spec"]["suspend"]
    press_button(page, "Resume talker")
    clusters.wait("it runs again", lambda: not cluster.job("talker")["spec"]["suspend"])
    show(page, "#/jobs/default/flaky", "document.querySelector('h1')?.textContent.includes('flaky')")
    press_button(page, "Retry flaky", "failed")
    assert cluster.job("flaky-rerun-1")["metadata"]["annotations"]["stint.dev/indexes"] == "3,10,17,24"
    show(page, "#/cronjobs", "document.querySelectorAll('.rows .row').length == 1")
    press_button(page, "Run now nightly")
    clusters.wait("a Job of the CronJob", lambda: "nightly-manual-" in cluster.run("get", "jobs"))
    show(page, "#/nodes/node-2", "document.querySelector('h1')?.textContent === 'node-2'")
    press_button(page, "Cordon node-2")
    page.wait("it is cordoned", "document.querySelector('.title .cordoned')")
    press_button(page, "Uncordon node-2")
    page.wait("it is not", "document.querySelector('.title .ready')")
    press_button(page, "Drain node-2")
    page.wait("it is cordoned", "document.querySelector('.title .cordoned')")
    cluster.run("uncordon", "node-2")
    show(page, "#/jobs", "document.querySelectorAll('.rows .row').length > 5")
    press_button(page, "Delete done", "Foreground")
    page.wait("the row has gone", "!document.querySelector('[aria-label=\"Delete done\"]')")


def pure(page, cluster):
    differs = page.run(PURE)
    assert not differs, differs


def role(page, cluster):
    """Who may only read sees no buttons that change anything."""
    show(page, "#/jobs/default/toolarge", "document.querySelector('h1')?.textContent.includes('toolarge')")
    page.wait("what the role allows is known", "document.querySelector('.buttons') && !document.querySelector('.buttons[aria-busy]')")
    assert page.run("document.querySelectorAll('.buttons button').length") == 0


def guest(page, cluster):
    """Who may not list all namespaces names one."""
    page.run(f"sessionStorage.setItem('stint-token', '{cluster.guest()}'); location.hash = '#/jobs'; location.reload()")
    page.wait("what is to be done", "document.body?.textContent.includes('name a namespace above')")
    page.run("document.getElementById('namespace').value = 'default';"
             "document.getElementById('namespace').dispatchEvent(new Event('change'))")
    page.wait("its Jobs", "document.querySelectorAll('.rows .row').length > 3")


def cut(page, cluster):
    """Without a connection it says so; with one again it goes on by itself."""
    show(page, "#/jobs", "document.querySelectorAll('.rows .row').length > 3")
    page.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    show(page, "#/nodes", "document.getElementById('link').textContent === 'Not connected'")
    page.call("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    page.wait("it goes on", "document.getElementById('link').textContent === '' && document.querySelectorAll('.rows .row').length == 3")


def content(complaints):
    assert not complaints, complaints


def keyboard(page, cluster):
    page.size(1280, 800)
    show(page, "#/jobs", "document.activeElement?.classList.contains('table')")
    page.wait("rows", "document.querySelectorAll('.rows .row').length > 3")
    page.press("j")
    page.press("j")
    page.wait("the cursor", "document.querySelector('.cursor')")
    page.press("Enter")
    page.wait("a Job's page", "location.hash.startsWith('#/jobs/default/')")
    page.press("g")
    page.press("n")
    page.wait("the nodes", "location.hash === '#/nodes'")
    page.press("?")
    page.wait("the keys", "document.querySelector('dialog kbd')")
    page.press("Escape")
    page.wait("no keys", "!document.querySelector('dialog')")


def live(page, cluster):
    show(page, "#/jobs?q=newcomer", "document.body.textContent.includes('No Job matches')")
    cluster.run("create", "job", "newcomer", "--image", "host", "--", "true")
    page.wait("the new Job", "document.querySelectorAll('.rows .row').length == 1")
    page.wait("it completes", "document.querySelector('.rows .complete')")
    cluster.run("delete", "job", "newcomer")
    page.wait("it has gone", "document.querySelectorAll('.rows .row').length == 0")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stint", default=str(clusters.ROOT / ".build" / "release" / "stint"))
    parser.add_argument("--shots")
    options = parser.parse_args()
    program = browser.find()
    if not program:
        print("skipped: the page (there is no Chromium)")
        return 0
    check = Checks(options.shots)
    with clusters.Cluster(options.stint) as cluster, browser.Browser(program, "--ignore-certificate-errors") as chromium:
        cluster.fill()
        for way, address, token in cluster.ways():
            page = chromium.page()
            page.size(1280, 800)
            check(f"{way}: first content", sign_in, page, address, token)
            for name, hash, condition in SCREENS:
                for theme, width in (("light", 1280), ("dark", 1280), ("light", 390)):
                    if way == "stint ui" or (theme, width) == ("light", 1280):
                        check(f"{way}: {name}, {theme}, {width}", screen, page, check, way, name, hash, condition, theme, width)
            page.size(1280, 800)
            for one in (pure, logs, hostile, live, keyboard, role if token else actions):
                check(f"{way}: {one.__name__}", one, page, cluster)
            complaints = [line for line in page.complaints() if "401" not in line and "favicon" not in line]
            check(f"{way}: the browser has nothing to complain of", content, complaints)
            check(f"{way}: cut", cut, page, cluster)
            if token:
                check(f"{way}: guest", guest, page, cluster)
            cluster.restore()
    print(f"{check.passed} passed, {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
