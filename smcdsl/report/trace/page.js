"use strict";
// Follows particles: a cell is a slot at a step, and its line are the cells that it comes from.
// Texts come escaped, and reach the page as text nodes and attributes only.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const sections = [...document.querySelectorAll("section[data-population]")];
  const chooser = document.getElementById("chooser");

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const vector = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const signed = (value) => value === null ? "−∞" : (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);
  const plain = (value) => value === null ? "−∞" : value.toFixed(3).replace("-", "−");
  const cell = (text, kind) => element("td", { class: kind }, text);

  class Population {
    constructor(section, told) {
      Object.assign(this, { section, told });
      this.tree = section.querySelector("svg.tree");
      this.figure = section.querySelector(".figure");
      this.rows = [...section.querySelectorAll("tbody.particles tr")];
      this.overlay = section.querySelector(".chosen");
      this.last = told.steps.length - 1;
      const shares = this.shares(this.last);
      this.choose(this.last, shares.indexOf(Math.max(...shares)), false);
      this.listen();
    }
    origin(step, slot) {
      const origins = this.told.steps[step].origins;
      return origins === null ? slot : origins[slot];
    }
    shares(step) {
      const logs = this.told.steps[step].weights;
      const most = Math.max(...logs.map((log) => log === null ? -Infinity : log));
      const raw = logs.map((log) => log === null ? 0 : Math.exp(log - most));
      const total = raw.reduce((sum, value) => sum + value, 0);
      return raw.map((value) => total ? value / total : 0);
    }
    line(step, slot) {
      const found = [[step, slot]];
      while (step > 0) {
        slot = this.origin(step, slot);
        step -= 1;
        if (slot < 0) break;
        found.push([step, slot]);
      }
      return found.reverse();
    }
    heir(step, slot) {
      const next = step + 1;
      if (next > this.last) return null;
      if (this.origin(next, slot) === slot) return slot;
      const found = this.told.steps[next].weights.findIndex((_, other) => this.origin(next, other) === slot);
      return found < 0 ? null : found;
    }
    choose(step, slot, speak = true) {
      if (step < 0 || slot < 0 || slot >= this.told.size) return;
      Object.assign(this, { step, slot });
      const line = this.line(step, slot);
      this.draw(line);
      this.describe(line);
      for (const row of this.rows) {
        const chosen = step === this.last && Number(row.dataset.slot) === slot;
        row.classList.toggle("current", chosen);
        row.querySelector("button").tabIndex = Number(row.dataset.slot) === slot ? 0 : -1;
        row.querySelector("button").setAttribute("aria-pressed", String(chosen));
      }
      if (speak) this.reveal();
    }
    draw(line) {
      const { left, top, dx, dy } = Object.fromEntries(
        Object.entries(this.tree.dataset).map(([key, value]) => [key, Number(value)]));
      const at = ([step, slot]) => [left + dx * (step + 0.5), top + dy * (slot + 0.5)];
      const points = line.map((place) => at(place).join(",")).join(" ");
      const [cx, cy] = at(line[line.length - 1]);
      this.overlay.replaceChildren(
        vector("polyline", { points }), vector("circle", { cx, cy, r: Math.max(5, dy * 0.5) }));
      this.place = [cx, cy];
    }
    reveal() {
      const [x] = this.place;
      const box = this.figure;
      if (x < box.scrollLeft + 60 || x > box.scrollLeft + box.clientWidth - 40) box.scrollLeft = x - box.clientWidth / 2;
    }
    describe(line) {
      const { told, step, slot } = this;
      const here = told.steps[step];
      const share = this.shares(step)[slot];
      const weight = here.weights[slot];
      const state = weight === null ? "weight zero" : `share ${share.toPrecision(2)}, log weight ${plain(weight)}`;
      this.section.querySelector(".said").textContent =
        `${here.name}, slot ${slot}: ${state}. ${line.map(([at, own]) => told.steps[at].pieces[own]).join("")}`;
      const factors = told.factors.map((_, number) => number).filter((number) =>
        line.some(([at, own]) => this.changes(at, own).some((change) => change[0] === number)));
      const head = ["site", "slot", "wrote", "log weight", "share", "tokens", ...factors.map((number) => told.factors[number])];
      const kinds = ["number", "number", "", "number", "number", "number", ...factors.map(() => "number factor")];
      const rows = line.map(([at, own], index) => this.row(at, own, index ? line[index - 1] : null, factors));
      this.section.querySelector(".way").replaceChildren(
        element("thead", {}, element("tr", {}, ...head.map((name, place) => element("th", { class: kinds[place], scope: "col" }, name)))),
        element("tbody", {}, ...rows));
    }
    changes(step, slot) {
      const { made, of } = this.told.steps[step].changes;
      return made.length ? made[of[slot]] : [];
    }
    row(step, slot, before, factors) {
      const here = this.told.steps[step];
      const weight = here.weights[slot];
      const changes = this.changes(step, slot);
      const level = before === null ? 0 : this.told.steps[before[0]].level ?? this.told.steps[before[0]].weights[before[1]];
      const moved = changes.reduce((sum, change) => change[1] === null ? null : sum === null ? null : sum + change[1], 0);
      const tokens = weight === null || level === null || moved === null ? null : weight - level - moved;
      const cells = factors.map((number) => {
        const own = changes.filter((change) => change[0] === number);
        if (!own.length) return cell("", "number");
        const made = cell(signed(own[0][1]), own[0][1] === null || own[0][1] < 0 ? "number minus" : "number");
        made.title = own[0][2];
        return made;
      });
      const name = here.level === undefined ? here.name : `${here.name} ⤨`;
      const shown = element("tr", {},
        cell(name, "number"), cell(String(slot), "number"), cell(here.pieces[slot], "text"),
        cell(plain(weight), "number"), cell(this.shares(step)[slot].toPrecision(2), "number"),
        cell(tokens === null ? "" : signed(tokens), "number"), ...cells);
      if (here.level !== undefined) shown.title = `resampled: every copy weighs ${plain(here.level)}`;
      return shown;
    }
    move(key) {
      const { step, slot, last } = this;
      const size = this.told.size;
      const moves = {
        ArrowUp: () => this.choose(step, slot - 1),
        ArrowDown: () => this.choose(step, slot + 1),
        PageUp: () => this.choose(step, Math.max(slot - 10, 0)),
        PageDown: () => this.choose(step, Math.min(slot + 10, size - 1)),
        ArrowLeft: () => step > 0 && this.choose(step - 1, this.origin(step, slot)),
        ArrowRight: () => {
          const heir = this.heir(step, slot);
          if (heir !== null) this.choose(step + 1, heir);
        },
        Home: () => this.choose(...this.line(step, slot)[0]),
        End: () => {
          let [at, own] = [step, slot];
          for (let heir = this.heir(at, own); heir !== null; heir = this.heir(at, own)) [at, own] = [at + 1, heir];
          this.choose(at, own);
        },
      };
      if (!(key in moves)) return false;
      moves[key]();
      return true;
    }
    listen() {
      this.figure.addEventListener("keydown", (event) => {
        if (!event.ctrlKey && !event.metaKey && !event.altKey && this.move(event.key)) event.preventDefault();
      });
      this.tree.addEventListener("click", (event) => {
        const box = this.tree.getBoundingClientRect();
        const { left, top, dx, dy } = this.tree.dataset;
        const step = Math.floor((event.clientX - box.left - left) / dx);
        const slot = Math.floor((event.clientY - box.top - top) / dy);
        this.choose(Math.min(Math.max(step, 0), this.last), Math.min(Math.max(slot, 0), this.told.size - 1));
      });
      for (const row of this.rows) {
        const slot = Number(row.dataset.slot);
        row.querySelector("button").addEventListener("click", () => this.choose(this.last, slot));
        row.addEventListener("keydown", (event) => {
          const next = { ArrowUp: row.previousElementSibling, ArrowDown: row.nextElementSibling }[event.key];
          if (!next) return;
          event.preventDefault();
          this.choose(this.last, Number(next.dataset.slot));
          next.querySelector("button").focus();
        });
      }
    }
  }

  const started = new Map();
  const show = (number) => {
    sections.forEach((section, place) => { section.hidden = place !== number; });
    if (!started.has(number) && data[number].steps.length) started.set(number, new Population(sections[number], data[number]));
  };
  if (chooser) chooser.addEventListener("change", () => show(Number(chooser.value)));
  show(chooser ? Number(chooser.value) : 0);
})();
