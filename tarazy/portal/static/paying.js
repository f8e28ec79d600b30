"use strict";

/* What people decide about payouts: batches, holds, and whether anything is paid at all. */

const SIGNABLE = new Set(["approved", "prepared"]);
const SENT = new Set(["signed", "broadcast"]);
const decides = () => may("pay") && answers.standing.signing !== null && !inPast();

function said(text) {
  box("paid").textContent = text;
}

/* A person sees what will happen and says why before anything does. `fields`: what is asked; `act` does it and says what was done. */
function decide(name, values, fields, act) {
  const dialog = openDialog("decide", t(`paying.${name}`, values));
  const form = box("deciding");
  form.reset();
  box("decide-text").textContent = t(`paying.${name}_means`, values);
  for (const label of form.querySelectorAll("[data-field]")) {
    label.hidden = !fields.includes(label.dataset.field);
    label.querySelector("[name]").disabled = label.hidden;
  }
  if (fields.includes("language")) form.elements.language.value = lang;
  const enter = box("decide-do");
  enter.textContent = t(`paying.${name}`, values);
  form.onsubmit = async (event) => {
    event.preventDefault();
    trouble(dialog, null);
    enter.disabled = true;
    try {
      const done = await act(Object.fromEntries(new FormData(form)));
      dialog.close();
      await load();
      said(done);
    } catch (error) {
      trouble(dialog, t("acting.failed", {why: error.message}));
    } finally {
      enter.disabled = false;
    }
  };
}

async function holdOne() {
  const {items} = await (await ask("registers/party?limit=1000")).json();
  box("parties").replaceChildren(...items.map((row) => element("option", {value: row.party}, row[`name_${lang}`])));
  decide("hold", {}, ["party", "why", "language"], async (told) => {
    await tell("accounting/payouts/hold", told);
    return t("paying.held", {party: told.party});
  });
}

function releaseButton(row) {
  return act(t("paying.release_one"), () => decide("release", {party: row.party}, ["why"], async (told) => {
    await tell("accounting/payouts/release", {party: row.party, ...told});
    return t("paying.released", {party: row.party});
  }), {"aria-label": t("paying.release", {party: row.party})});
}

function switchPaying() {
  const way = answers.standing.stopped === null ? "stop" : "resume";
  decide(way, {}, way === "stop" ? ["why", "language"] : ["why"], async (told) => {
    await tell(`accounting/payouts/${way}`, told);
    return t(`paying.${way}_done`);
  });
}

/* Without a dialog: nothing is moved. */
const plainly = (done) => async (button) => {
  button.disabled = true;
  box("problem").hidden = true;
  try {
    const told = await done();
    await load();
    said(told);
  } catch (error) {
    complain(t("acting.failed", {why: error.message}));
  } finally {
    button.disabled = false;
  }
};

async function checkWallet() {
  const found = await tell("accounting/payouts/check", {});
  const figures = t("paying.checked", {wallet: bitcoin(found.wallet), books: bitcoin(found.books), difference: bitcoin(found.difference)});
  return [figures, ...found.unknown.map((txid) => t("paying.unknown", {txid}))].join(" ");
}

async function propose() {
  const made = await tell("accounting/payouts/propose", {});
  const told = made.batch === null ? t("paying.nothing") : t("paying.proposed", {batch: made.batch, amount: bitcoin(made.amount)});
  const first = Object.entries(made.first_payments).map(([party, rest]) => t("paying.first", {party, rest: bitcoin(rest)}));
  return [told, ...first, ...Object.entries(made.left_out).map(([party, why]) => t("paying.left_out", {party, why: why[lang]}))].join(" ");
}

/* Payouts are proposed by one person and approved by another, who sees before what goes to whom. */
async function openBatch(row) {
  let payments;
  try {
    ({payments} = await (await ask(momentPath(`accounting/payouts/${row.batch}`))).json());
  } catch (error) {
    turnAway(error);
    return;
  }
  openDialog("batch", t("paying.title", {batch: row.batch}));
  box("payments").replaceChildren(table([t("paying.party"), t("paying.address"), t("paying.amount")],
    payments.map((each) => [each.party, element("code", {}, each.address), bitcoin(each.amount)])));
  box("batch-note").textContent = row.abandon_asked_by ? t("paying.asked", {by: row.abandon_asked_by}) : "";
  box("batch-acts").replaceChildren(...(decides() ? actsOf(row) : []));
}

function actsOf(row) {
  const path = `accounting/payouts/${row.batch}/`, values = {batch: row.batch};
  const doing = (name, send) => act(t(`paying.${name}_one`), async (button) => {
    button.disabled = true;
    try {
      await send();
      box("batch").close();
      await load();
      said(t(`paying.${name}_done`, values));
    } catch (error) {
      trouble(box("batch"), t("acting.failed", {why: error.message}));
      button.disabled = false;
    }
  });
  const deciding = (name, fields, send) => act(t(`paying.${name}_one`), () => {
    box("batch").close();
    decide(name, values, fields, send);
  });
  const found = [];
  if (row.waits_for === "approval") {
    found.push(row.proposed_by === holder.name ? t("paying.own") : doing("approve", () => tell(`${path}approve`, {})));
  }
  if (answers.standing.signing === "offline" && (SIGNABLE.has(row.state) || SENT.has(row.state))) {
    found.push(doing("export", async () => save(new Blob([(await tell(`${path}export`, {})).psbt, "\n"]), `batch-${row.batch}.psbt`)));
    found.push(deciding("import", ["file"], async ({file}) => {
      const {txid} = await tell(`${path}import`, {psbt: (await file.text()).trim()});
      return t("paying.import_done", {...values, txid});
    }));
  }
  if (SENT.has(row.state) || (answers.standing.signing === "wallet" && SIGNABLE.has(row.state))) {
    found.push(doing("broadcast", () => tell(`${path}broadcast`, {})));
  }
  if (SENT.has(row.state)) {
    found.push(deciding("bump", ["rate"], async ({rate}) => {
      const {txid} = await tell(`${path}bump`, {rate: Number(rate)});
      return txid === null ? t("paying.bump_waits", values) : t("paying.bump_done", {...values, txid});
    }));
  }
  found.push(deciding("abandon", ["why"], async (told) =>
    t((await tell(`${path}abandon`, told)).abandoned ? "paying.abandon_done" : "paying.abandon_asked", values)));
  return found;
}

function watchPaying() {
  watchDialogs();
  box("propose").addEventListener("click", () => plainly(propose)(box("propose")));
  box("check").addEventListener("click", () => plainly(checkWallet)(box("check")));
  box("hold").addEventListener("click", () => holdOne().catch(turnAway));
  box("switch").addEventListener("click", switchPaying);
}

function showPaying(standing) {
  box("paying").hidden = !decides();
  box("unset").hidden = standing.signing !== null || inPast();
  box("propose").disabled = standing.stopped !== null;
  box("switch").textContent = t(standing.stopped === null ? "paying.stop" : "paying.resume");
}
