// Owns: what the page's pure modules must answer, asked in the browser that has loaded them. Returns what differs.

(async () => {
  const [words, filter, yaml, ansi, lines, schedule, indexes, route, model, why] = await Promise.all(
    ["words", "filter", "yaml", "ansi", "lines", "schedule", "indexes", "route", "model", "why"].map((name) => import(`./${name}.js`)));
  const found = [];
  const same = (what, is, wanted) => {
    if (JSON.stringify(is) !== JSON.stringify(wanted)) found.push(`${what}: ${JSON.stringify(is)}, not ${JSON.stringify(wanted)}`);
  };

  same("durations as kubectl's", [0, 119, 150, 600, 7200, 20000, 90000, 200000].map((s) => words.duration(s * 1000)),
    ["0s", "119s", "2m30s", "10m", "120m", "5h33m", "25h", "2d"]);
  same("amounts", ["500m", "2Gi", "1e3", "3", "x", undefined].map(words.amount), [0.5, 2147483648, 1000, 3, 0, 0]);
  same("ranges", words.ranges("1-3,7,9-12", 11), [[1, 3], [7, 7], [9, 10]]);
  same("ranges as text", words.rangesText([1, 2, 3, 7, 9, 10]), "1-3,7,9-10");

  const row = { name: "a", namespace: "n", labels: { app: "x", tier: "" }, owner: "CronJob/c", state: "Failed" };
  const shows = (settings) => filter.filterOf(settings)(row);
  same("selectors", ["app=x", "app==x,tier", "app!=x", "!gone", "app in (x, y)", "app notin (x)", "gone!=1", "constructor"]
    .map((label) => shows({ label })), [true, true, false, true, true, false, true, false]);
  same("what is no selector", filter.filterOf({ label: "a b" }).problem, '"a b" is no label selector');
  same("text, state, owner", [shows({ q: "CRON a" }), shows({ state: "Running" }), shows({ owner: "cronjob/" }), shows({ ns: "m" })],
    [true, false, true, false]);

  same("yaml", yaml.yaml({ a: "x y", b: "true", c: 1, d: [], e: { f: "l1\nl2\n", g: null }, h: [{ i: ": ", j: [1, "-"] }], k: "é" }),
    'a: x y\nb: "true"\nc: 1\nd: []\ne:\n  f: |\n    l1\n    l2\n  g: null\nh:\n- i: ": "\n  j:\n  - 1\n  - "-"\nk: "é"\n');

  same("colours", ansi.pieces("a\x1b[1;31mb\x1b[0mc\x1b]0;title\x07d\x1b[2Ke\r"),
    [{ text: "a", style: "" }, { text: "b", style: "bold c1" }, { text: "c", style: "" }, { text: "d", style: "" }, { text: "e", style: "" }]);
  same("256 colours", ansi.pieces("\x1b[38;5;2mx\x1b[38;2;1;31;3my").map((one) => one.style), ["c2", "c2"]);
  same("no markup of a log", ansi.pieces("<b>")[0].text, "<b>");

  const kept = new lines.Lines(3 << 20);
  const bytes = (text) => new TextEncoder().encode(text);
  kept.append(bytes("one\ntw"));
  kept.append(bytes("o\n\nfo"));
  same("lines in pieces", [kept.count, ...[0, 1, 2, 3].map((place) => kept.line(place))], [4, "one", "two", "", "fo"]);
  for (let number = 0; number < 60000; number++) kept.append(bytes(`ur ${number} ${"x".repeat(90)}\n`));
  same("the oldest go", [kept.dropped > 10000, kept.bytes <= 4 << 20, kept.line(kept.count - 1).slice(0, 8)], [true, true, "ur 59999"]);
  const hits = [];
  await kept.find("UR 5999", () => Promise.resolve(), () => true, (place) => hits.push(kept.line(place).split(" ")[1]));
  same("searching", hits, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((last) => `5999${last}`));
  const long = new lines.Lines();
  for (let piece = 0; piece < 40; piece++) long.append(bytes("y".repeat(65536)));
  same("a line without an end", [long.bytes, long.count > 1, long.line(0).length], [40 * 65536, true, 20000]);

  const next = (text, zone, from) => {
    const moment = schedule.next(text, zone, Date.parse(from));
    return moment === null ? null : new Date(moment).toISOString();
  };
  same("schedules", [
    next("*/15 * * * *", "", "2026-03-01T10:01:00Z"), next("30 3 * * 1-5", "Europe/Berlin", "2026-07-03T12:00:00Z"),
    next("0 0 13 * fri", "", "2026-03-01T00:00:00Z"), next("@monthly", "Asia/Kolkata", "2026-01-15T00:00:00Z"),
    next("30 2 29 3 *", "Europe/Berlin", "2026-01-01T00:00:00Z"), next("0 0 30 2 *", "", "2026-01-01T00:00:00Z"), next("x", "", "2026-01-01T00:00:00Z"),
  ], ["2026-03-01T10:15:00.000Z", "2026-07-06T01:30:00.000Z", "2026-03-06T00:00:00.000Z", "2026-01-31T18:30:00.000Z",
    "2027-03-29T00:30:00.000Z", null, null]);

  const grid = new indexes.Indexes(6);
  const attempt = (uid, index, state, created) => ({ uid, index, state, created, phase: state, name: uid, node: "n", code: null });
  grid.takeJob({ metadata: { annotations: { "stint.dev/indexes": "0-4" } }, status: { completedIndexes: "1", failedIndexes: "2" } });
  grid.takePods([attempt("a", 3, "Failed", "1"), attempt("b", 3, "Running", "2"), attempt("c", 4, "Running", "1"), attempt("d", 1, "Running", "3")]);
  same("indexes", [...grid.now].map((state) => indexes.states[state]), ["Not started", "Succeeded", "Failed", "Retried", "Running", "Left out"]);

  same("addresses", route.read(route.address(["jobs", "n/1", "a?b"], { q: "x&y", no: "" })), { parts: ["jobs", "n/1", "a?b"], settings: { q: "x&y" } });

  const job = { metadata: {}, spec: { suspend: true }, status: {} };
  same("states", [model.jobState(job), model.jobState({ metadata: {}, spec: {}, status: {} }),
    model.jobState({ metadata: {}, spec: {}, status: { startTime: "x", active: 1, ready: 0 } })], ["Suspended", "Waiting", "Waiting"]);
  same("why", why.why(job, []), ["It is suspended: it has no pods until it is resumed."]);
  return found;
})();
