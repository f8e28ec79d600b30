"use strict";

/* Lists of the API into table rows. Texts enter the page as text nodes only. */

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function small(text) {
  return text ? element("span", {class: "detail"}, text) : null;
}

const MARKS = {good: "✓", wait: "…", bad: "✕", none: "–"};

/* A state is told by a mark and a word; the colour only helps. */
function badge(kind, told) {
  return element("span", {class: `badge ${kind}`}, element("span", {"aria-hidden": "true"}, MARKS[kind]), "\u00a0", told);
}

function when(instant) {
  return element("time", {datetime: instant, title: instant}, moment(instant));
}

/* A legal day is a date, not a moment: it is the same wherever the reader is. */
function legalDay(text) {
  return element("time", {datetime: text}, fullDay.format(new Date(`${text}T12:00:00Z`)));
}

/* The word that pages and reports have for a code; the code itself where there is none. */
function word(kind, code) {
  return has(`words.${kind}.${code}`) ? t(`words.${kind}.${code}`) : code;
}

function reasonWords(code) {
  return word("reason", code) + (has(`cure.${code}`) ? `: ${t(`cure.${code}`)}` : "");
}

function reasons(codes) {
  return codes.length ? element("ul", {class: "reasons"}, ...codes.map((code) => element("li", {}, reasonWords(code)))) : null;
}

function fee(row) {
  if (row.fee.tenge === null) return [t("miners.no_fee"), row.fee.problem && small(t(`miners.problem.${row.fee.problem}`))];
  return [tenge(row.fee.tenge), row.fee.confirmed ? null : small(t("miners.unconfirmed"))];
}

const BLOCK_KINDS = {mature: "good", connected: "wait", found: "wait", submitted: "wait", orphaned: "bad", rejected: "bad", unknown: "none"};

function blockWords(block) {
  const counted = block.state === "connected" && block.confirmations !== null;
  return word("block_state", block.state) + (counted ? ` ${block.confirmations}/${block.maturity}` : "");
}

function blockState(block) {
  const ripening = block.state === "connected" && block.confirmations !== null;
  const bar = ripening ? element("progress", {value: block.confirmations, max: block.maturity, "aria-hidden": "true"}) : null;
  return [badge(BLOCK_KINDS[block.state] ?? "none", blockWords(block)), bar];
}

function shortHash(hash) {
  return element("code", {title: hash}, hash.slice(0, 6) + "…" + hash.slice(-10));
}

function credits(row) {
  const items = row.credits.map((credit) => element("li", {}, element("span", {}, partyName(credit.party)), " ", element("span", {class: "number"}, bitcoin(credit.amount))));
  return element("details", {}, element("summary", {}, t("distributions.credits")), element("ul", {class: "credits"}, ...items));
}

function meterStates(row) {
  const items = row.meters.map((meter) => element("li", {}, badge(meter.status === "ok" ? "good" : "bad", `${meter.meter}: ${word("meter_status", meter.status)}`)));
  const missing = row.missing_intervals ? small(t("energy.missing", {count: row.missing_intervals})) : null;
  const all = row.meter_count > row.meters.length ? small(t("energy.working", {ok: row.meters_ok, count: row.meter_count})) : null;
  return [element("ul", {class: "reasons"}, ...items), all, missing];
}

const DISTRIBUTION_KINDS = {final: "good", immature: "wait", reversed: "bad"};
const SEVERITY_KINDS = {serious: "bad", warning: "wait", info: "none"};
const SITE_KINDS = {accredited: "good", suspended: "bad", withdrawn: "bad"};

/* For each list: what makes a row itself, and its cells, each a text, a node or an array of them. */
const LISTS = {
  miners: {
    key: (row) => row.party,
    cells: (row) => [
      [element("strong", {}, row.names[lang]), small(row.account), row.licence && small(row.licence.number)],
      [badge(row.admitted ? "good" : "bad", t(row.admitted ? "miners.admitted" : "miners.not_admitted")), reasons(row.reasons),
        row.licence && row.licence.expires_at ? small(t("miners.until", {date: fullDay.format(new Date(Date.parse(row.licence.expires_at) - 1))})) : null],
      row.sites.join(", "),
      [row.hashrate ? rate(row.hashrate) : "–", row.workers ? small(t("miners.workers", {count: row.workers})) : null],
      [number(row.shares), row.stale_shares ? small(t("miners.stale", {count: row.stale_shares})) : null],
      [bitcoin(row.earned), row.immature ? small(t("miners.immature", {amount: bitcoin(row.immature)})) : null],
      [row.energy_wh === null ? "–" : energy(row.energy_wh), row.estimate_wh === null ? null : small(t("miners.estimate", {amount: energy(row.estimate_wh)}))],
      fee(row),
    ],
  },
  attention: {
    key: (row) => `${row.kind} ${row.key} ${row.text.en}`,
    cells: (row) => [
      [badge(SEVERITY_KINDS[row.severity] ?? "none", word("severity", row.severity)), ...(row.blocks ? [small(t("attention.blocks"))] : [])],
      row.text[lang], row.at === null ? "–" : when(row.at), row.owner ?? "–",
    ],
  },
  machinery: {
    key: (row) => row.part,
    cells: (row) => [element("strong", {}, row.part), badge(row.ok ? "good" : "bad", t(row.ok ? "machinery.works" : "machinery.ill")), row.what],
  },
  refusals: {
    key: (row) => `${row.account} ${row.reasons}`,
    cells: (row) => [
      [element("strong", {}, row.account || t("refusals.others")), small(row.party ? partyName(row.party) : t("refusals.unregistered"))],
      reasons(row.reasons), number(row.count), when(row.last_at),
    ],
  },
  blocks: {
    key: (row) => row.block_hash,
    cells: (row) => [
      number(row.height), blockState(row), when(row.found_at), ...(row.party === null ? [] : [partyName(row.party)]),
      bitcoin(row.reward), shortHash(row.block_hash),
    ],
  },
  distributions: {
    key: (row) => String(row.distribution),
    cells: (row) => [
      row.height === null ? "–" : number(row.height),
      row.first_round === row.last_round ? number(row.last_round) : `${number(row.first_round)}–${number(row.last_round)}`,
      badge(DISTRIBUTION_KINDS[row.state] ?? "none", word("distribution_state", row.state)),
      bitcoin(row.reward), [bitcoin(row.fee), small(number(row.fee_ppm / 10000, 2) + NARROW + "%")], bitcoin(row.credited), t("distributions.satoshi", {count: row.remainder}),
      credits(row),
    ],
  },
  energy: {
    items: (answer) => answer.sites,
    key: (row) => row.site,
    cells: (row) => [
      [element("strong", {}, row.name), small(row.region)],
      badge(SITE_KINDS[row.status] ?? "none", word("site_status", row.status)),
      row.power_watts === null ? "–" : power(row.power_watts),
      ...[row.energy_wh, row.estimate_wh, row.unallocated_wh].map((wh) => wh === null ? "–" : energy(wh)), meterStates(row),
    ],
  },
  reports: {
    key: (row) => row.name,
    cells: (row) => [
      element("a", {href: `/api/v1/reports/${row.name}`, download: ""}, row.name),
      t("unit.kilobytes", {count: Math.max(1, Math.round(row.bytes / 1024))}), when(row.made_at),
    ],
  },
};

/* What the pages of who is signed in show, by name. */
const PAGES = {};

const SHORT_LIST = window.matchMedia("(max-width: 560px)").matches ? 4 : 10;
const LONG_LIST = 500;
const wholeLists = new Set();

function tableHead(told, isNumber = false) {
  return element("th", {scope: "col", role: "columnheader", class: isNumber ? "number" : undefined}, told);
}

/* A row under `heads`; each of `cells` is a text, a node or an array of them. */
function tableRow(heads, cells, key) {
  return element("tr", {role: "row", "data-key": key}, ...cells.map((cell, at) => {
    const parts = [cell].flat().filter((part) => part !== "");
    return element("td", {role: "cell", "data-label": heads[at].textContent, class: heads[at].className || undefined}, ...parts);
  }));
}

/* Rows that did not change stay as they are, so that a selection or an open detail survives an update. */
function fillList(name, answer) {
  const list = LISTS[name];
  const table = document.getElementById(name);
  const all = list.items ? list.items(answer) : answer.items;
  const items = wholeLists.has(name) ? all : all.slice(0, SHORT_LIST);
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const old = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const rows = items.map((item) => {
    const content = JSON.stringify(item) + (name === "miners" ? "" : names.size);
    const kept = old.get(list.key(item));
    if (kept && kept.content === content) return kept;
    const row = tableRow(heads, list.cells(item), list.key(item));
    row.content = content;
    const detail = kept?.querySelector("details");
    if (detail?.open) row.querySelector("details").open = true;
    return row;
  });
  body.replaceChildren(...rows);
  table.hidden = rows.length === 0;
  table.parentElement.querySelector(".empty").hidden = rows.length > 0;
  const more = table.parentElement.querySelector(".more");
  more.hidden = wholeLists.has(name) || all.length <= SHORT_LIST;
  more.textContent = t("more", {count: Math.min(answer.total ?? all.length, LONG_LIST)});
}
