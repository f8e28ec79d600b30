"use strict";

/* What the pages share whose lists the server searches, sorts and pages: the moment they are of, and what is done there. */

let who = null;

const writes = () => who.role === "operator";

/* The offset of Almaty at a local time there; it changed in 2024. */
function almaty(local) {
  const named = new Intl.DateTimeFormat("en-US", {timeZone: ALMATY, timeZoneName: "longOffset"});
  const offset = named.formatToParts(new Date(`${local}+05:00`)).find((part) => part.type === "timeZoneName").value.slice(3);
  return local.padEnd(19, ":00") + (offset || "+00:00");
}

/* With the year and to the second: registers are of other years too. */
function exact(instant) {
  return `${fullDay.format(new Date(instant))}, ${clockTime.format(new Date(instant))}`;
}

/* An instant as the fields of forms have it, in Almaty. */
function local(instant) {
  const parts = new Intl.DateTimeFormat("sv-SE", {timeZone: ALMATY, dateStyle: "short", timeStyle: "medium"});
  return parts.format(new Date(instant)).replace(" ", "T");
}

/* The moment is kept in the page's address, and goes along to the other pages that know one. */
const MOMENT_PAGES = ["registers", "admissions", "findings"];

function momentParts() {
  const told = new URLSearchParams(location.search);
  return Object.fromEntries(["as_of", "known_at"].filter((name) => told.get(name)).map((name) => [name, told.get(name)]));
}

function showMoment() {
  const told = momentParts();
  const said = [told.as_of ? t("moment.past", {at: exact(told.as_of)}) : t("moment.present")];
  if (told.known_at) said.push(t("moment.known", {at: exact(told.known_at)}));
  box("shown-moment").textContent = said.join(" ");
  for (const name of ["as_of", "known_at"]) box(name).value = told[name] ? local(told[name]) : "";
  const search = new URLSearchParams(told).toString();
  for (const link of document.querySelectorAll(".places a, #languages a")) {
    const page = link.pathname.split("/")[2];
    if (MOMENT_PAGES.includes(page)) link.search = search;
  }
}

function watchMoment(changed) {
  const move = (told) => {
    const search = new URLSearchParams(told).toString();
    history.replaceState(null, "", location.pathname + (search && `?${search}`));
    showMoment();
    changed();
  };
  box("moment").addEventListener("submit", (event) => event.preventDefault());
  for (const name of ["as_of", "known_at"]) {
    box(name).addEventListener("change", () => {
      const chosen = ["as_of", "known_at"].filter((each) => box(each).value);
      move(Object.fromEntries(chosen.map((each) => [each, almaty(box(each).value)])));
    });
  }
  box("now").addEventListener("click", () => move({}));
  showMoment();
}

/* Typing is followed by one question, not by one for each letter. */
function onTyping(input, act) {
  let waiting;
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(act, 250);
  });
}

/* A file that may be refused comes by script and is saved from memory. */
async function save(path, name) {
  const url = URL.createObjectURL(await (await ask(path)).blob());
  element("a", {href: url, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/* `load` shows everything anew, `prepare` is done once before. */
async function work(prepare, load) {
  themeButton(() => {});
  try {
    await loadTexts();
  } catch (error) {
    setTimeout(() => work(prepare, load), 10000);
    return;
  }
  watchDialogs();
  copyButtons();
  prepare();
  const enter = async () => {
    box("problem").hidden = true;
    try {
      who = await (await ask("me")).json();
      greet(who);
      for (const part of document.querySelectorAll("[data-writes]")) part.hidden = !writes();
      await load();
      standing(true);
    } catch (error) {
      turnAway(error);
    }
  };
  waitForSomebody(enter);
  box("refresh").addEventListener("click", enter);
  await enter();
}
