"use strict";

/* The registers: search, history and difference; entering by forms and files, looked at before it is entered. */

const SHOWN = {
  party: ["party", `name_${lang}`, "bin", "kind", "account"],
  wallet: ["wallet", "party", "address", "status"],
  licence: ["licence", "party", "kind", "issued_on", "status"],
  site: ["site", "name", "party", "region", "networks", "permitted_power_w", "status"],
  placement: ["placement", "party", "site", "contract"],
  certificate: ["certificate", "issued_by", "issued_on", "status"],
  server: ["server", "host", "country", "location", "networks"],
  equipment: ["equipment", "model", "party", "site", "nominal_hash_rate_hs", "nominal_power_w"],
  meter: ["meter", "site", "party", "profile", "source", "status", "read_by"],
  supply: ["supply", "site", "source", "priority", "price_tiyn_per_kwh", "month_kwh"],
  quota: ["quota", "site", "month", "energy_kwh", "source"],
  permit: ["permit", "party", "issued_by", "issued_on", "platform", "status"],
  document: ["document", "of_register", "of_key", "title", "number", "issued_on"],
  geo: ["geo", "country", "file", "dated_on", "ranges"],
};
/* Which words a column's codes are told by. */
const WORDS = {
  "party.kind": "party_kind", jurisdiction: "jurisdiction", "wallet.status": "wallet_status", "licence.kind": "licence_kind",
  "licence.status": "licence_status", "site.status": "site_status", energy_by: "energy_by", energy_rest: "energy_rest",
  "certificate.status": "certificate_status", "permit.status": "certificate_status", "meter.status": "meter_status",
  source: "energy_source", read_by: "read_by", of_register: "register",
};
const UNITS = {nominal_hash_rate_hs: rate, permitted_power_w: power, nominal_power_w: power};
const NUMERIC = new Set(["permitted_power_w", "nominal_hash_rate_hs", "nominal_power_w", "priority", "price_tiyn_per_kwh", "month_kwh", "energy_kwh", "ranges", "size"]);
const RECORD = ["corrects", "why"];
const STEPS = ["certificate", "server", "party", "licence", "site", "placement", "equipment", "wallet"];
const FREE = "text";
/* The example of a column that takes any text. */
const SHOWN_CHANGES = 100;
const described = new Map();

const kind = () => box("kind").value;
const label = (name) => t(`columns.${name}`);

async function columnsOf(register) {
  if (!described.has(register)) described.set(register, (await (await ask(`registers/${register}/columns`)).json()).items);
  return described.get(register);
}

function told(register, name, value) {
  if (value === null || value === undefined || value === "") return "–";
  const words = WORDS[`${register}.${name}`] ?? WORDS[name];
  if (words) return word(words, value);
  if (name in UNITS) return UNITS[name](value);
  if (Array.isArray(value)) return value.join(" ");
  if (name === "valid_from" || name === "valid_to") return exact(value);
  return typeof value === "number" ? number(value) : String(value);
}

function validity(entry) {
  const [from, to] = [entry.valid_from, entry.valid_to].map((at) => at && dateOf(at));
  return to ? t("registers.between", {from, to: dateOf(new Date(Date.parse(entry.valid_to) - 1))}) : t("registers.since", {from});
}

function dateOf(instant) {
  return fullDay.format(new Date(instant));
}

const list = new Paged("registers", {
  path: () => `registers/${kind()}`,
  params: () => ({...momentParts(), ...(box("search").value.trim() ? {q: box("search").value.trim()} : {})}),
  searched: () => box("search").value.trim() !== "",
  heads: () => [
    ...SHOWN[kind()].map((name) => ({name, label: label(name), sorts: name !== "networks", numeric: NUMERIC.has(name)})),
    {name: "valid_from", label: t("registers.validity"), sorts: true},
    {name: "", label: t("paged.act"), sorts: false},
  ],
  cells: (entry) => [
    ...SHOWN[kind()].map((name) => [told(kind(), name, entry[name]),
      name === "status" && entry.approved_from ? small(t("registers.approved_from", {at: exact(entry.approved_from)})) : null]),
    element("time", {datetime: entry.valid_from, title: entry.valid_from}, validity(entry)),
    act(t("registers.open"), () => openPast(kind(), entry[kind()]), {"aria-label": `${t("registers.open")}: ${entry[kind()]}`}),
  ],
});

/* Differences as the server tells them: column → before and after. */
function differences(register, changes) {
  const lines = Object.entries(changes).map(([name, {before, after}]) => element("li", {},
    `${label(name)}: `, ...(before ? [element("del", {}, codeWord(register, name, before)), " → "] : []), element("ins", {}, codeWord(register, name, after) || "–")));
  return element("ul", {class: "reasons"}, ...lines);
}

function codeWord(register, name, text) {
  if (name.startsWith("valid_") && text) return text.includes("T") ? exact(text) : dateOf(`${text}T00:00:00Z`);
  const words = WORDS[`${register}.${name}`] ?? WORDS[name];
  return words && text ? word(words, text) : text;
}

function standingOf(row) {
  if (row.corrected_by !== null) return badge("none", t("past.corrected", {count: row.corrected_by}));
  if (row.valid_to === row.valid_from) return badge("none", t("past.withdrawn"));
  return badge("good", t("past.stands"));
}

async function openPast(register, key) {
  const known = momentParts().known_at;
  const search = new URLSearchParams({key, ...(known ? {known_at: known} : {})});
  let versions;
  try {
    versions = (await (await ask(`registers/${register}/history?${search}`)).json()).items;
  } catch (error) {
    complain(error.message);
    return;
  }
  openDialog("past", t("past.title", {name: key}));
  const mayWrite = may("write") && register !== "geo";
  const rows = [...versions].reverse().map((row) => [
    number(row.entry), [row.recorded_by, small(exact(row.recorded_at))], validity(row),
    [differences(register, row.changes), row.why ? small(`${t("columns.why")}: ${row.why}`) : null],
    [standingOf(row), row.corrected_by === null && mayWrite && register !== "document"
      ? act(t("past.correct"), () => openEntry(register, "correct", row)) : null],
  ]);
  box("versions").replaceChildren(table(
    [t("past.entry"), t("past.recorded"), t("registers.validity"), t("past.differs"), t("past.state")], rows));
  const now = versions.filter((row) => row.corrected_by === null).at(-1);
  const acts = [];
  if (mayWrite && now && register !== "document") acts.push(act(t("past.change"), () => openEntry(register, "change", now)));
  if (mayWrite && now) acts.push(act(t("past.end"), () => openEntry(register, "end", now)));
  if (register === "document") acts.push(act(t("past.fetch"), () => saveFrom(`documents/file?${new URLSearchParams({document: key})}`, key)));
  box("past-acts").replaceChildren(...acts);
}

/* A field of a form, as its column is described. Empty ones are not sent, and unchanged ones as they came. */
function field(register, column, value) {
  const name = column.name;
  const id = `field-${name}`;
  const words = WORDS[`${register}.${name}`] ?? WORDS[name];
  let input;
  if (column.words.length) {
    /* Of codes the first is the usual one; none of names is. */
    const usual = column.required && words ? column.words[0] : "";
    input = element("select", {id, name}, ...(usual ? [] : [element("option", {value: ""}, "–")]),
      ...column.words.map((code) => element("option", {value: code}, words ? word(words, code) : code)));
    input.value = value ?? usual;
  } else {
    const type = name.startsWith("valid_") ? "datetime-local" : name.endsWith("_on") ? "date" : name === "month" ? "month" : "text";
    const shown = value === null || value === undefined ? "" : Array.isArray(value) ? value.join(" ") : type === "datetime-local" ? local(value) : String(value);
    input = element("input", {id, name, type, maxlength: type === "text" ? 16000 : undefined, step: type === "datetime-local" ? 1 : undefined,
      autocomplete: "off", autocapitalize: "none", spellcheck: "false", list: column.reference ? `known-${name}` : undefined});
    input.value = shown;
    input.came = {shown: input.value, value};
  }
  if (column.required) input.setAttribute("aria-required", "true");
  const hints = {valid_from: t(register === "wallet" ? "form.from_now_wallet" : "form.from_now"), valid_to: t("form.open_end")};
  const hint = hints[name] ?? (input.type === "text" && column.example !== FREE ? t("form.example", {text: column.example}) : "");
  const made = element("label", {for: id}, element("span", {}, label(name), column.required ? " *" : ""), input, hint ? small(hint) : null);
  if (column.reference) made.append(known(column.reference, input, `known-${name}`));
  return made;
}

/* Names of another register, as they are typed. */
function known(register, input, id) {
  const offered = element("datalist", {id});
  const offer = async () => {
    const search = new URLSearchParams({limit: 20, ...(input.value ? {q: input.value} : {})});
    const {items} = await (await ask(`registers/${register}?${search}`)).json();
    offered.replaceChildren(...items.map((entry) => element("option", {value: entry[register]}, entry[`name_${lang}`] ?? entry.name ?? "")));
  };
  input.addEventListener("focus", offer, {once: true});
  onTyping(input, offer);
  return offered;
}

/* A party's first payout address is entered as approved; any other is proposed by one and approved by another. */
function watchAddress(form, way) {
  const {party, status} = form.elements;
  const note = element("span", {class: "detail", id: "address-note"});
  status.after(note);
  let asked = null;
  const tellStatus = async () => {
    const of = party.value.trim();
    if (of === asked) return;
    asked = of;
    const found = of ? await (await ask(`registers/wallet/addresses?${new URLSearchParams({party: of})}`)).json() : null;
    if (of !== asked) return;
    note.textContent = found === null ? "" : t(found.first ? "form.first_address" : "form.another_address", {count: found.waiting_hours});
    if (found !== null && way === "add") status.value = found.first ? "approved" : "proposed";
  };
  onTyping(party, tellStatus);
  party.addEventListener("change", tellStatus);
  tellStatus();
}

async function openEntry(register, way, entry = null) {
  const columns = await columnsOf(register);
  const shown = columns.filter((column) => !RECORD.includes(column.name));
  const form = box("entry");
  const reason = element("label", {for: "field-why"}, element("span", {}, t("acting.why"), way === "change" || way === "add" ? "" : " *"),
    element("input", {id: "field-why", name: "why", maxlength: 500, autocomplete: "off"}));
  if (way === "end") {
    form.replaceChildren(element("label", {for: "field-end"}, label("valid_to"), element("input", {id: "field-end", name: "end", type: "datetime-local", step: 1}), small(t("form.ends_now"))), reason);
  } else {
    form.replaceChildren(...shown.map((column) => {
      const fresh = way === "add" || (way === "change" && (column.name.startsWith("valid_") || column.name === "note"));
      const made = field(register, column, fresh ? null : entry[column.name]);
      if (way !== "add" && column.name === register) made.querySelector("input").readOnly = true;
      return made;
    }), reason);
  }
  if (register === "wallet" && way !== "end") watchAddress(form, way);
  const name = entry?.[register];
  openDialog("edit", t(`form.${way}`, {name, register: word("register", register), count: entry?.entry}));
  planned("edit", (dry) => {
    const why = form.elements.why.value.trim();
    if (way === "end") {
      const end = form.elements.end.value;
      const search = new URLSearchParams({key: name, why, dry_run: dry, ...(end ? {end} : {})});
      return ask(`registers/${register}/close?${search}`, {method: "POST"});
    }
    const cells = Object.fromEntries(shown.map((column) => [column.name, valueOf(form.elements[column.name])]));
    if (way === "correct") cells.corrects = entry.entry;
    const body = JSON.stringify({entries: [{...cells, why: why || null}]});
    return ask(`registers/${register}?dry_run=${dry}`, {method: "POST", headers: {"content-type": "application/json"}, body});
  });
}

function valueOf(input) {
  if (input.came && input.value === input.came.shown && input.came.value !== null && input.came.value !== undefined) return input.came.value;
  return input.value.trim() || null;
}

function openUpload() {
  box("table").reset();
  openDialog("upload", t("upload.title"));
  planned("upload", (dry) => {
    const [file] = box("table-file").files;
    const why = box("table-why").value.trim();
    const search = new URLSearchParams({name: file?.name ?? "", dry_run: dry, ...(why ? {why} : {})});
    return ask(`registers/import?${search}`, {method: "POST", headers: {"content-type": "application/octet-stream"}, body: file ?? ""});
  });
}

/* Nothing is entered that was not checked first as it stands: whoever changes a field checks again. */
function planned(name, send) {
  const dialog = box(name);
  const [check, enter, plan] = [".check", ".enter", ".plan"].map((part) => dialog.querySelector(part));
  plan.replaceChildren();
  enter.disabled = true;
  dialog.querySelector("form").oninput = () => {
    enter.disabled = true;
    plan.replaceChildren();
  };
  const put = async (dry) => {
    trouble(dialog, null);
    check.disabled = enter.disabled = true;
    try {
      const answer = await (await send(dry)).json();
      if (dry === "0") {
        dialog.close();
        box("past").close();
        await Promise.all([list.load(), showSteps()]);
        return;
      }
      plan.replaceChildren(...planOf(answer));
      enter.disabled = answer.changes.length === 0;
    } catch (error) {
      plan.replaceChildren(...(error.faults?.length ? [faultsOf(error.faults)] : []));
      if (!error.faults?.length) trouble(dialog, t("acting.failed", {why: error.message}));
    } finally {
      check.disabled = false;
      plan.scrollIntoView({block: "nearest"});
    }
  };
  check.onclick = () => put("1");
  enter.onclick = () => put("0");
  dialog.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    put("1");
  };
}

function planOf(answer) {
  const known = Object.values(answer.unchanged).reduce((sum, count) => sum + count, 0);
  if (!answer.changes.length) return [element("p", {}, t("plan.nothing"))];
  const rows = answer.changes.slice(0, SHOWN_CHANGES).map((change) => [
    [word("register", change.register), small(change.key)],
    [howOf(change), differences(change.register, change.columns)],
  ]);
  const counts = t("plan.count", {count: answer.changes.length}) + (known ? ` ${t("plan.unchanged", {count: known})}` : "");
  const more = answer.changes.length - SHOWN_CHANGES;
  return [
    element("h3", {}, t("plan.title")), element("p", {}, counts), table([t("plan.register"), t("plan.after")], rows),
    more > 0 ? element("p", {}, t("plan.more", {count: more})) : "",
    ...(answer.warnings.length ? [element("h3", {}, t("plan.warnings")), faultList(answer.warnings)] : []),
  ];
}

function howOf(change) {
  if (change.corrects) return t("plan.how.corrects", {count: change.corrects});
  return t(Object.values(change.columns).some(({before}) => before) ? "plan.how.changes" : "plan.how.new");
}

function faultsOf(faults) {
  return element("div", {class: "notices"}, element("p", {}, t("plan.faults")), faultList(faults));
}

function faultList(faults) {
  return element("ul", {class: "lines"}, ...faults.map((fault) => {
    const where = [/\.(csv|xlsx)/.test(fault.where) ? fault.where : null, fault.row && /\.(csv|xlsx)/.test(fault.where) ? t("plan.row", {count: fault.row}) : null,
      fault.column ? (has(`columns.${fault.column}`) ? label(fault.column) : fault.column) : null].filter(Boolean);
    return element("li", {}, where.length ? element("b", {}, `${where.join(", ")}: `) : null, fault.text[lang]);
  }));
}

/* What must be there before anybody is admitted and paid, and the machines' address; shown until they are at work. */
async function showSteps() {
  if (!may("write")) return;
  const answerOf = async (path) => (await ask(path)).json();
  const asked = ["admissions/at?limit=1", "registers/wallet/addresses", "overview"];
  const [{admitted, server}, addresses, pool] = await Promise.all(asked.map(answerOf));
  const worked = pool.shares.accepted > 0 || pool.last_block !== null;
  box("steps").hidden = worked && admitted > 0 && addresses.counting > 0;
  if (box("steps").hidden) return;
  const counts = await Promise.all(STEPS.map(async (name) =>
    (name === "wallet" ? addresses.counting : (await answerOf(`registers/${name}?limit=1`)).total)));
  const lines = STEPS.map((name, at) => element("li", {}, stepMark(name, counts[at]), " ",
    name === "wallet" && !addresses.counting && addresses.begins ? small(t("steps.counts_from", {at: exact(addresses.begins)})) : null,
    act(t(`steps.${name}`, {server}), () => {
      box("kind").value = name;
      list.sort = null;
      list.again();
      openEntry(name, "add");
    }, {class: "link"})));
  const links = [["invite", "users"], ["admitted", "admissions"]].map(([name, place]) =>
    element("li", {}, element("a", {href: `/${lang}/${place}/`}, t(`steps.${name}`))));
  box("step-list").replaceChildren(...lines, ...links);
}

function stepMark(name, count) {
  if (count) return badge("good", t("steps.there", {count}));
  return badge(name === "placement" ? "none" : "wait", t("steps.missing"));
}

work(() => {
  const begun = location.hash.slice(1);
  if (begun in SHOWN) box("kind").value = begun;
  copyButtons();
  watchMoment(() => list.again());
  box("kind").addEventListener("change", () => {
    list.sort = null;
    list.descending = false;
    box("search").value = "";
    history.replaceState(null, "", `${location.pathname}${location.search}#${kind()}`);
    showWriting();
    list.again();
  });
  onTyping(box("search"), () => list.again());
  box("add").addEventListener("click", () => openEntry(kind(), "add"));
  box("import").addEventListener("click", openUpload);
  box("export").addEventListener("click", () => saveFrom(`registers/export?${new URLSearchParams(momentParts())}`, "registers.xlsx"));
}, async () => {
  showWriting();
  await Promise.all([list.load(), showSteps()]);
});

function showWriting() {
  box("add").hidden = !may("write") || kind() === "document" || kind() === "geo";
}
