"use strict";

/* Joining by an invitation, whose text is behind the # of the address and so in no log. */

const invitation = location.hash.slice(1);
const HOME = {miner: "me", operator: "pool", inspector: "pool"};

async function start() {
  try {
    await loadTexts();
    const told = await tell("users/invitation", {invitation});
    box("greeting").textContent = t("join.greeting", {name: told.name});
    box("username").value = told.name;
    box("image").src = told.image;
    box("secret").textContent = told.secret.replace(/(.{4})/g, "$1 ").trim();
    box("address").href = told.address;
    box("join").hidden = false;
  } catch (error) {
    complain(fault(error));
    return;
  }
  onSubmit("join", async ({password, again, code}) => {
    if (password !== again) throw new Refused(0, "not_again", "");
    const holder = await tell("users/join", {invitation, password, code});
    location.href = `/${lang}/${HOME[holder.role]}/`;
  });
}

themeButton(() => {});
for (const link of box("languages").children) link.hash = location.hash;
start();
