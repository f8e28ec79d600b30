"use strict";

/* A file that may be refused comes by script; it is saved under the name that the server gives it, or else `name`. */
async function saveFrom(path, name) {
  const answer = await ask(path);
  const given = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition") ?? "");
  save(await answer.blob(), given ? given[1] : name);
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", {href: url, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
