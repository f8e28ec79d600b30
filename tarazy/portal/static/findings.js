"use strict";

/* Findings as of a moment; operators take them in hand and settle them. */

const STATE_KINDS = {open: "bad", acknowledged: "wait", resolved: "good", dismissed: "none"};
const HEADS = [["severity", false], ["text", false], ["state", true], ["since", true], ["owner", true]];
const COLUMNS = {since: "valid_from"};

const list = new Paged("findings", {
  path: () => "findings",
  params: () => ({
    ...momentParts(), ...(box("open").checked ? {open: "1"} : {}),
    ...(box("search").value.trim() ? {q: box("search").value.trim()} : {}),
  }),
  searched: () => box("search").value.trim() !== "",
  heads: () => [
    ...HEADS.map(([name, sorts]) => ({name: COLUMNS[name] ?? name, label: t(`findings.${name}`), sorts})),
    ...(may("write") ? [{name: "", label: t("paged.act"), sorts: false}] : []),
  ],
  cells: (row) => [
    [badge(SEVERITY_KINDS[row.severity] ?? "none", word("severity", row.severity)), row.blocks ? small(t("findings.blocks")) : null],
    [row.text[lang], row.why ? small(row.why) : null],
    badge(STATE_KINDS[row.state], word("finding_state", row.state)), when(row.valid_from), row.owner ?? "–",
    ...(may("write") ? [["open", "acknowledged"].includes(row.state) ? act(t("registers.open"), () => openMove(row), {"aria-label": `${t("registers.open")}: ${row.text[lang]}`}) : "–"] : []),
  ],
});

[list.sort, list.descending] = ["valid_from", true];

function openMove(row) {
  const dialog = openDialog("move", t("findings.title"));
  box("move-text").textContent = row.text[lang];
  box("moving").reset();
  const move = (way) => async (button) => {
    const why = box("move-why").value.trim();
    trouble(dialog, why || way === "take" ? null : t("findings.say_why"));
    if (!why && way !== "take") return;
    button.disabled = true;
    try {
      await ask(`findings/${way}?${new URLSearchParams({finding: row.finding, ...(why ? {why} : {})})}`, {method: "POST"});
      dialog.close();
      await list.load();
    } catch (error) {
      trouble(dialog, t("acting.failed", {why: error.message}));
    } finally {
      button.disabled = false;
    }
  };
  box("move-acts").replaceChildren(...["take", "resolve", "dismiss"].map((way) => act(t(`findings.${way}`), move(way))));
}

work(() => {
  watchMoment(() => list.again());
  onTyping(box("search"), () => list.again());
  box("open").addEventListener("change", () => list.again());
  box("moving").addEventListener("submit", (event) => event.preventDefault());
}, () => list.load());
