"use strict";

/* The pages of who is signed in. The session is in a cookie that scripts do not see. */

const REFRESH_SECONDS = 60;
const BATCH_KINDS = {confirmed: "good", abandoned: "bad"};
const DELIVERY_KINDS = {received: "good", refused: "bad", abandoned: "none"};
const STANDING_KINDS = {open: "none", near: "wait", overdue: "bad"};
const answers = {};

/* A signature that was made elsewhere goes to the server, which looks whether it is of this report. */
function attach(row) {
  const input = element("input", {type: "file", accept: ".p7s,.cms,.sig,.pem", "aria-label": t("signatures.attach_to", {name: row.name})});
  input.addEventListener("change", async () => {
    if (!input.files.length) return;
    box("problem").hidden = true;
    input.disabled = true;
    try {
      const headers = {"content-type": "application/octet-stream"};
      await ask(`signatures?name=${encodeURIComponent(row.name)}`, {method: "POST", headers, body: input.files[0]});
      await load();
    } catch (error) {
      complain(t("signatures.refused", {why: error.message}));
      input.value = "";
      input.disabled = false;
    }
  });
  return element("label", {}, t("signatures.attach"), input);
}

function signatureState(row) {
  const standing = row.signature === null ? "none" : row.signature.standing;
  const kinds = {fits: "good", trusted: "good", broken: "bad", unread: "wait", none: "none"};
  return [badge(kinds[standing], t(`signatures.standing.${standing}`)), small(row.signature?.fault ?? "")];
}

/* Whoever proposed it, or may not write, is told so by the server. */
function approval(row) {
  if (row.state !== "proposed" || !may("send") || inPast()) return "–";
  if (row.proposed_by === holder.name) return small(t("deliveries.another"));
  const button = element("button", {type: "button", "aria-label": t("deliveries.approve_one", {number: row.delivery})}, t("deliveries.approve"));
  button.addEventListener("click", async () => {
    if (!confirm(t("deliveries.sure", {what: word("report", row.kind), period: row.period, to: row.profile}))) return;
    button.disabled = true;
    box("problem").hidden = true;
    try {
      await ask(`deliveries?delivery=${row.delivery}`, {method: "POST"});
      await load();
    } catch (error) {
      complain(t("deliveries.refused", {why: error.message}));
      button.disabled = false;
    }
  });
  return button;
}

function tile(name, figure, detail) {
  const [main, line] = box(`tile-${name}`).querySelectorAll("p");
  main.replaceChildren(figure);
  line.replaceChildren(detail ?? "");
}

function download(path, label) {
  const button = element("button", {type: "button"}, label);
  button.addEventListener("click", async () => {
    button.disabled = true;
    box("problem").hidden = true;
    try {
      await saveFrom(path, `${path.replaceAll("/", "-")}.json`);
    } catch (error) {
      complain(t("signed_in.failed", {why: error.message}));
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

/* A reason is written in one language: who reads another is told which. */
function reason(row) {
  if (row.language === null || row.language === lang) return element("span", {lang: row.language ?? ""}, row.why);
  return element("span", {}, element("span", {lang: row.language}, row.why), " ", small(t(`paying.written_${row.language}`)));
}

function percent(ppm) {
  return number(ppm / 10000, 2) + NARROW + "%";
}

function roundSpan(first, last) {
  return first === last ? number(last) : `${number(first)}–${number(last)}`;
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

function termState(row) {
  if (row.in_force) return badge("good", t("terms.in_force"));
  return Date.parse(row.since) > Date.now() ? badge("wait", t("terms.announced")) : badge("none", t("terms.past"));
}

function roundBlock(row) {
  return row.block === null ? "–" : [number(row.block.height), small(blockWords(row.block))];
}

function verification(row) {
  if (row.distribution === null || row.distribution.state !== "final") return "–";
  if (!row.recorded) return badge("wait", t("rounds.unrecorded"));
  return [badge("good", t("rounds.recorded")), element("span", {class: "detail"}, element("code", {}, `tarazy round export ${row.round}`))];
}

function dueSource(row) {
  const doubt = row.doubts.length ? ` · ${t("schedule.uncertain")}` : "";
  if (row.rule === null) return t("schedule.by_settings") + doubt;
  return row.rule + (row.confirmed ? "" : ` · ${t("schedule.unconfirmed")}`) + doubt;
}

function lines(row, told) {
  return row.obligations.map((line) => element("span", {class: "detail"}, told(line)));
}

function documentsOf(row) {
  if (row.sales === 0) return t("sales.none");
  return row.without_document ? badge("bad", t("sales.absent", {count: row.without_document})) : badge("good", t("sales.all_there"));
}

Object.assign(LISTS, {
  signatures: {
    key: (row) => row.name,
    cells: (row) => [
      [element("a", {href: `/api/v1/reports/${row.name}`, download: ""}, row.name), small(dated(row.as_of))],
      shortHash(row.digest), signatureState(row),
      row.signature?.holder ? [row.signature.holder, small(row.signature.issuer),
        row.signature.signed_at === null ? null : small(dated(row.signature.signed_at))] : "–",
      row.signature === null && may("write") && !inPast() ? attach(row) : "–",
    ],
  },
  schedule: {
    key: (row) => `${row.kind} ${row.period}`,
    cells: (row) => [
      [word("report", row.kind), small(row.period)],
      row.due === null ? t("schedule.unknown") : [legalDay(row.due), small(dueSource(row))],
      badge(STANDING_KINDS[row.standing], word("report_standing", row.standing)),
      has(`schedule_state.${row.state}`) ? t(`schedule_state.${row.state}`) : word("delivery_state", row.state), row.trouble ?? "–",
    ],
  },
  deliveries: {
    key: (row) => String(row.delivery),
    cells: (row) => [
      number(row.delivery),
      [element("a", {href: `/api/v1/reports/${row.name}`, download: ""}, word("report", row.kind)), small(row.period), element("span", {class: "detail"}, shortHash(row.digest))],
      [row.profile, small(new URL(row.url).host)],
      [badge(DELIVERY_KINDS[row.state] ?? "wait", word("delivery_state", row.state)), small(row.trouble)],
      by(row.proposed_by, row.proposed_at), by(row.approved_by, row.approved_at), number(row.attempts),
      row.receipt === null ? "–" : [element("code", {}, row.receipt), small(dated(row.received_at))],
      approval(row),
    ],
  },
  terms: {
    items: (answer) => answer.terms,
    key: (row) => String(row.since),
    cells: (row) => [
      row.since === null ? t("terms.begin") : dated(row.since),
      [row.scheme.toUpperCase(), row.window === null ? null : small(t("terms.window", {count: row.window}))],
      percent(row.fee_ppm), termState(row),
    ],
  },
  credits: {
    key: (row) => String(row.distribution),
    cells: (row) => [
      number(row.height), roundSpan(row.first_round, row.last_round), row.scheme.toUpperCase(), bitcoin(row.reward),
      [bitcoin(row.fee), small(percent(row.fee_ppm))], element("strong", {}, bitcoin(row.amount)),
      [divided(row), small(moment(row.reversed_at ?? row.final_at ?? row.booked_at))],
      row.receipt === null ? (row.state === "reversed" ? "–" : small(t("credits.later"))) : download(`me/receipts/${row.receipt}`, t("credits.download")),
    ],
  },
  payouts: {
    key: (row) => String(row.batch),
    cells: (row) => [
      number(row.batch), element("strong", {}, bitcoin(row.amount)), batchState(row), transaction(row),
      element("code", {}, row.address), when(row.state_at),
    ],
  },
  statements: {
    items: (answer) => answer.items.map((row) => ({...row, as_of: answer.as_of})),
    key: (row) => row.period,
    cells: (row) => [
      row.period, badge(row.complete ? "good" : "wait", t(row.complete ? "statements.complete" : "statements.running")),
      element("span", {class: "files"}, ...["pdf", "xlsx", "json"].map((form) =>
        download(`me/statements/${row.period}?form=${form}&lang=${lang}&as_of=${row.as_of}`, form.toUpperCase()))),
    ],
  },
  tokens: {
    key: (row) => row.name,
    cells: (row) => [
      element("strong", {}, row.name), t(`tokens.scopes.${row.scope}`), by(row.created_by, row.created_at), dated(row.expires_at),
      act(t("tokens.revoke"), async () => {
        if (confirm(t("tokens.revoke_sure", {name: row.name}))) await changeTokens(() => tell("me/tokens/revoke", {name: row.name}));
      }),
    ],
  },
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
  for (const row of standing.unaddressed) warn("warning", "unaddressed", {party: row.party, amount: bitcoin(row.payable)});
  if (standing.unrecorded) warn("warning", "unrecorded", {count: standing.unrecorded});
  if (record.unrecorded.distributions) warn("warning", "unissued", {count: record.unrecorded.distributions}, record.unrecorded.since);
  return found;
}

function showAccount(answer) {
  const {balance, holds} = answer;
  tile("immature", bitcoin(balance.immature), t("me.lost"));
  const approved = holder.wallets.filter((row) => row.status === "approved");
  tile("payable", bitcoin(balance.payable), approved.length ? t("me.unpaid") : badge("bad", t("me.no_address")));
  const why = element("span", {}, ...holds.flatMap((hold, at) => [at ? "; " : "", reason(hold)]));
  tile("held", bitcoin(balance.held), holds.length ? why : t("me.not_held"));
  tile("in_flight", bitcoin(balance.in_flight));
  tile("paid", bitcoin(balance.paid), t("me.earned", {amount: bitcoin(balance.earned)}));
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

function showSignatures(answer) {
  const signed = answer.items.filter((row) => row.signature !== null);
  const broken = signed.filter((row) => row.signature.standing === "broken").length;
  tile("documents", number(answer.total));
  tile("signed", number(signed.length), broken ? badge("bad", t("signing.broken", {count: broken})) : "");
  tile("unsigned", number(answer.items.length - signed.length));
}

/* Tokens of one's own programs; the text of a new one is shown this once. */
async function changeTokens(change) {
  box("problem").hidden = true;
  box("token-told").hidden = true;
  try {
    const made = await change();
    await load();
    return made;
  } catch (error) {
    complain(t("acting.failed", {why: error.message}));
    return null;
  }
}

function watchTokens() {
  copyButtons();
  const form = box("new-token");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const {name, scope, days} = Object.fromEntries(new FormData(form));
    const made = await changeTokens(() => tell("me/tokens", {name, scope, days: Number(days)}));
    if (!made) return;
    box("token-of").textContent = t("tokens.told", {name: made.name});
    box("token").textContent = made.token;
    box("token-told").hidden = false;
    form.reset();
  });
}

Object.assign(PAGES, {
  signing: {
    sources: {signatures: "signatures", deliveries: "deliveries", schedule: "schedule"},
    paged: ["signatures", "deliveries"],
    prepare: () => watchMoment(load),
    show: (told) => {
      showSignatures(told.signatures);
      tile("waiting", number(told.deliveries.items.filter((row) => row.state === "proposed").length));
      const late = told.schedule.items.filter((row) => row.standing === "overdue").length;
      const near = told.schedule.items.filter((row) => row.standing === "near").length;
      tile("late", late ? badge("bad", number(late)) : number(0), told.schedule.faults.join("; ") || t("signing.near", {count: near}));
    },
  },
  me: {
    sources: {work: "me/hashrate", terms: "me/account", credits: "me/credits", payouts: "me/payouts", statements: "me/statements", tokens: "me/tokens"},
    paged: ["credits", "payouts", "statements"],
    prepare: () => {
      watchTokens();
      watchWork();
      watchSizes();
    },
    show: (told) => {
      showAccount(told.terms);
      told.rejected = {items: rejectedItems(told.work)};
      told.declined = {items: holder.admissions.filter((row) => row.decision === "refused")};
    },
    shown: (told) => showMine(told.work),
    repaint: () => redrawCharts(),
  },
  accounting: {
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
  },
});
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
