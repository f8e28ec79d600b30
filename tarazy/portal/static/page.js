"use strict";

/* The page at work: the event stream brings the overview, whose versions tell which lists to read again. */

const whole = document.documentElement.dataset.page === "pool";
const SHOW = {
  miners: (answer) => fillList("miners", answer),
  attention: (answer) => fillList("attention", answer),
  refusals: (answer) => fillList("refusals", answer),
  blocks: (answer) => fillList("blocks", answer),
  distributions: (answer) => fillList("distributions", answer),
  reports: (answer) => fillList("reports", answer),
  hashrate: (answer) => drawChart("hashrate", hashrateModel(answer)),
  energy: (answer) => {
    fillList("energy", answer);
    drawChart("energy", energyModel(answer));
  },
};
const LOADED = Object.keys(SHOW).filter((name) => box(name) ?? box(`${name}-chart`));
const SERIES = {hashrate: true, energy: true};
const NAMED = 100;
/* Of so many parties, the fastest, the names are known; others are told by their short names. */
const CURES = {certificate: "registers/#certificate", meters: "energy/"};
const seen = {};
const secondsSince = (instant) => (shownInstant() - Date.parse(instant)) / 1000;
const loading = new Set();
let newest = null;
let shown = null;

function tile(name, figure, ...details) {
  const [main, ...rest] = box(`tile-${name}`).querySelectorAll("p");
  main.replaceChildren(figure);
  rest.forEach((line, at) => line.replaceChildren(details[at] ?? ""));
}

/* What is wrong with a part of the pool, what to do, and the page where that is done. */
function cause(part) {
  const told = t(`health.cause.${part}`);
  return part in CURES ? [`${told} `, element("a", {href: `/${lang}/${CURES[part]}`}, t(`signed_in.${CURES[part].split("/")[0]}`))] : [told];
}

function showOverview(view) {
  const ended = view.hashrate_window_seconds > 0 || !inPast();
  if (ended) tile("hashrate", rate(view.hashrate), t("overview.window", {span: span(view.hashrate_window_seconds)}), t("overview.shares", {count: view.shares.accepted}));
  else tile("hashrate", "–", t("overview.none_ended"));
  const height = view.chain.template_height;
  tile("miners", view.ready_connections === null ? "–" : number(view.ready_connections), ended ? t("overview.parties", {mining: view.parties.mining, count: view.parties.registered}) : t("overview.none_ended"), height === null ? "" : t("overview.template", {height}));
  const block = view.last_block;
  const round = view.round ? t("overview.round", {number: view.round.number, age: span(secondsSince(view.round.opened_at))}) : "";
  if (block) tile("last_block", number(block.height), element("span", {}, t("unit.ago", {span: span(secondsSince(block.found_at))}), " · ", blockWords(block)), round);
  else tile("last_block", t("overview.no_block"), t("overview.no_block_hint"), round);
  if (view.power_watts === null) tile("power", "–", t(inPast() ? "overview.no_power_then" : "overview.no_power"));
  else tile("power", power(view.power_watts), t("overview.metered"));
  if (inPast()) return tile("health", badge("none", t("overview.unkept")));
  const bad = view.health.filter((part) => !part.ok);
  const words = (parts) => parts.map((part) => t(`health.${part.part}`)).join(", ");
  if (!bad.length) return tile("health", badge("good", t("overview.all_well")), words(view.health));
  const told = whole ? element("span", {}, ...bad.flatMap(({part}, at) => [at ? " " : "", ...cause(part)])) : words(bad);
  tile("health", badge("bad", t("overview.trouble", {count: bad.length})), told);
}

function tellNews(view) {
  if (!shown) return;
  const news = [];
  if (view.last_block && view.last_block.block_hash !== shown.last_block?.block_hash) news.push(`${t("overview.last_block")}: ${number(view.last_block.height)}`);
  for (const part of view.health) {
    const before = shown.health.find((other) => other.part === part.part);
    if (before && before.ok !== part.ok) news.push(`${t(`health.${part.part}`)}: ${t(part.ok ? "health.ok" : "health.bad")}`);
  }
  if (news.length) box("news").textContent = news.join(". ");
}

async function load(name, version) {
  const at = momentPath(name);
  if (loading.has(at)) return;
  loading.add(at);
  try {
    const paging = name in SERIES ? "" : `?limit=${wholeLists.has(name) ? LONG_LIST : name === "miners" ? NAMED : SHORT_LIST + 1}`;
    const path = name + paging;
    const content = await (await ask(whole ? momentPath(path) : path)).json();
    if (at !== momentPath(name)) return;
    if (name === "miners") for (const row of content.items) names.set(row.party, row.names[lang]);
    SHOW[name](content);
    seen[name] = version;
    box("problem").hidden = true;
  } catch (error) {
    if (whole) turnAway(error);
    else complain(t("load_failed"));
  } finally {
    loading.delete(at);
  }
}

async function show(view) {
  showOverview(view);
  tellNews(view);
  shown = view;
  const stale = LOADED.filter((name) => seen[name] !== view.versions[name]);
  if (stale.includes("miners")) await load("miners", view.versions.miners);
  await Promise.all(stale.filter((name) => name !== "miners").map((name) => load(name, view.versions[name])));
}

/* The present as it changes, or once what was: nothing of that changes. */
async function follow() {
  source?.close();
  const past = whole && inPast();
  if (whole) for (const id of ["pause", "stream"]) box(id).hidden = past;
  if (!past) {
    return listen((view) => {
      newest = view;
      if (!paused) show(view);
    }, follow);
  }
  try {
    await show(await (await ask(momentPath("overview"))).json());
  } catch (error) {
    turnAway(error);
  }
}

/* How the processes are: of this moment alone, and asked anew while somebody looks. */
async function showMachinery() {
  box("now-alone").hidden = inPast();
  if (inPast() || document.hidden || box("shown").hidden) return;
  try {
    const {journal, nodes, gateways} = await (await ask("machinery")).json();
    fillList("machinery", {items: [
      {part: t("health.journal"), ok: journal.ok, what: t("machinery.unfolded", {count: journal.unfolded_shares})},
      ...nodes.map((row) => ({part: t("machinery.node", {number: row.node}), ok: row.ok, what: "–"})),
      ...gateways.map((row) => ({part: t("machinery.gateway", {port: String(row.port)}), ok: row.ok,
        what: row.ok ? t("machinery.connections", {count: row.connections, ready: row.ready_connections}) : "–"})),
    ]});
  } catch (error) {
    turnAway(error);
  }
}

function watchPast() {
  watchMoment(() => {
    shown = newest = null;
    for (const name of Object.keys(seen)) delete seen[name];
    showMachinery();
    follow();
  });
}

function pauseButton() {
  const button = box("pause");
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    button.textContent = t(paused ? "stream.resume" : "stream.pause");
    if (box("stream").dataset.state !== "lost") streamState(paused ? "paused" : "live");
    if (!paused && newest) show(newest);
  });
}

function tick() {
  box("clock").textContent = clockTime.format(new Date());
  if (shown && !paused) showOverview(shown);
}

function moreButtons() {
  for (const button of document.querySelectorAll(".more")) {
    button.addEventListener("click", () => {
      const name = button.dataset.list;
      wholeLists.add(name);
      load(name, seen[name]);
    });
  }
}

async function start() {
  try {
    await loadTexts();
  } catch (error) {
    complain(box("problem").textContent);
    setTimeout(start, 10000);
    return;
  }
  copyButtons();
  pauseButton();
  moreButtons();
  watchSizes();
  tick();
  setInterval(tick, 1000);
  if (!whole) return follow();
  watchPast();
  setInterval(showMachinery, 10000);
  waitForSomebody(enter);
  await enter();
}

/* The pool's page is for operators and inspectors: a miner, who signs in here from the home page too, goes on to its account. */
async function enter() {
  try {
    await greet();
    standing(true);
    showMachinery();
    await follow();
  } catch (error) {
    if (error.status === 403 && may("own")) return location.replace(`/${lang}/me/`);
    turnAway(error);
  }
}

themeButton(redrawCharts);
start();
