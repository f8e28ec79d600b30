"use strict";

/* The moment that a page is of, and as it was known when: kept in the address, taken along from page to page. */

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
const MOMENT_PAGES = ["pool", "registers", "admissions", "findings", "energy", "accounting", "signing", "quarterly"];
const MOMENT_PARTS = ["as_of", "known_at"];

function momentParts() {
  const told = new URLSearchParams(location.search);
  return Object.fromEntries(MOMENT_PARTS.filter((name) => told.get(name)).map((name) => [name, told.get(name)]));
}

/* Where something of the moment is asked for. */
function momentPath(path) {
  const told = new URLSearchParams(momentParts()).toString();
  return path + (told && `${path.includes("?") ? "&" : "?"}${told}`);
}

/* Whether a moment of before is looked at: nothing is done then. */
const inPast = () => box("moment") !== null && Object.keys(momentParts()).length > 0;

/* The moment that is looked at, or now. */
function shownInstant() {
  const {as_of: at} = momentParts();
  return at && inPast() ? Date.parse(at) : Date.now();
}

function showMoment() {
  box("shown").classList.remove("untold");
  const told = momentParts();
  const said = [told.as_of ? t("moment.past", {at: exact(told.as_of)}) : t("moment.present")];
  if (told.known_at) said.push(t("moment.known", {at: exact(told.known_at)}));
  if (inPast() && box("moment").dataset.unkept) said.push(box("moment").dataset.unkept);
  box("shown-moment").textContent = said.join(" ");
  for (const name of MOMENT_PARTS) box(name).value = told[name] ? local(told[name]) : "";
  const search = new URLSearchParams(told).toString();
  for (const link of document.querySelectorAll(".places a, #languages a")) {
    const page = link.pathname.split("/")[2];
    if (MOMENT_PAGES.includes(page)) link.search = search;
  }
}

function watchMoment(changed) {
  const move = (told) => {
    const others = [...new URLSearchParams(location.search)].filter(([name]) => !MOMENT_PARTS.includes(name));
    const search = new URLSearchParams([...others, ...Object.entries(told)]).toString();
    history.replaceState(null, "", location.pathname + (search && `?${search}`));
    showMoment();
    changed();
  };
  box("moment").addEventListener("submit", (event) => event.preventDefault());
  for (const name of MOMENT_PARTS) {
    box(name).addEventListener("change", () => {
      const chosen = MOMENT_PARTS.filter((each) => box(each).value);
      move(Object.fromEntries(chosen.map((each) => [each, almaty(box(each).value)])));
    });
  }
  box("now").addEventListener("click", () => move({}));
  showMoment();
}
