"use strict";

/* Quarterly information: a miner enters, keeps and submits it; who reads all of it sees what is missing. */

const FIGURES = {energy: ["energy_wh", 1000], investment: ["investment_kzt", 1], jobs: ["jobs", 1], machines: ["machines", 1], devicepower: ["power_w", 1000]};
let shownQuarter = null;

function figures(row) {
  return [energy(row.energy_wh), number(row.investment_kzt), number(row.jobs),
    [number(row.machines), small(power(row.power_w))]];
}

Object.assign(LISTS, {
  quarterlyversions: {
    key: (row) => String(row.version),
    cells: (row) => [[number(row.version), small(row.why)], [dated(row.recorded_at), small(row.recorded_by)], ...figures(row)],
  },
  quarterlystanding: {
    key: (row) => row.party,
    cells: (row) => [
      element("strong", {}, row.names[lang]),
      row.told === null ? badge("bad", t("quarterlypage.missing"))
        : [badge("good", t("quarterlypage.told", {version: row.told.version})), small(dated(row.told.recorded_at)), small(row.told.why)],
      ...(row.told === null ? ["–", "–", "–", "–"] : figures(row.told)),
    ],
  },
});

/* Fields keep what is being typed: they are filled when another quarter is shown. */
function fillForm(answer) {
  for (const [id, [key, unit]] of Object.entries(FIGURES)) {
    const known = answer.known[key] ?? null;
    box(`known-${id}`).textContent = known === null ? "" : t("quarterlypage.known", {figure: number(known / unit, unit === 1 ? 0 : 3)});
    if (answer.quarter !== shownQuarter) {
      const value = answer.draft?.[key] ?? answer.items[0]?.[key] ?? known;
      box(id).value = value === null ? "" : String(value / unit);
    }
  }
  shownQuarter = answer.quarter;
  const corrects = answer.items.length > 0;
  box("because").hidden = !corrects;
  box("reason").required = corrects;
  box("send").disabled = !answer.is_over;
  const state = !answer.is_over ? "running" : answer.items.length ? "done" : "open";
  box("state").replaceChildren(badge({running: "none", done: "good", open: "wait"}[state], t(`quarterlypage.state.${state}`)),
    ...(answer.draft ? [" ", badge("wait", t("quarterlypage.state.draft"))] : []));
}

function entered() {
  const told = {quarter: box("quarter").value};
  for (const [id, [key, unit]] of Object.entries(FIGURES)) told[key] = Math.round(Number(box(id).value) * unit);
  return told;
}

/* `done`: what is said when it is there. */
async function telling(path, told, done) {
  box("problem").hidden = true;
  box("done").textContent = "";
  try {
    await tell(path, told);
    shownQuarter = null;
    box("reason").value = "";
    await load();
    box("done").textContent = done;
  } catch (error) {
    complain(fault(error));
  }
}

PAGES.quarterly = {
  prepare: () => watchMoment(() => {
    box("quarter").replaceChildren();
    load();
  }),
  async load(answers) {
    const select = box("quarter");
    if (!select.options.length) {
      select.replaceChildren(...quarters().map((name) => element("option", {value: name}, name)));
      select.selectedIndex = 1;
    }
    const miner = may("tell");
    box("tell").hidden = box("for-miner").hidden = !miner;
    box("for-readers").hidden = box("moments").hidden = miner;
    const asked = `quarterly/${miner ? "own" : "standing"}?quarter=${select.value}`;
    const answer = await (await ask(miner ? asked : momentPath(asked))).json();
    answers.quarterlyversions = miner ? answer : {items: []};
    answers.quarterlystanding = miner ? {items: []} : answer;
    if (miner) fillForm(answer);
    else {
      const missing = answer.items.filter((row) => row.told === null).length;
      if (answer.total === 0) box("state").replaceChildren();
      else box("state").replaceChildren(missing ? badge("wait", t("quarterlypage.absent", {count: missing})) : badge("good", t("quarterlypage.complete")));
    }
  },
};

box("quarter").addEventListener("change", () => {
  shownQuarter = null;
  box("done").textContent = "";
  load();
});
box("keep").addEventListener("click", () => {
  if (box("tell").reportValidity()) telling("quarterly/draft", entered(), t("quarterlypage.kept"));
});
box("tell").addEventListener("submit", (event) => {
  event.preventDefault();
  const quarter = box("quarter").value;
  if (!confirm(t("quarterlypage.sure", {quarter}))) return;
  telling("quarterly/submit", {...entered(), why: box("because").hidden ? null : box("reason").value}, t("quarterlypage.submitted", {quarter}));
});
