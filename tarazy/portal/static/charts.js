"use strict";

/* Charts, each with a table twin of the same figures. */

const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 5]];
const charts = new Map();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function finest(times) {
  return times.length > 1 && times[1] - times[0] < 60 ? clockTime : shortTime;
}

/* Days by their names, the hours between them by the clock. */
const calendar = {format: (date) => (shortTime.format(date) === "00:00" ? dayName : shortTime).format(date)};

/* What a chart shows: {times, series: [{label, values, drawn, style}], format}. `values` are told, `drawn` are drawn. */
function hashrateModel(answer) {
  const series = [{label: t("charts.pool"), values: answer.total, fill: true, paint: "--series-0", width: 2}];
  answer.parties.forEach((party, at) => {
    series.push({label: partyName(party.key), values: party.values, paint: `--series-${at + 1}`, dash: DASHES[(at + 1) % DASHES.length], width: 1.5});
  });
  return {times: answer.times, series, format: rate};
}

function energyModel(answer) {
  const toWatts = 3600 / answer.interval_seconds;
  const watts = (values) => values.map((wh) => (wh === null ? null : wh * toWatts));
  const site = new Map(answer.sites.map((row) => [row.site, row.name]));
  let below = answer.times.map(() => 0);
  const stacked = answer.metered.map((series, at) => {
    const values = watts(series.values);
    const drawn = values.map((value, i) => (value === null ? null : value + below[i]));
    below = drawn.map((value, i) => value ?? below[i]);
    return {label: site.get(series.key) ?? series.key, values, drawn, bars: true, paint: `--series-${at}`, width: 0};
  });
  const estimate = {label: t("charts.estimate"), values: watts(answer.estimate), paint: "--text", dash: [6, 4], width: 1.5};
  return {times: answer.times, series: [...stacked.reverse(), estimate], format: power};
}

function told(model, value, scale = value) {
  return value === null || value === undefined ? "–" : model.format(value, scale);
}

function axis(extra) {
  return {stroke: colour("--muted"), grid: {stroke: colour("--line"), width: 1}, ticks: {show: false}, font: "12px system-ui, sans-serif", ...extra};
}

function options(model, width) {
  const scale = Math.max(1, ...model.series.flatMap((series) => (series.drawn ?? series.values).map((value) => value ?? 0)));
  const time = model.clock ?? finest(model.times);
  return {
    width, height: 240, tzDate: (ts) => uPlot.tzDate(new Date(ts * 1e3), ALMATY),
    cursor: {y: false, points: {show: false}},
    legend: {markers: {width: 2, dash: (_, at) => (model.series[at - 1]?.dash ? "dashed" : "solid")}},
    scales: {y: {range: (_, low, high) => [0, Math.max(high, 1) * 1.08]}},
    axes: [
      axis({space: 80, values: (_, ticks) => ticks.map((tick) => time.format(new Date(tick * 1e3)))}),
      axis({size: 78, values: (_, ticks) => ticks.map((tick) => model.format(tick, scale))}),
    ],
    series: [
      {label: t("charts.time"), value: (_, ts) => (model.clock ? moment : (ms) => time.format(new Date(ms)))((ts ?? model.times.at(-1)) * 1e3)},
      ...model.series.map((series) => ({
        label: series.label, width: series.width, dash: series.dash, stroke: colour(series.paint),
        fill: series.bars ? colour(series.paint) : series.fill ? colour("--wash") : undefined,
        paths: series.bars ? uPlot.paths.bars({size: [0.8, 40]}) : series.steps ? uPlot.paths.stepped({align: 1}) : undefined, points: {show: false},
        value: (_, __, ___, at) => told(model, series.values[at ?? model.times.length - 1], scale),
      })),
    ],
  };
}

function drawChart(name, model) {
  const box = document.getElementById(`${name}-chart`);
  const known = charts.get(name);
  if (known) known.plot?.destroy();
  const ready = model.times.length > 1;
  box.hidden = !ready;
  box.nextElementSibling.hidden = ready;
  const data = [model.times, ...model.series.map((series) => series.drawn ?? series.values)];
  charts.set(name, {model, plot: ready ? new uPlot(options(model, box.clientWidth), data, box) : null});
  fillTwin(name);
}

/* The same figures as a table, newest first; built only while it is open. */
function fillTwin(name) {
  const twin = document.getElementById(`${name}-twin`);
  const model = charts.get(name)?.model;
  if (!twin.open || !model) return;
  const table = twin.querySelector("table");
  const series = model.told ?? model.series;
  const heads = [t("charts.time"), ...series.map((each) => each.label)];
  table.tHead.replaceChildren(element("tr", {}, ...heads.map((head, at) => element("th", {scope: "col", class: at ? "number" : undefined}, head))));
  const rows = model.times.map((time, at) => element("tr", {},
    element("th", {scope: "row"}, when(new Date(time * 1e3).toISOString())),
    ...series.map((each) => element("td", {class: "number"}, each.words ? each.words[at] : told(model, each.values[at])))));
  table.tBodies[0].replaceChildren(...rows.reverse());
}

function redrawCharts() {
  for (const [name, {model}] of charts) drawChart(name, model);
}

function watchSizes() {
  const observer = new ResizeObserver((entries) => {
    for (const {target} of entries) {
      const plot = charts.get(target.id.replace("-chart", ""))?.plot;
      if (plot && target.clientWidth && plot.width !== target.clientWidth) plot.setSize({width: target.clientWidth, height: 240});
    }
  });
  for (const chart of document.querySelectorAll(".chart")) {
    const name = chart.id.replace("-chart", "");
    observer.observe(chart);
    document.getElementById(`${name}-twin`).addEventListener("toggle", () => fillTwin(name));
  }
}
