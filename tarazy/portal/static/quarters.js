"use strict";

/* The legal day of the moment that is looked at. */
function shownDay() {
  return dayNumber.format(new Date(shownInstant()));
}

const QUARTERS = 8;

/* The quarter of the moment that is looked at and those before it, the newest first. */
function quarters() {
  const [year, month] = shownDay().split("-").map(Number);
  const newest = year * 4 + Math.floor((month - 1) / 3);
  return Array.from({length: QUARTERS}, (_, back) => `${Math.floor((newest - back) / 4)}-Q${((newest - back) % 4) + 1}`);
}
