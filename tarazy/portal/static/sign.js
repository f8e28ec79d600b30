"use strict";

/* Asking and telling the server as who is signed in, and forms that do so. */

const API = "/api/v1/";
const box = (id) => document.getElementById(id);

class Refused extends Error {
  constructor(status, code, said, faults = []) {
    super(said);
    this.status = status;
    this.code = code;
    this.faults = faults;
  }
}

async function ask(path, options = {}) {
  const answer = await fetch(API + path, options);
  if (answer.ok) return answer;
  const {error} = await answer.json().catch(() => ({error: {code: "", text: String(answer.status)}}));
  throw new Refused(answer.status, error.code, error.texts?.[lang] ?? error.text, error.faults);
}

async function tell(path, told) {
  return (await ask(path, {method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(told)})).json();
}

function complain(text) {
  box("problem").textContent = text;
  box("problem").hidden = false;
}

/* What is wrong, in the page's language where it has words for it. */
function fault(error) {
  if (!(error instanceof Refused)) return t("load_failed");
  return has(`sign.fault.${error.code}`) ? t(`sign.fault.${error.code}`) : error.message;
}

function onSubmit(id, act) {
  const form = box(id);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button[type=submit]");
    button.disabled = true;
    box("problem").hidden = true;
    try {
      await act(Object.fromEntries(new FormData(form)));
      form.reset();
    } catch (error) {
      complain(fault(error));
    } finally {
      button.disabled = false;
    }
  });
}

function standing(inside) {
  box("ask").hidden = inside;
  for (const part of document.querySelectorAll("#shown, #refresh, #forget, #pause, #stream")) part.hidden = !inside;
}

/* Who is signed in, as the server tells. */
let holder = null;

const may = (right) => holder.rights.includes(right);

/* Learns who it is, and shows the pages and buttons that are for such a one. Refuses whom this page is not for. */
async function greet() {
  holder = await (await ask("me")).json();
  box("holder").textContent = holder.name;
  for (const part of document.querySelectorAll("[data-rights]")) part.hidden = !part.dataset.rights.split(" ").some(may);
  if (document.querySelector(".places [aria-current]").hidden) throw new Refused(403, "", "");
}

/* Whoever is not signed in, or not for this page, is told so. */
function turnAway(error) {
  if (!(error instanceof Refused)) complain(t("load_failed"));
  else if (error.status === 401) {
    if (!box("shown").hidden) complain(t("signed_in.ended"));
    standing(false);
    box("name").focus();
  } else if (error.status === 403) {
    complain(t("signed_in.other"));
    box("ask").hidden = true;
    box("forget").hidden = false;
  } else {
    const untold = error.code === "no_such_moment";
    box("shown").classList.toggle("untold", untold);
    if (untold) standing(true);
    complain(error.status === 429 ? t("signed_in.wait") : fault(error));
  }
}

/* The form and the way out; `enter` is called when somebody is in. */
function waitForSomebody(enter) {
  onSubmit("ask", async (told) => {
    await tell("users/sign-in", told);
    await enter();
  });
  for (const button of document.querySelectorAll("[data-demo]")) {
    button.addEventListener("click", async () => {
      box("problem").hidden = true;
      await tell("users/demo", {role: button.dataset.demo}).then(enter, (error) => complain(fault(error)));
    });
  }
  box("forget").addEventListener("click", async () => {
    await tell("users/sign-out", {});
    location.reload();
  });
}
