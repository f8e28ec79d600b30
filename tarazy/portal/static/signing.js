"use strict";

/* Reports: which are due, which are on their way to authorities, and who signed them. */

const DELIVERY_KINDS = {received: "good", refused: "bad", abandoned: "none"};
const STANDING_KINDS = {open: "none", near: "wait", overdue: "bad"};

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

function dueSource(row) {
  const doubt = row.doubts.length ? ` · ${t("schedule.uncertain")}` : "";
  if (row.rule === null) return t("schedule.by_settings") + doubt;
  return row.rule + (row.confirmed ? "" : ` · ${t("schedule.unconfirmed")}`) + doubt;
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
});

function showSignatures(answer) {
  const signed = answer.items.filter((row) => row.signature !== null);
  const broken = signed.filter((row) => row.signature.standing === "broken").length;
  tile("documents", number(answer.total));
  tile("signed", number(signed.length), broken ? badge("bad", t("signing.broken", {count: broken})) : "");
  tile("unsigned", number(answer.items.length - signed.length));
}

PAGES.signing = {
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
};
