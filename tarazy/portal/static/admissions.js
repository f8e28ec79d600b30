"use strict";

/* Who may mine by the registers of a moment, and who was let in or turned away; live while the moment is the present. */

const decisions = new Paged("decisions", {
  path: () => "admissions",
  params: () => {
    const {as_of} = momentParts();
    return {order: "desc", ...(as_of ? {to: as_of} : {}), ...(box("outcome").value ? {kind: box("outcome").value} : {})};
  },
  cells: (row) => [
    when(row.last), [element("strong", {}, row.account || "–"), small(row.worker), row.party && row.party !== row.account ? small(row.party) : null],
    [badge(row.kind === "admitted" ? "good" : "bad", word("decision", row.kind)), reasons(row.reasons)],
    number(row.count), [row.sites.join(", "), small(row.peers.slice(0, 3).join(", "))],
  ],
});

const admissible = new Paged("admissible", {
  path: () => "admissions/at",
  params: momentParts,
  cells: (row) => [
    element("strong", {}, row.party), row.site ?? "–",
    [badge(row.admitted ? "good" : "bad", t(row.admitted ? "miners.admitted" : "miners.not_admitted")), reasons(row.reasons)],
    number(row.machines.length),
  ],
});

let seen = null;

/* The stream tells that something was decided or entered; a past moment stays as it is. */
function follow() {
  listen(({versions}) => {
    const before = seen;
    seen = versions.admissions;
    if (before === null || before === seen || momentParts().as_of) return;
    decisions.load();
    admissible.load();
  }, follow);
}

work(() => {
  const again = () => {
    decisions.again();
    admissible.again();
  };
  watchMoment(again);
  box("outcome").addEventListener("change", () => decisions.again());
}, async () => {
  await Promise.all([decisions.load(), admissible.load()]);
  if (source === null) follow();
});
