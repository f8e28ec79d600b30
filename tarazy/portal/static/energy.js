"use strict";

/* Energy of one site over a day, a week or a month, and the fee of a quarter. What is chosen stands in the address. */

const SPANS = ["day", "week", "month"];
const LEVEL_KINDS = {80: "wait", 95: "bad", 100: "bad"};
const chosen = Object.fromEntries(new URLSearchParams(location.search));

/* Who chooses again while answers are on their way gets those of the last choice alone. */
let turn = 0;

const askThen = async (path) => (await ask(momentPath(path))).json();

function chooseMoment() {
  for (const name of MOMENT_PARTS) delete chosen[name];
  Object.assign(chosen, momentParts());
  box("quarter").replaceChildren();
  delete chosen.quarter;
  chooseAnd("day", shownDay());
}

function choose(name, value) {
  if (value) chosen[name] = value;
  else delete chosen[name];
  history.replaceState(null, "", `?${new URLSearchParams(chosen)}`);
}

function chooseAnd(name, value) {
  choose(name, value);
  load();
}

/* Days are counted in UTC, where none is longer than another. */
function shifted(day, span, steps) {
  const date = new Date(`${day}T00:00:00Z`);
  if (span === "month") {
    date.setUTCDate(1);
    date.setUTCMonth(date.getUTCMonth() + steps);
  } else date.setUTCDate(date.getUTCDate() + steps * (span === "week" ? 7 : 1));
  return date.toISOString().slice(0, 10);
}

function options_(id, rows, value) {
  const select = box(id);
  select.replaceChildren(...rows.map(([key, label]) => element("option", {value: key}, label)));
  select.value = value;
}

function wattHours(wh) {
  return wh === null ? "–" : [energy(wh), small(`${number(wh)}${NARROW}${t("unit.wh")}`)];
}

function tiyn(value) {
  return value === null ? "–" : `${number(value / 100, 2)}${NARROW}₸`;
}

function confirmedWords(line) {
  if (line.assumed) return badge("bad", t("feelines.assumed"));
  return line.confirmed ? badge("good", t("feelines.confirmed_yes")) : badge("wait", t("feelines.unconfirmed"));
}

function articleWords(rule) {
  return rule.article === null ? t("feelines.no_article") : t("feelines.article", {article: rule.article});
}

function held(row) {
  const words = row.percent === null ? "–" : `${number(row.percent)}${NARROW}%`;
  return [
    badge(row.level === null ? "good" : LEVEL_KINDS[row.level], words),
    row.percent === null ? null : element("progress", {value: Math.min(row.percent, 100), max: 100, "aria-hidden": "true"}),
    row.level === null ? null : small(t("limits.reached", {level: row.level})),
  ];
}

function partName(row) {
  return row.kind === "party" ? element("strong", {}, partyName(row.party)) : t(`allocation.${row.kind}`);
}

Object.assign(LISTS, {
  allocation: {
    key: (row) => `${row.kind} ${row.party}`,
    cells: (row) => [
      [partName(row), row.kind === "others" ? small(t("allocation.others_why")) : null],
      row.kind === "rest" ? t("allocation.by_rest") : row.kind === "others" ? "–" : row.by_submeter ? t("allocation.by_submeter") : t("allocation.by_rule"),
      wattHours(row.energy_wh), row.percent === null ? "–" : `${number(row.percent, 1)}${NARROW}%`,
      row.estimate_wh === null ? "–" : energy(row.estimate_wh), row.uncertain_wh ? energy(row.uncertain_wh) : "–",
    ],
  },
  supply: {
    key: (row) => `${row.source} ${row.supply}`,
    cells: (row) => [
      [element("strong", {}, row.supply ?? t("supply.none")), row.supplier && small(row.supplier), row.contract && small(row.contract)],
      word("energy_source", row.source), wattHours(row.energy_wh),
      row.month_kwh === null ? "–" : energy(row.month_kwh * 1000), tiyn(row.price_tiyn_per_kwh),
    ],
  },
  limits: {
    key: (row) => row.what,
    cells: (row) => [
      [row.what, row.at ? small(moment(row.at)) : null], row.show(row.taken), row.show(row.permitted), held(row),
    ],
  },
  balance: {
    key: (row) => row.day,
    cells: (row) => [legalDay(row.day), energy(row.metered_wh), energy(row.expected_wh), number(Number(row.ratio), 3), row.words],
  },
  meterlist: {
    key: (row) => row.meter,
    cells: (row) => [
      [element("strong", {}, row.meter), small(row.party ? t("meterlist.sub", {party: partyName(row.party)}) : t("meterlist.main"))],
      [row.profile, small(word("energy_source", row.source)), row.price_tiyn_per_kwh === null ? null : small(tiyn(row.price_tiyn_per_kwh))],
      row.silent ? badge("bad", t("meterlist.silent")) : row.registered === "ok" ? badge(row.last === null ? "wait" : "good", word("meter_status", row.last ? row.last.status : "none")) : badge("bad", word("meter_status", row.registered)),
      row.last === null ? t("meterlist.never") : row.last.count === null && row.good_at === null ? [t("meterlist.never"), small(t("meterlist.tried", {at: moment(row.last.at)}))] : [when(row.last.at), row.last.count === null ? null : small(t("meterlist.count", {count: row.last.count}))],
      row.devices.length ? row.devices.map((device) => element("span", {class: "detail"}, dated(device.since), ` ${device.serial ?? ""} `,
        t("meterlist.ratios", {ct: device.ct_ratio, vt: device.vt_ratio}), device.why ? `: ${device.why}` : "")) : "–",
    ],
  },
  sitefindings: {
    key: (row) => row.finding,
    cells: (row) => [
      [badge(SEVERITY_KINDS[row.severity] ?? "none", word("severity", row.severity)), row.blocks ? small(t("attention.blocks")) : null],
      row.text[lang], when(row.since),
    ],
  },
  feelines: {
    key: (row) => row.key,
    cells: (row) => [
      [element("strong", {}, row.meter), small(row.supply ? `${word("energy_source", row.source)}, ${row.supply}` : word("energy_source", row.source))],
      wattHours(row.energy_wh), tiyn(row.price_tiyn_per_kwh), word("fee_ground", row.ground),
      [`${number(row.rate_kzt_per_kwh)}${NARROW}₸`, row.own_rate_kzt_per_kwh === row.rate_kzt_per_kwh ? null : small(t("feelines.highest", {rate: row.own_rate_kzt_per_kwh}))],
      `${number(Number(row.amount_kzt), 3)}${NARROW}₸`,
      [row.act, small(articleWords(row)), confirmedWords(row)],
    ],
  },
});

function loadModel(answer) {
  const step = answer.interval_seconds;
  const first = Date.parse(answer.start) / 1000;
  const times = answer.power_w.map((_, at) => first + at * step);
  const quality = [...answer.quality];
  const of = (signs) => answer.power_w.map((watts, at) => (signs.includes(quality[at]) ? watts : null));
  const names = {m: t("load.measured"), e: t("load.estimated"), x: t("load.missing")};
  return {
    times, clock: calendar, format: power,
    series: [
      {label: names.m, values: of("m"), fill: true, steps: true, paint: "--series-0", width: 1.5},
      {label: names.e, values: of("e"), steps: true, paint: "--series-1", dash: [6, 3], width: 2},
    ],
    told: [{label: t("load.power"), values: answer.power_w}, {label: t("load.quality"), words: quality.map((sign) => names[sign])}],
  };
}

function ruleWords(rule) {
  const how = rule.by === null ? t("rule.hashes") : t(`rule.${rule.by}`);
  const rest = rule.rest === null ? "" : t(`rule.rest_${rule.rest}`);
  return `${how}${rest}${rule.parts.length ? ` (${rule.parts.join(", ")})` : ""}`;
}

function showRules(answer) {
  box("rules").replaceChildren(...answer.rules.map((rule) => element("li", {}, `${t("rule.since")} `, dated(rule.since), `: ${ruleWords(rule)}`)));
  const equal = answer.metered_wh === answer.divided_wh;
  const sums = {metered: energy(answer.metered_wh ?? 0), divided: energy(answer.divided_wh), wh: answer.divided_wh, missing: (answer.metered_wh ?? 0) - answer.divided_wh};
  box("sums").textContent = answer.of === "party" ? t("allocation.own") : t(equal ? "allocation.adds_up" : "allocation.differs", sums);
}

function limitsOf(answer) {
  const quotas = answer.quotas.map((row) => ({...row, what: t("limits.quota", {source: word("energy_source", row.source)}), show: energy}));
  const peak = answer.power === null ? [] : [{...answer.power, what: t("limits.power"), show: power}];
  return [...quotas, ...peak];
}

function showReconciled(answer) {
  const {drift, floor} = answer;
  const words = [];
  if (!answer.told) words.push(t("balance.not_told"));
  else {
    words.push(drift === null ? t("balance.no_drift") : t(drift.drifts ? "balance.drifts" : "balance.steady", {
      baseline: number(Number(drift.baseline), 3), low: number(Number(drift.low), 1), high: number(Number(drift.high), 1), percent: number(100 * Number(drift.moved), 1)}));
    words.push(floor === null ? t("balance.no_floor") : t(floor.broken ? "balance.below" : "balance.above", {metered: energy(floor.metered_wh), least: energy(floor.least_wh)}));
    words.push(t("balance.confounders", {list: answer.confounders.map((each) => t(`confounder.${each.replaceAll(" ", "_")}`)).join(", ")}));
  }
  box("balance").closest("section").hidden = !answer.told;
  box("reconciled").replaceChildren(...words.map((line) => element("li", {}, line)));
  if (!answer.told) tile("drift", "–", t("balance.not_told"));
  else if (drift === null) tile("drift", badge("none", t("energypage.few_days")));
  else tile("drift", drift.drifts ? badge("bad", t("energypage.drifts")) : badge("good", t("energypage.steady")), floor?.broken ? t("energypage.below_floor") : "");
}

function dueWords(name, due) {
  return due === null ? t(`feelines.no_${name}`) : [t(`feelines.${name}`), " ", legalDay(due.day)].flat();
}

function showFee(answer) {
  const fee = answer.fee;
  const lines = [];
  if (fee === null) {
    tile("fee", badge("bad", t("feelines.not_computed")), t(`feelines.${answer.problem}`));
    lines.push([t(`feelines.${answer.problem}`)], [answer.texts === null ? element("code", {}, answer.why) : answer.texts[lang]]);
    if (answer.problem === "no_rule") lines.push([t(may("write") ? "feelines.enter_rule" : "feelines.ask_rule")]);
  } else {
    tile("fee", tenge(String(fee.total_kzt)), fee.rule.assumed ? t("feelines.assumed") : fee.rule.confirmed ? "" : t("feelines.unconfirmed"));
    lines.push([t(fee.partial ? "feelines.partial" : "feelines.whole", {exact: `${number(Number(fee.exact_kzt), 3)}${NARROW}₸`, total: tenge(String(fee.total_kzt))})]);
    if (fee.average_price_kzt_per_kwh) lines.push([t("feelines.average", {price: `${number(Number(fee.average_price_kzt_per_kwh.rounded), 6)}${NARROW}₸`})]);
    lines.push([`${fee.rule.act}, ${articleWords(fee.rule)} `, confirmedWords(fee.rule)]);
    if (fee.rest_wh) lines.push([t("feelines.rest", {amount: energy(fee.rest_wh)})]);
    if (fee.due === null) lines.push([t("feelines.no_due")]);
    else lines.push(dueWords("declare", fee.due.declare), dueWords("pay", fee.due.pay));
  }
  box("derivation").replaceChildren(...lines.map((parts) => element("li", {}, ...parts)));
}

async function loadFee() {
  const party = chosen.party ?? answers.sites.party;
  if (!party) return {items: []};
  const answer = await askThen(`energy/fees/${box("quarter").value}?party=${encodeURIComponent(party)}`);
  showFee(answer);
  return {items: (answer.fee?.lines ?? []).map((line, at) => ({...line, key: `${answer.party} ${answer.quarter} ${at}`}))};
}

/* Of days so long ago that only their sums are kept. */
const NO_CURVE = {interval_seconds: 900, start: "2000-01-01T00:00:00Z", power_w: [], quality: "", energy_wh: null, intervals: {measured: 0, estimated: 0, missing: 0}};

async function loadSite(answers, newest) {
  const site = `energy/sites/${encodeURIComponent(chosen.site)}`;
  const span = `?span=${chosen.span}&day=${chosen.day}`;
  const month = chosen.day.slice(0, 7) > shownDay().slice(0, 7) ? shownDay().slice(0, 7) : chosen.day.slice(0, 7);
  const paths = {load: `load${span}`, allocation: `allocation${span}`, supplies: `supplies?month=${month}`, reconciliation: "reconciliation", meterlist: "meters", sitefindings: "findings"};
  const told = {};
  await Promise.all(Object.entries(paths).map(async ([name, path]) => {
    told[name] = await askThen(`${site}/${path}`).catch((error) => {
      if (name !== "load" || error.code !== "folded") throw error;
      complain(t("energypage.folded"));
      return NO_CURVE;
    });
  }));
  if (!newest()) return;
  Object.assign(answers, told);
  for (const source of [answers.allocation, answers.meterlist]) for (const [party, row] of Object.entries(source.names)) names.set(party, row[lang]);
  const {load: curve, allocation, supplies, reconciliation} = answers;
  const whole = allocation.divided_wh;
  for (const row of allocation.items) row.percent = whole ? 100 * row.energy_wh / whole : null;
  answers.supply = supplies;
  answers.limits = {items: limitsOf(supplies)};
  answers.balance = {items: [...reconciliation.days].reverse().map((row) => ({...row, words: Number(row.ratio) < 1 ? t("balance.less") : ""}))};
  const all = curve.intervals.measured + curve.intervals.estimated + curve.intervals.missing;
  tile("used", energy(curve.energy_wh ?? whole), t(allocation.of === "site" ? "energypage.of_site" : "energypage.of_you"));
  tile("quality", all ? `${number(100 * curve.intervals.measured / all, 1)}${NARROW}%` : "–", t("energypage.others", {estimated: curve.intervals.estimated, missing: curve.intervals.missing}));
  const worst = answers.limits.items.filter((row) => row.percent !== null).sort((a, b) => b.percent - a.percent)[0];
  if (worst) tile("limit", badge(worst.level === null ? "good" : LEVEL_KINDS[worst.level], `${number(worst.percent)}${NARROW}%`), worst.what);
  else tile("limit", "–", supplies.of === "party" ? t("energypage.owner_only") : t("energypage.no_limit"));
  showRules(allocation);
  showReconciled(reconciliation);
}

function fillChoices(sites) {
  if (!sites.items.some((row) => row.site === chosen.site)) choose("site", sites.items[0].site);
  if (!SPANS.includes(chosen.span)) choose("span", "day");
  if (!/^\d{4}-\d\d-\d\d$/.test(chosen.day ?? "")) choose("day", shownDay());
  options_("site", sites.items.map((row) => [row.site, `${row.name}, ${row.region}`]), chosen.site);
  box("day").value = chosen.day;
  for (const button of document.querySelectorAll("[data-span]")) button.setAttribute("aria-pressed", String(button.dataset.span === chosen.span));
  if (!box("quarter").options.length) options_("quarter", quarters().map((name) => [name, name]), chosen.quarter ?? quarters()[0]);
}

function fillParties(answers) {
  const own = answers.sites.party;
  const parties = Object.keys(answers.allocation.names);
  box("whose").hidden = own !== null;
  if (own !== null) return;
  if (!parties.includes(chosen.party)) choose("party", parties[0]);
  options_("party", parties.map((party) => [party, partyName(party)]), chosen.party);
}

PAGES.energy = {
  async load(answers) {
    const mine = ++turn;
    box("moments").hidden = !may("read");
    answers.sites = await askThen("energy/sites");
    const any = answers.sites.items.length > 0;
    box("nothing").hidden = any;
    box("everything").hidden = !any;
    for (const table of document.querySelectorAll(".listing")) answers[table.id] ??= {items: []};
    if (!any) return;
    fillChoices(answers.sites);
    await loadSite(answers, () => mine === turn);
    if (mine !== turn) return;
    fillParties(answers);
    answers.feelines = await loadFee();
  },
  shown(answers) {
    if (answers.load) drawChart("load", loadModel(answers.load));
  },
  repaint: () => redrawCharts(),
};

for (const button of document.querySelectorAll("[data-span]")) button.addEventListener("click", () => chooseAnd("span", button.dataset.span));
for (const [id, steps] of [["earlier", -1], ["later", 1]]) {
  document.getElementById(id).addEventListener("click", () => chooseAnd("day", shifted(chosen.day, chosen.span, steps)));
}
for (const id of ["site", "day", "party", "quarter"]) {
  document.getElementById(id).addEventListener("change", (event) => chooseAnd(id, event.target.value));
}
PAGES.energy.prepare = () => watchMoment(chooseMoment);
watchSizes();
