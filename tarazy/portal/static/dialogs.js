"use strict";

/* Dialogs, what they hold, and buttons. */

function watchDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) dialog.querySelector(".shut").addEventListener("click", () => dialog.close());
}

function act(label, done, attributes = {}) {
  const button = element("button", {type: "button", ...attributes}, label);
  button.addEventListener("click", () => done(button));
  return button;
}

function openDialog(name, title) {
  const dialog = box(name);
  box(`${name}-title`).textContent = title;
  trouble(dialog, null);
  if (!dialog.open) dialog.showModal();
  return dialog;
}

function trouble(dialog, text) {
  const line = dialog.querySelector(".trouble");
  line.hidden = text === null;
  line.textContent = text ?? "";
}

function table(heads, rows) {
  const head = element("tr", {role: "row"}, ...heads.map((text) => element("th", {scope: "col", role: "columnheader"}, text)));
  const body = rows.map((cells) => element("tr", {role: "row"}, ...cells.map((cell, at) =>
    element("td", {role: "cell", "data-label": heads[at]}, ...[cell].flat().filter((part) => part !== null)))));
  return element("table", {class: "listing", role: "table"}, element("thead", {role: "rowgroup"}, head), element("tbody", {role: "rowgroup"}, ...body));
}

function copyButtons() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const source = box(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = t("acting.copied");
      } catch (error) {
        getSelection().selectAllChildren(source);
      }
    });
  }
}
