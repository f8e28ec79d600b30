"use strict";

/* The work of who is signed in: hash rate, workers, who was turned away, the licence, and how to connect. */

const WORKER_HEADS = ["workername", "site", "hashrate", "hashrate1hr", "hashrate1d", "shares", "rejected", "lastshare"];
const TEXTUAL = ["workername", "site", "lastshare"];

function rateOrNone(value) {
  return value ? rate(value) : "–";
}

function unixTime(seconds) {
  return seconds === null ? "–" : when(new Date(seconds * 1000).toISOString());
}

function part(count, all) {
  return `${number(100 * count / all, 2)}${NARROW}%`;
}

function rejectedCell(row) {
  return [number(row.rejected), row.rejected ? small(part(row.rejected, row.shares + row.rejected)) : null];
}

/* Whose hash rate the chart shows, and how far back. */
const drawn = {site: "", worker: "", span: "day"};

async function drawWork(change) {
  Object.assign(drawn, change);
  const asked = Object.fromEntries(Object.entries(drawn).filter(([, value]) => value));
  for (const button of document.querySelectorAll("[data-span]")) button.setAttribute("aria-pressed", String(button.dataset.span === drawn.span));
  box("work-site").value = drawn.site;
  box("work-worker").textContent = drawn.worker;
  box("work-one").hidden = !drawn.worker;
  try {
    const work = await (await ask(`me/hashrate?${new URLSearchParams(asked)}`)).json();
    if (Object.entries(asked).every(([name, value]) => drawn[name] === value)) drawChart("hashrate", ownModel(work));
  } catch (error) {
    turnAway(error);
  }
}

function workerButton(row) {
  const button = element("button", {type: "button", class: "link", title: t("mine.show_one")}, row.workername);
  button.addEventListener("click", () => {
    drawWork({worker: row.workername, site: row.site});
    box("hashrate-chart-title").scrollIntoView({block: "nearest"});
  });
  return button;
}

const workers = new Paged("workers", {
  path: () => "me/workers",
  heads: () => WORKER_HEADS.map((name) => ({
    name, label: t(`workers.${name}`), sorts: name !== "site", numeric: !TEXTUAL.includes(name), falls: name !== "workername",
  })),
  params: () => (box("workers-search").value ? {q: box("workers-search").value} : {}),
  searched: () => box("workers-search").value !== "",
  cells: (row) => [
    workerButton(row), row.site, rateOrNone(row.hashrate), rateOrNone(row.hashrate1hr), rateOrNone(row.hashrate1d),
    number(row.shares), rejectedCell(row), unixTime(row.lastshare),
  ],
});
[workers.sort, workers.descending] = ["hashrate", true];

LISTS.rejected = {
  items: (answer) => answer.items,
  key: (row) => row.reason,
  cells: (row) => [element("strong", {}, t(`rejection.${row.reason}`)), t(`rejectioncure.${row.reason}`), number(row.count), part(row.count, row.all)],
};

LISTS.declined = {
  items: (answer) => answer.items,
  key: (row) => `${row.worker} ${row.peer} ${row.first}`,
  cells: (row) => [element("strong", {}, row.worker || "–"), reasons(row.reasons ?? []), row.peer ? element("code", {}, row.peer) : "–", number(row.count ?? 1), when(row.last)],
};

function ownModel(work) {
  const series = {label: t("mine.hashrate"), values: work.series.map((each) => each.hashrate), fill: true, paint: "--series-0", width: 2};
  return {
    times: work.series.map((each) => Date.parse(each.start) / 1000), format: rate,
    ...(work.step_seconds > work.interval_seconds ? {clock: calendar} : {}),
    series: [series],
    told: [series, {label: t("mine.rejected"), words: work.series.map((each) => number(each.rejected))}],
  };
}

/* The licence that ends last; entries in force are told alone. */
function showLicence(licences) {
  const good = licences.filter((row) => row.status === "in_force");
  const end = (row) => (row.valid_to === null ? Infinity : Date.parse(row.valid_to));
  const row = good.sort((a, b) => end(b) - end(a))[0];
  if (!row) tile("licence", badge("bad", t("mine.no_licence")), t("mine.no_licence_hint"));
  else if (row.valid_to === null) tile("licence", badge("good", row.licence), t("mine.no_end"));
  else tile("licence", badge("good", row.licence), `${t("miners.until", {date: fullDay.format(new Date(end(row) - 1))})}. ${t("mine.left", {count: Math.floor((end(row) - Date.now()) / 86400000)})}`);
}

/* Of the approved addresses the one that began last is paid to. */
function showAddresses({wallets, coming_wallet: coming}) {
  const paid = wallets.filter((row) => row.status === "approved").sort((a, b) => Date.parse(b.valid_from) - Date.parse(a.valid_from))[0];
  const lines = [[t("mine.paid_to"), paid], [t("mine.paid_later"), coming]].filter(([, row]) => row)
    .map(([name, row]) => element("div", {}, element("dt", {}, name),
      element("dd", {}, element("code", {}, row.address), small(t("registers.since", {from: exact(row.valid_from)})))));
  box("addresses").replaceChildren(...lines);
  box("no-address").hidden = lines.length > 0;
}

function showMine(work) {
  const {shares} = work;
  showAddresses(holder);
  const rejected = Object.values(work.rejected).reduce((sum, count) => sum + count, 0);
  tile("hashrate", rateOrNone(work.hashrate), t("mine.rates", {hour: rateOrNone(work.hashrate1hr), day: rateOrNone(work.hashrate1d)}));
  tile("workers", number(work.workers), work.lastshare === null ? t("mine.no_share") : element("span", {}, `${t("mine.last")} `, unixTime(work.lastshare)));
  tile("shares", number(shares), t("mine.of_day"));
  tile("rejected", number(rejected), shares + rejected ? t("mine.part", {percent: number(100 * rejected / (shares + rejected), 2)}) : t("mine.of_day"));
  showLicence(holder.licences);
  box("connect-login").textContent = `${holder.party?.account ?? holder.name}.rig1`;
  const sites = new Set([...holder.sites, ...holder.placements].map((row) => row.site));
  box("work-site").replaceChildren(box("work-site").options[0], ...[...sites].sort().map((site) => element("option", {value: site}, site)));
  drawWork({});
  return workers.load();
}

/* Reasons of the last day's rejected shares, the most frequent first. */
function rejectedItems(work) {
  const all = Object.values(work.rejected).reduce((sum, count) => sum + count, work.shares);
  return Object.entries(work.rejected).sort(([, a], [, b]) => b - a).map(([reason, count]) => ({reason, count, all}));
}

function watchWork() {
  for (const button of document.querySelectorAll("[data-span]")) button.addEventListener("click", () => drawWork({span: button.dataset.span}));
  box("work-site").addEventListener("change", () => drawWork({site: box("work-site").value}));
  box("work-all").addEventListener("click", () => drawWork({worker: ""}));
  box("workers-search").addEventListener("input", () => workers.again());
}
