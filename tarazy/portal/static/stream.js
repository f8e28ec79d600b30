"use strict";

/* The event stream, by which the overview comes after each change; whether it does is told on the page. */

let source = null;
let paused = false;

function streamState(state) {
  box("stream").dataset.state = state;
  box("stream").textContent = t(`stream.${state}`);
}

/* `told` gets each overview; `again` is called some time after the server ended the stream for good. */
function listen(told, again) {
  source = new EventSource(`${API}events`);
  source.addEventListener("open", () => streamState(paused ? "paused" : "live"));
  source.addEventListener("overview", (event) => told(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    streamState("lost");
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(again, 10000);
    poll(told);
  });
}

/* Where no stream is to be had, figures come all the same. */
async function poll(told) {
  try {
    told(await (await ask("overview")).json());
  } catch (error) {
    turnAway(error);
  }
}
