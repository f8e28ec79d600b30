"use strict";

/* The account of who is signed in: terms, credits, payouts, statements, and tokens of its programs. */

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

function roundSpan(first, last) {
  return first === last ? number(last) : `${number(first)}–${number(last)}`;
}

function termState(row) {
  if (row.in_force) return badge("good", t("terms.in_force"));
  return Date.parse(row.since) > Date.now() ? badge("wait", t("terms.announced")) : badge("none", t("terms.past"));
}

Object.assign(LISTS, {
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
        if (confirm(t("tokens.revoke_sure", {name: row.name}))) await changeTokens(() => tell("me/tokens/revoke", {name: row.name}), complain);
      }),
    ],
  },
});

/* Whether what is due can be paid to anybody. */
function payingTo({wallets, coming_wallet: coming}) {
  if (wallets.some((row) => row.status === "approved")) return t("me.unpaid");
  return coming ? badge("wait", t("me.address_from", {at: exact(coming.valid_from)})) : badge("bad", t("me.no_address"));
}

function showAccount(answer) {
  const {balance, holds} = answer;
  tile("immature", bitcoin(balance.immature), t("me.lost"));
  tile("payable", bitcoin(balance.payable), payingTo(holder));
  const why = element("span", {}, ...holds.flatMap((hold, at) => [at ? "; " : "", reason(hold)]));
  tile("held", bitcoin(balance.held), holds.length ? why : t("me.not_held"));
  tile("in_flight", bitcoin(balance.in_flight));
  tile("paid", bitcoin(balance.paid), t("me.earned", {amount: bitcoin(balance.earned)}));
}

/* Tokens of one's own programs; the text of a new one is shown this once. `refuse` tells why it is not done. */
async function changeTokens(change, refuse) {
  box("problem").hidden = true;
  box("token-told").hidden = true;
  try {
    const made = await change();
    await load();
    return made;
  } catch (error) {
    refuse(t("acting.failed", {why: error.message}));
    return null;
  }
}

function watchTokens() {
  copyButtons();
  const form = box("new-token"), section = form.closest("section");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const {name, scope, days} = Object.fromEntries(new FormData(form));
    trouble(section, null);
    const made = await changeTokens(() => tell("me/tokens", {name, scope, days: Number(days)}), (why) => trouble(section, why));
    if (!made) return;
    box("token-of").textContent = t("tokens.told", {name: made.name});
    box("token").textContent = made.token;
    box("token-told").hidden = false;
    form.reset();
  });
}

PAGES.me = {
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
};
