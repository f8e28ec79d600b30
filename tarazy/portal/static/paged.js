"use strict";

const ROWS = 25;

/* A list that the server pages. `heads`, where the columns change: each with a name, a label,
   whether it sorts, holds numbers, and falls at the first click. */
class Paged {
  constructor(name, spec) {
    Object.assign(this, {name, spec, offset: 0, sort: null, descending: false, asked: 0});
    for (const button of box(`${name}-pager`).querySelectorAll("button")) {
      button.addEventListener("click", () => {
        this.offset = Math.max(0, this.offset + Number(button.dataset.step) * ROWS);
        this.load();
      });
    }
  }

  again() {
    this.offset = 0;
    return this.load();
  }

  /* A later question overtakes an earlier one; what went wrong is told on the page. */
  async load() {
    const turn = ++this.asked;
    const sorted = this.sort ? {sort: this.sort} : {};
    const order = this.descending ? {order: "desc"} : this.sort ? {order: "asc"} : {};
    const params = {limit: ROWS, offset: this.offset, ...sorted, ...order, ...this.spec.params?.()};
    try {
      const answer = await (await ask(`${this.spec.path()}?${new URLSearchParams(params)}`)).json();
      if (turn === this.asked) this.show(answer);
    } catch (error) {
      if (turn === this.asked) turnAway(error);
    }
  }

  show(answer) {
    const table = box(this.name);
    if (this.spec.heads) this.showHeads(table.tHead.rows[0]);
    table.classList.toggle("sorts", table.tHead.querySelector(".sort") !== null);
    const heads = [...table.tHead.rows[0].cells];
    table.tBodies[0].replaceChildren(...answer.items.map((item) => tableRow(heads, this.spec.cells(item))));
    const {length} = answer.items;
    table.hidden = length === 0;
    const nothing = box(`${this.name}-empty`);
    nothing.hidden = length > 0;
    nothing.textContent = t(this.spec.searched?.() ? "paged.nothing" : `${this.name}.empty`);
    const pager = box(`${this.name}-pager`);
    pager.hidden = answer.total <= ROWS;
    const [before, after] = pager.querySelectorAll("button");
    before.disabled = this.offset === 0;
    after.disabled = this.offset + length >= answer.total;
    pager.querySelector("span").textContent = t("paged.where", {first: length ? this.offset + 1 : 0, last: this.offset + length, total: answer.total});
  }

  showHeads(row) {
    row.replaceChildren(...this.spec.heads().map(({name, label, sorts, numeric, falls}) => {
      if (!sorts) return tableHead(label, numeric);
      const mine = this.sort === name;
      const button = element("button", {type: "button", class: "sort"}, label);
      button.addEventListener("click", async () => {
        this.descending = mine ? !this.descending : Boolean(falls);
        this.sort = name;
        await this.again();
        [...row.cells].find((cell) => cell.hasAttribute("aria-sort"))?.firstElementChild.focus();
      });
      const head = tableHead(button, numeric);
      if (mine) head.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
      return head;
    }));
  }
}
