"use strict";

/* What the pages of who is signed in share. The session is in a cookie that scripts do not see. */

const REFRESH_SECONDS = 60;
const BATCH_KINDS = {confirmed: "good", abandoned: "bad"};
const answers = {};

function tile(name, figure, detail) {
  const [main, line] = box(`tile-${name}`).querySelectorAll("p");
  main.replaceChildren(figure);
  line.replaceChildren(detail ?? "");
}

/* The program's own reasons are told in each language; one that somebody wrote in its own: who reads another is told which. */
function reason(row) {
  if (row.texts !== null) return element("span", {}, row.texts[lang]);
  if (row.language === null || row.language === lang) return element("span", {lang: row.language ?? ""}, row.why);
  return element("span", {}, element("span", {lang: row.language}, row.why), " ", small(t(`paying.written_${row.language}`)));
}

function percent(ppm) {
  return number(ppm / 10000, 2) + NARROW + "%";
}

function transaction(row) {
  if (row.txid === null) return "–";
  const told = {count: row.confirmations, needed: row.confirmations_needed};
  const deep = row.confirmations === null ? null
    : small(t(row.confirmations >= row.confirmations_needed ? "payouts.enough" : "payouts.confirmations", told));
  return [shortHash(row.txid), deep];
}

function divided(row) {
  return badge(DISTRIBUTION_KINDS[row.state] ?? "none", word("distribution_state", row.state));
}

function batchState(row) {
  return badge(BATCH_KINDS[row.state] ?? "wait", word("batch_state", row.state));
}

/* With the year: terms and records are of other years too. */
function dated(instant) {
  return element("time", {datetime: instant, title: instant}, `${fullDay.format(new Date(instant))}, ${shortTime.format(new Date(instant))}`);
}

function by(name, instant) {
  return instant === null ? "–" : [name, small(moment(instant))];
}

const page = PAGES[document.documentElement.dataset.page];

function pathOf(name) {
  if (!page.paged.includes(name)) return page.sources[name];
  return `${page.sources[name]}?limit=${wholeLists.has(name) ? LONG_LIST : SHORT_LIST + 1}`;
}

/* Of several loads on their way the last one shows. */
let loads = 0;

async function load() {
  const mine = ++loads;
  box("problem").hidden = true;
  try {
    await greet();
    if (page.load) await page.load(answers);
    else {
      await Promise.all(Object.keys(page.sources).map(async (name) => {
        const path = pathOf(name);
        answers[name] = await (await ask(box("moment") === null ? path : momentPath(path))).json();
      }));
      if (mine !== loads) return;
      page.show(answers);
    }
    standing(true);
    for (const table of document.querySelectorAll(".listing[id]")) if (table.id in LISTS) fillList(table.id, answers[table.id]);
    page.shown?.(answers);
  } catch (error) {
    turnAway(error);
  }
}

async function start() {
  try {
    await loadTexts();
  } catch (error) {
    setTimeout(start, 10000);
    return;
  }
  waitForSomebody(load);
  page.prepare?.();
  box("refresh").addEventListener("click", load);
  for (const button of document.querySelectorAll(".more")) {
    button.addEventListener("click", () => {
      wholeLists.add(button.dataset.list);
      load();
    });
  }
  setInterval(() => {
    if (box("ask").hidden && !document.hidden && !inPast()) load();
  }, REFRESH_SECONDS * 1000);
  load();
}

themeButton(() => page.repaint?.());
start();
