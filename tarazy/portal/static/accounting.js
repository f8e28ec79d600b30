"use strict";

/* The accounts of all: what should be looked at, batches, holds, rounds, sales, and the record of distributed assets. */

function roundBlock(row) {
  return row.block === null ? "–" : [number(row.block.height), small(blockWords(row.block))];
}

function verification(row) {
  if (row.distribution === null || row.distribution.state !== "final") return "–";
  if (!row.recorded) return badge("wait", t("rounds.unrecorded"));
  return [badge("good", t("rounds.recorded")), element("span", {class: "detail"}, element("code", {}, `tarazy round export ${row.round}`))];
}

function lines(row, told) {
  return row.obligations.map((line) => element("span", {class: "detail"}, told(line)));
}

function documentsOf(row) {
  if (row.sales === 0) return t("sales.none");
  return row.without_document ? badge("bad", t("sales.absent", {count: row.without_document})) : badge("good", t("sales.all_there"));
}

Object.assign(LISTS, {
  warnings: {
    key: (row) => row.text,
    cells: (row) => [badge(SEVERITY_KINDS[row.severity], word("severity", row.severity)), [row.text, row.language && row.language !== lang ? small(t(`paying.written_${row.language}`)) : null], row.at ? when(row.at) : "–"],
  },
  batches: {
    key: (row) => String(row.batch),
    cells: (row) => [
      number(row.batch), batchState(row), [bitcoin(row.amount), small(t("batches.payees", {count: row.payees}))],
      by(row.proposed_by, row.proposed_at), by(row.approved_by, row.approved_at),
      [...(row.waits_for === "approval" ? [] : [transaction(row)].flat()),
        element("p", {class: "files"}, act(t("paying.look"), () => openBatch(row), {"aria-label": t("paying.title", {batch: row.batch})}))],
    ],
  },
  holds: {
    key: (row) => `${row.party} ${row.why}`,
    cells: (row) => [row.party, [reason(row), decides() ? element("p", {class: "files"}, releaseButton(row)) : null], when(row.since), bitcoin(row.payable)],
  },
  rounds: {
    key: (row) => String(row.round),
    cells: (row) => [
      number(row.round), row.closed_at === null ? badge("wait", t("rounds.open")) : when(row.closed_at), roundBlock(row),
      ...(row.distribution === null ? ["–", "–", "–", "–"] : [
        [bitcoin(row.distribution.reward), small(row.distribution.scheme.toUpperCase())],
        [bitcoin(row.distribution.fee), small(percent(row.distribution.fee_ppm))],
        [bitcoin(row.distribution.credited), small(t("rounds.parties", {count: row.distribution.parties})),
          small(`${t("distributions.remainder")}: ${t("distributions.satoshi", {count: row.distribution.remainder})}`)],
        [divided(row.distribution), row.distribution.first_round === row.round ? null : small(t("rounds.from", {number: row.distribution.first_round}))],
      ]),
      verification(row),
    ],
  },
  sales: {
    items: (answer) => answer.items.map((row) => ({...row, year: answer.year, confirmed: answer.rules.every((rule) => rule.confirmed)})),
    key: (row) => row.party,
    cells: (row) => [
      element("strong", {}, row.names[lang]),
      lines(row, (line) => t(`sales.${line.base}`)), lines(row, (line) => bitcoin(line.amount)),
      lines(row, (line) => bitcoin(line.through_aifc)),
      row.obligations.some((line) => line.missing === null) ? small(t("sales.no_rule", {year: row.year}))
        : [...lines(row, (line) => bitcoin(line.missing)), row.confirmed ? null : small(t("sales.unconfirmed"))],
      documentsOf(row),
    ],
  },
  distributed: {
    key: (row) => `${row.period} ${row.version}`,
    cells: (row) => [row.period, [number(row.version), small(row.why)], dated(row.as_of), by(row.issued_by, row.issued_at), shortHash(row.digest)],
  },
});

function warningsOf(standing, record) {
  const found = [];
  const warn = (severity, key, values, at = null) => found.push({severity, text: t(`warnings.${key}`, values), at, language: values.language});
  if (standing.stopped) warn("serious", "stopped", standing.stopped, standing.stopped.at);
  if (standing.difference < 0) warn("serious", "short", {amount: bitcoin(-standing.difference)}, standing.checked_at);
  for (const row of standing.batches) if (row.trouble) warn("serious", "trouble", {batch: row.batch, why: row.trouble}, row.state_at);
  for (const row of standing.unaddressed) {
    const told = {party: row.party, amount: bitcoin(row.payable)};
    if (row.begins === null) warn("warning", "unaddressed", told);
    else warn("info", "addressed_later", {...told, at: exact(row.begins)});
  }
  if (standing.unrecorded) warn("warning", "unrecorded", {count: standing.unrecorded});
  if (record.unrecorded.distributions) warn("warning", "unissued", {count: record.unrecorded.distributions}, record.unrecorded.since);
  return found;
}

function showStanding(standing) {
  const waiting = standing.batches.filter((row) => row.waits_for === "approval");
  tile("waiting", t("accounting.batches", {count: waiting.length}), waiting.length ? t("accounting.approve") : "");
  tile("in_flight", bitcoin(standing.sums.in_flight), t("accounting.paid", {amount: bitcoin(standing.sums.paid)}));
  const held = new Map(standing.held.map((row) => [row.party, row.payable]));
  const sum = [...held.values()].reduce((total, amount) => total + amount, 0);
  tile("payable", bitcoin(standing.sums.payable), sum ? t("accounting.held", {amount: bitcoin(sum)}) : "");
  tile("immature", bitcoin(standing.sums.immature), t("accounting.fee", {amount: bitcoin(standing.sums.fee)}));
  if (inPast()) tile("wallet", badge("none", t("accounting.unkept")));
  else if (standing.difference === null) tile("wallet", badge("none", t("accounting.unchecked")));
  else {
    const short = standing.difference < 0;
    tile("wallet", badge(short ? "bad" : "good", t(short ? "accounting.differ" : "accounting.agree")), t("accounting.difference", {amount: bitcoin(standing.difference)}));
  }
}

PAGES.accounting = {
  sources: {standing: "accounting/payouts", rounds: "accounting/rounds", sales: "accounting/sales", distributed: "accounting/distributed"},
  paged: ["rounds", "distributed"],
  prepare: () => {
    watchMoment(load);
    watchPaying();
  },
  show: (told) => {
    showStanding(told.standing);
    showPaying(told.standing);
    told.batches = {items: told.standing.batches};
    told.holds = {items: told.standing.held};
    told.warnings = {items: warningsOf(told.standing, told.distributed)};
  },
};
