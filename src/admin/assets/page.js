// The status page: takes events, keeps 15 minutes of rows, and draws. Everything that a request or the configuration brought is
// set as text, never as markup.
"use strict";

const byId = (id) => document.getElementById(id);
const MINUTES_KEPT = 15;

// The columns of a row, as `events/row.rs` makes them.
const [AT, OFFERED, SERVED, FAILED, THROTTLED, RETRIED, WINDOW, IN_FLIGHT, WAITING, BUDGET, P50, P99] = Array(12).keys();

const whole = new Intl.NumberFormat("en");
const rate = (n) => n == null ? "–" : n >= 100 || Number.isInteger(n) ? whole.format(Math.round(n)) : n.toFixed(1);
const count = (n) => n == null ? "–" : whole.format(Math.round(n));
const seconds = (s) => s == null ? "–" : s === 0 ? "0" : s < 1 ? `${Math.round(s * 1000)} ms` : `${s.toFixed(s < 10 ? 2 : 1)} s`;
const percent = (share) => share == null ? "–" : `${Math.round(share * 100)} %`;
const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

// One element: its name, its class, its children; strings become text.
function make(name, className, ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

const CHARTS = [
  { title: "Requests per second", format: rate, least: 5, series: [
    { name: "offered", column: OFFERED, colour: "ink", width: 1.5 },
    { name: "served", column: SERVED, colour: "good", fill: true },
    { name: "throttled", column: THROTTLED, colour: "bad" },
    { name: "retried", column: RETRIED, colour: "blue", dash: [4, 3] },
  ] },
  { title: "In flight and waiting", format: count, least: 5, series: [
    { name: "waiting", column: WAITING, colour: "warn", fill: true, join: Math.max },
    { name: "in flight", column: IN_FLIGHT, colour: "blue", join: Math.max },
    { name: "window", column: WINDOW, colour: "ink", dash: [4, 3], join: Math.min },
  ] },
  { title: "How long requests waited", format: seconds, least: 0.1, axis: (s) => s === 0 ? "0" : s < 1 ? `${Math.round(s * 1000)} ms` : `${+s.toFixed(1)} s`, series: [
    { name: "p99", column: P99, colour: "warn", fill: true, join: Math.max },
    { name: "p50", column: P50, colour: "good" },
  ] },
  { title: "Retry budget left", format: percent, top: 1, series: [
    { name: "budget", column: BUDGET, colour: "good", fill: true, join: Math.min },
  ] },
];

let rows = [];
let now = null;
let explained = [];
let span = 900;
let only = "notable";
let source = null;
let lastHeard = 0;

// ---- charts

const colour = (name, suffix = "") =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name === "ink" ? "faint" : name}${suffix}`).trim();

// The rows of the time shown; long spans are joined to five seconds, so that a line stays one.
function shownRows() {
  const last = rows.at(-1)?.[AT] ?? 0;
  const shown = rows.filter((row) => row[AT] > last - span);
  if (shown.length < 310) return shown;
  const joined = new Map();
  for (const row of shown) {
    const slot = Math.floor(row[AT] / 5);
    if (!joined.has(slot)) joined.set(slot, []);
    joined.get(slot).push(row);
  }
  return [...joined.values()].map((group) => joinRows(group));
}

const JOINS = new Map(CHARTS.flatMap((chart) => chart.series.map((series) => [series.column, series.join])));

function joinRows(group) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return group[0].map((_, column) => {
    if (column === AT) return group.at(-1)[AT];
    const values = group.map((row) => row[column]).filter((value) => value != null);
    if (values.length === 0) return null;
    const join = JOINS.get(column);
    return join ? join(...values) : mean(values);
  });
}

function xRange() {
  const last = rows.at(-1)?.[AT] ?? Date.now() / 1000;
  const known = last - (rows[0]?.[AT] ?? last);
  return [last - Math.min(span, Math.max(known, 30)), last];
}

function timeLabels(plot, splits, _, __, step) {
  const options = { hour: "2-digit", minute: "2-digit", ...(step < 60 ? { second: "2-digit" } : {}) };
  // The edge would cut a label there.
  const { min, max } = plot.scales.x;
  const edge = max - (max - min) * 26 / Math.max(plot.width - 60, 60);
  return splits.map((at) => at > edge ? "" : new Date(at * 1000).toLocaleTimeString("en-GB", options));
}

function drawKeys(chart) {
  const at = chart.plot.cursor.idx ?? chart.plot.data[0].length - 1;
  chart.series.forEach((series, index) => {
    series.value.textContent = chart.format(chart.plot.data[index + 1][at]);
  });
}

function makeChart(chart) {
  const axis = { stroke: colour("faint"), font: "12px Inter, system-ui, sans-serif", ticks: { show: false }, grid: { stroke: colour("grid"), width: 1 } };
  const options = {
    width: chart.holder.clientWidth || 300, height: 168, padding: [6, 2, 0, 0],
    legend: { show: false },
    cursor: { y: false, sync: { key: "redrive" }, points: { size: 6 }, drag: { x: false, y: false } },
    scales: {
      x: { time: true, range: xRange },
      // A quiet chart keeps its scale: one request must not look like a mountain.
      y: { range: (_, __, max) => [0, chart.top ?? Math.max(max * 1.08, chart.least)] },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 24, gap: 4, space: 74, values: timeLabels },
      { ...axis, size: 52, gap: 6, space: 34, values: (_, splits) => splits.map(chart.axis ?? ((value) => value === 0 ? "0" : chart.format(value))) },
    ],
    series: [{}, ...chart.series.map((series) => ({
      stroke: colour(series.colour), width: series.width ?? 1.75, dash: series.dash, points: { show: false },
      fill: series.fill ? colour(series.colour, "-wash") : undefined,
    }))],
    hooks: { setCursor: [() => drawKeys(chart)] },
  };
  chart.plot?.destroy();
  chart.plot = new uPlot(options, dataOf(chart, shownRows()), chart.holder);
}

const dataOf = (chart, shown) => [shown.map((row) => row[AT]), ...chart.series.map((series) => shown.map((row) => row[series.column]))];

function drawCharts() {
  const shown = shownRows();
  for (const chart of CHARTS) {
    chart.plot.setData(dataOf(chart, shown));
    drawKeys(chart);
  }
}

function setUpCharts() {
  for (const chart of CHARTS) {
    const keys = make("span", "keys");
    for (const series of chart.series) {
      series.value = make("b", "");
      keys.append(make("span", "", make("i", `key ${series.colour}`), series.name, series.value));
    }
    chart.holder = make("div", "plot");
    byId("charts").append(make("figure", "", make("figcaption", "", chart.title, keys), chart.holder));
    makeChart(chart);
    new ResizeObserver(() => chart.plot.setSize({ width: chart.holder.clientWidth, height: 168 })).observe(chart.holder);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => CHARTS.forEach(makeChart));
}

// ---- words and figures

// The figures of a sentence stand out.
function emphasised(text) {
  return text.split(/(\d[\d,.]*\d|\d)/).map((part, index) => index % 2 ? make("b", "", part) : part);
}

function drawAnswer() {
  byId("answer").dataset.tone = now.summary.tone;
  byId("words").textContent = now.summary.words;
  byId("line").replaceChildren(...emphasised(now.summary.line));
  byId("detail").textContent = now.summary.detail;
  document.title = `${now.summary.words} · redrive`;
}

function drawFlags() {
  const flags = [];
  if (now.bypass) flags.push(["bypass is on", "bad"]);
  if (now.dry_run.length === now.routes.length + now.routes_left_out) flags.push(["dry_run is on", ""]);
  else if (now.dry_run.length > 0) flags.push([`dry_run: ${now.dry_run.join(", ")}`, ""]);
  for (const [key, words] of [["outage", "outage"], ["overload", "overload"], ["unresponsive", "throttles are not ours"]]) {
    if (now.windows.some((window) => window[key])) flags.push([words, key === "outage" ? "bad" : ""]);
  }
  byId("flags").replaceChildren(...flags.map(([words, className]) => make("li", className, words)));
}

function drawFigures() {
  // Five seconds, so that a figure can be read before it changes.
  const latest = rows.slice(-5);
  const mean = (column) => latest.length ? latest.reduce((sum, row) => sum + row[column], 0) / latest.length : null;
  const last = rows.at(-1);
  const learned = now.windows.map((window) => window.learned_requests_per_second).filter((it) => it != null);
  const waits = latest.map((row) => row[P99]).filter((wait) => wait != null);
  const figures = [
    ["Offered", "ink", rate(mean(OFFERED)), "/s"],
    ["Served", "good", rate(mean(SERVED)), "/s"],
    ["Throttled", "bad", rate(mean(THROTTLED)), "/s"],
    ["Retried", "blue", rate(mean(RETRIED)), "/s"],
    ["Waiting", "warn", count(last?.[WAITING]), ""],
    ["p99 wait", "", waits.length ? seconds(Math.max(...waits)) : "–", ""],
    ["Limit learned", "", learned.length ? rate(learned.reduce((sum, it) => sum + it, 0)) : "none", learned.length ? "/s" : ""],
    ["Budget left", "", percent(last?.[BUDGET]), ""],
  ];
  byId("figures").replaceChildren(...figures.map(([name, key, value, unit]) => {
    const term = make("dt", "", ...(key ? [make("i", `key ${key}`)] : []), name);
    return make("div", "", term, make("dd", "", value, make("small", "", unit)));
  }));
}

function drawReasons() {
  const most = Math.max(1, ...now.reasons.map(([, count]) => count));
  byId("no-reasons").hidden = now.reasons.length > 0;
  byId("reasons").replaceChildren(...now.reasons.map(([reason, times]) => {
    const meter = make("meter", "");
    [meter.max, meter.value] = [most, times];
    const [means, setting] = REASONS[reason] ?? ["", ""];
    return make("li", "", make("code", "", reason), make("b", "", count(times)), meter,
      make("span", "", means, ...(setting ? [" ", make("code", "", setting)] : [])));
  }));
}

function drawRoutes() {
  const select = byId("route");
  const routes = [["All routes", ""], ...now.routes.map((name) => [name, name]), ...now.routes_gone.map((name) => [`${name} (gone)`, name])];
  const words = routes.map(([word]) => word).join("\n");
  if (words === [...select.options].map((option) => option.textContent).join("\n")) return;
  select.replaceChildren(...routes.map(([word, name]) => new Option(word, name, false, name === (now.route ?? ""))));
  drawExplained();
}

// ---- explained requests

function stepElement(step) {
  const tone = step.class === "ok" ? "ok" : ["throttled", "suspected", "overloaded"].includes(step.class) ? "throttled" : "failed";
  const element = make("span", `step ${tone}`, step.status ? `${step.class} ${step.status}` : step.class);
  element.title = step.because;
  return element;
}

function stepsOf(request) {
  const parts = make("div", "steps");
  if (request.attempts > request.steps.length) parts.append(make("span", "wait", `${request.attempts - request.steps.length} before`));
  for (const step of request.steps) {
    if (step.waited > 0.0005) parts.append(make("span", "wait", `waited ${seconds(step.waited)}`));
    parts.append(stepElement(step));
  }
  const after = request.waited - request.steps.reduce((sum, step) => sum + step.waited, 0);
  if (request.attempts === request.steps.length && after > 0.0005) parts.append(make("span", "wait", `waited ${seconds(after)}`));
  if (request.steps.length === 0) parts.append(make("span", "wait", "never sent"));
  return parts;
}

function whyOf(request) {
  if (!request.reason) return request.error ? [make("code", "", request.error)] : [];
  const [means] = REASONS[request.reason] ?? [""];
  return [make("code", "reason", request.reason), " ", make("span", "soft", means)];
}

function requestRow(request) {
  const good = GOOD.has(request.outcome);
  const routes = now.routes.length + now.routes_gone.length > 1 ? [" ", make("span", "soft", request.route)] : [];
  return make("tr", "",
    make("td", "soft", clock(request.at)),
    make("td", "", make("span", "method", request.method), " ", request.path, ...routes),
    make("td", "", stepsOf(request)),
    make("td", "", make("span", good ? "good" : "bad", request.status ? String(request.status) : "–"), ` ${OUTCOMES[request.outcome] ?? request.outcome}`),
    make("td", "", ...whyOf(request)));
}

// What each choice shows, and what is said where there is nothing.
const KINDS = {
  notable: [(request) => request.attempts > 1 || !GOOD.has(request.outcome), "None: every request was good at its first attempt, if not at once."],
  failed: [(request) => !GOOD.has(request.outcome), "None: everything ended well."],
  delayed: [(request) => request.attempts <= 1 && GOOD.has(request.outcome), "None: no request waited for its turn."],
};

function drawExplained() {
  const [isWanted, none] = KINDS[only];
  const wanted = explained.filter((request) => (now.route == null || request.route === now.route) && isWanted(request));
  wanted.sort((one, other) => other.at - one.at);
  byId("no-explained").hidden = wanted.length > 0;
  byId("no-explained").textContent = none;
  byId("explained").replaceChildren(...wanted.slice(0, 50).map(requestRow));
}

// ---- events

function take(event) {
  const told = JSON.parse(event.data);
  rows = told.reset ? told.rows : rows.concat(told.rows);
  const oldest = (rows.at(-1)?.[AT] ?? 0) - MINUTES_KEPT * 60;
  rows = rows.filter((row) => row[AT] > oldest);
  now = told;
  lastHeard = Date.now();
  byId("version").textContent = told.version;
  setLink("live", "live");
  drawRoutes();
  drawFlags();
  drawAnswer();
  drawFigures();
  drawReasons();
  drawCharts();
  if (told.explained || told.reset) {
    explained = told.explained ?? [];
    drawExplained();
  }
}

function setLink(state, words) {
  byId("link").dataset.state = state;
  byId("link").lastElementChild.textContent = words;
  document.body.classList.toggle("stale", state === "lost");
}

function listen() {
  source?.close();
  const route = byId("route").value;
  source = new EventSource(route ? `/events?route=${encodeURIComponent(route)}` : "/events");
  const mine = source;
  source.onmessage = take;
  source.onerror = () => {
    const since = lastHeard ? `no answer since ${clock(lastHeard)}` : "no answer";
    setLink("lost", since);
    // A refusal ends an EventSource for good; a route that is gone is one.
    if (mine.readyState === EventSource.CLOSED) setTimeout(() => { if (mine === source) { byId("route").value = route && now && !now.routes.includes(route) ? "" : route; listen(); } }, 2000);
  };
}

function setUpSwitch(id, choose) {
  byId(id).addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    for (const other of byId(id).children) other.setAttribute("aria-pressed", String(other === button));
    choose(button.value);
  });
}

setUpCharts();
setUpSwitch("span", (value) => { span = Number(value); if (now) drawCharts(); });
setUpSwitch("only", (value) => { only = value; if (now) drawExplained(); });
byId("route").addEventListener("change", listen);
listen();
