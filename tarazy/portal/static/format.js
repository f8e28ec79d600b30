"use strict";

/* Words and figures in the page's language. Everything shown on the page goes through here. */

const lang = document.documentElement.lang;
const ALMATY = "Asia/Almaty";
/* Kazakh figures look like Russian ones, for which every browser has the data; some claim Kazakh and have none. */
const locale = {kk: "ru", ru: "ru", en: "en-GB"}[lang];
const plural = new Intl.PluralRules(lang);
const clockTime = new Intl.DateTimeFormat(locale, {timeZone: ALMATY, hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23"});
const shortTime = new Intl.DateTimeFormat(locale, {timeZone: ALMATY, hour: "2-digit", minute: "2-digit", hourCycle: "h23"});
const dayNumber = new Intl.DateTimeFormat("en-CA", {timeZone: ALMATY});
const dayStyle = lang === "en" ? {day: "numeric", month: "short"} : {day: "2-digit", month: "2-digit"};
const dayName = new Intl.DateTimeFormat(locale, {timeZone: ALMATY, ...dayStyle});
const fullDay = new Intl.DateTimeFormat(locale, {timeZone: ALMATY, ...dayStyle, year: "numeric"});
const NARROW = "\u00a0";

let texts = {};

async function loadTexts() {
  const answer = await fetch(`/${lang}/texts.json?v=${document.documentElement.dataset.version}`);
  if (!answer.ok) throw new Error(`texts: ${answer.status}`);
  texts = await answer.json();
}

function has(key) {
  return key in texts;
}

function t(key, values = {}) {
  let text = texts[key];
  if (text === undefined) return key;
  if (typeof text === "object") text = text[plural.select(values.count)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : String(value ?? "");
  });
}

function number(value, digits = 0) {
  return new Intl.NumberFormat(locale, {minimumFractionDigits: digits, maximumFractionDigits: digits}).format(value);
}

/* Three significant digits, as many as a glance takes in. */
function significant(value) {
  return new Intl.NumberFormat(locale, {maximumSignificantDigits: value >= 1000 ? 4 : 3}).format(value);
}

function scaled(value, steps) {
  let [size, unit] = steps[0];
  for (const step of steps) if (Math.abs(value) >= step[0]) [size, unit] = step;
  return {size, unit};
}

const RATES = [[1, "H/s"], [1e3, "kH/s"], [1e6, "MH/s"], [1e9, "GH/s"], [1e12, "TH/s"], [1e15, "PH/s"], [1e18, "EH/s"]];

function rate(value, scale = value) {
  const {size, unit} = scaled(scale, RATES);
  return significant(value / size) + NARROW + unit;
}

function power(watts, scale = watts) {
  const {size, unit} = scaled(scale, [[1, "w"], [1e3, "kw"], [1e6, "mw"], [1e9, "gw"]]);
  return significant(watts / size) + NARROW + t(`unit.${unit}`);
}

function energy(wh) {
  const {size, unit} = scaled(wh, [[1e3, "kwh"], [1e6, "mwh"], [1e9, "gwh"]]);
  return number(wh / size, 2) + NARROW + t(`unit.${unit}`);
}

/* All eight decimals: amounts are exact, and a column of them lines up. */
function bitcoin(satoshi) {
  return number(satoshi / 1e8, 8) + NARROW + "BTC";
}

function tenge(text) {
  return number(Number(text), 2) + NARROW + "₸";
}

function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 100) return t("unit.seconds", {count: whole});
  if (whole < 6000) return t("unit.minutes", {count: Math.round(whole / 60)});
  if (whole < 360000) return t("unit.hours", {count: Math.round(whole / 3600)});
  return t("unit.days", {count: Math.round(whole / 86400)});
}

function moment(instant) {
  const date = new Date(instant);
  const today = dayNumber.format(date) === dayNumber.format(new Date());
  return today ? clockTime.format(date) : `${dayName.format(date)}, ${shortTime.format(date)}`;
}

function partyName(slug) {
  return names.get(slug) ?? slug;
}

const names = new Map();
