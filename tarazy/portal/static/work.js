"use strict";

/* What the pages share whose lists the server searches, sorts and pages, and on which things are done. */

/* Typing is followed by one question, not by one for each letter. */
function onTyping(input, act) {
  let waiting;
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(act, 250);
  });
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
  prepare();
  const enter = async () => {
    box("problem").hidden = true;
    try {
      await greet();
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
