"use strict";

/* Asking and telling the server as who is signed in, and forms that do so. */

const API = "/api/v1/";
const box = (id) => document.getElementById(id);

class Refused extends Error {
  constructor(status, code, said) {
    super(said);
    this.status = status;
    this.code = code;
  }
}

async function ask(path, options = {}) {
  const answer = await fetch(API + path, options);
  if (answer.ok) return answer;
  const {error} = await answer.json().catch(() => ({error: {code: "", text: String(answer.status)}}));
  throw new Refused(answer.status, error.code, error.text);
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
