"use strict";

/* Who may sign in: invited, invited again, removed. */

const list = new Paged("users", {
  path: () => "users/all",
  heads: () => [
    ...["name", "role", "party", "state"].map((name) => ({name, label: t(`users.${name}`), sorts: false})),
    {name: "", label: t("paged.act"), sorts: false},
  ],
  cells: (row) => [
    element("strong", {}, row.name), t(`users.roles.${row.role}`), row.party ?? "–", userState(row),
    row.name === holder.name ? "–" : element("span", {class: "files"},
      act(t("users.again"), () => confirm(t("users.again_sure", {name: row.name})) && invited("users/invite-again", {name: row.name}, complain)),
      act(t("users.remove"), async () => {
        if (confirm(t("users.remove_sure", {name: row.name}))) await done(() => tell("users/remove", {name: row.name}), complain);
      })),
  ],
});

function userState(row) {
  if (row.joined_at) return badge("good", t("users.joined", {at: fullDay.format(new Date(row.joined_at))}));
  const open = row.invitation_ends_at && Date.parse(row.invitation_ends_at) > Date.now();
  return open ? badge("wait", t("users.invited", {at: fullDay.format(new Date(row.invitation_ends_at))})) : badge("none", t("users.lapsed"));
}

/* `refuse` tells why it is not done. */
async function done(doing, refuse) {
  box("problem").hidden = true;
  try {
    const answer = await doing();
    await list.load();
    return answer;
  } catch (error) {
    refuse(t("acting.failed", {why: error.message}));
    return null;
  }
}

async function invited(path, asked, refuse) {
  const answer = await done(() => tell(path, asked), refuse);
  box("told").hidden = answer === null;
  if (answer === null) return false;
  box("told-of").textContent = t("users.link", {name: answer.name, at: exact(answer.ends_at)});
  box("link").textContent = `${location.origin}/${lang}/join/#${answer.invitation}`;
  return true;
}

work(() => {
  copyButtons();
  const form = box("new"), section = form.closest("section");
  const ofMiner = () => {
    box("of-party").disabled = box("role").value !== "miner";
    box("of-party").required = !box("of-party").disabled;
  };
  box("role").addEventListener("change", ofMiner);
  ofMiner();
  onTyping(box("of-party"), async () => {
    const {items} = await (await ask(`registers/party?${new URLSearchParams({limit: 20, q: box("of-party").value})}`)).json();
    box("parties").replaceChildren(...items.map((party) => element("option", {value: party.party}, party[`name_${lang}`])));
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const {name, role, party} = Object.fromEntries(new FormData(form));
    trouble(section, null);
    const asked = {name, role, ...(role === "miner" ? {party} : {})};
    if (!await invited("users/invite", asked, (why) => trouble(section, why))) return;
    form.reset();
    ofMiner();
  });
}, () => list.load());
