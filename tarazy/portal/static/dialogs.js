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

function table(labels, rows) {
  const heads = labels.map((label) => tableHead(label));
  return element("table", {class: "listing", role: "table"},
    element("thead", {role: "rowgroup"}, element("tr", {role: "row"}, ...heads)),
    element("tbody", {role: "rowgroup"}, ...rows.map((cells) => tableRow(heads, cells))));
}
