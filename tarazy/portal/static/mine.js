"use strict";

/* The work of who is signed in: hash rate, workers, who was turned away, the licence, and how to connect. */

const WORKER_HEADS = ["workername", "site", "hashrate", "hashrate1hr", "hashrate1d", "shares", "stale_shares", "lastshare"];
const TEXTUAL = ["workername", "site", "lastshare"];

function rateOrNone(value) {
  return value ? rate(value) : "–";
}

function unixTime(seconds) {
  return seconds === null ? "–" : when(new Date(seconds * 1000).toISOString());
}

function staleCell(row) {
  const all = row.shares + row.stale_shares;
  return [number(row.stale_shares), row.stale_shares ? small(`${number(100 * row.stale_shares / all, 2)}${NARROW}%`) : null];
}

const workers = new Paged("workers", {
  path: () => "me/workers",
  heads: () => WORKER_HEADS.map((name) => ({
    name, label: t(`workers.${name}`), sorts: name !== "site", numeric: !TEXTUAL.includes(name), falls: name !== "workername",
  })),
  cells: (row) => [
    element("strong", {}, row.workername), row.site, rateOrNone(row.hashrate), rateOrNone(row.hashrate1hr), rateOrNone(row.hashrate1d),
    number(row.shares), staleCell(row), unixTime(row.lastshare),
  ],
});
[workers.sort, workers.descending] = ["hashrate", true];

LISTS.declined = {
  items: (answer) => answer.items,
  key: (row) => `${row.worker} ${row.peer} ${row.first}`,
  cells: (row) => [element("strong", {}, row.worker || "–"), reasons(row.reasons ?? []), row.peer ? element("code", {}, row.peer) : "–", number(row.count ?? 1), when(row.last)],
};

function ownModel(work) {
  return {
    times: work.series.map((each) => Date.parse(each.start) / 1000), format: rate,
    series: [{label: t("mine.hashrate"), values: work.series.map((each) => each.hashrate), fill: true, paint: "--series-0", width: 2}],
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

function showMine(holder, work) {
  const {shares, stale_shares: stale} = work;
  tile("hashrate", rateOrNone(work.hashrate), t("mine.rates", {hour: rateOrNone(work.hashrate1hr), day: rateOrNone(work.hashrate1d)}));
  tile("workers", number(work.workers), work.lastshare === null ? t("mine.no_share") : element("span", {}, `${t("mine.last")} `, unixTime(work.lastshare)));
  tile("shares", number(shares), t("mine.of_day"));
  tile("stale", number(stale), shares + stale ? t("mine.part", {percent: number(100 * stale / (shares + stale), 2)}) : t("mine.of_day"));
  showLicence(holder.licences);
  box("connect-login").textContent = `${holder.party?.account ?? holder.name}.rig1`;
  drawChart("hashrate", ownModel(work));
  return workers.load();
}
