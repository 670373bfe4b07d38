// Commits × WECs. Few WECs are a table with a column each; many are a mosaic: the same place is the same WEC in every row.
// A mosaic is one drawing per commit (one path per phase), and one cell that exists: the one that has the focus.

import { get, path } from "./api.js";
import { ago, debounce, h, route, short, svg } from "./dom.js";
import { GRAVITY, MEANING, icon, shape, tally } from "./phases.js";

const COLUMN = 30;
const HEADER = 330;

/** A grid in `element`, which stays; [`show`] draws it anew, and keeps the cell that has the focus. */
export class CommitGrid {
  constructor(element, pipeline) {
    this.element = element;
    this.pipeline = pipeline;
    this.cursor = { row: 0, column: 0 };
    this.tooltip = document.getElementById("tooltip");
    this.tell = debounce(150, (row, column) => this.#reason(row, column));
    new ResizeObserver(debounce(50, () => this.#resized())).observe(element);
  }

  /** Draws `grid`, as the API gives it, with those `columns` (places in `grid.clusters`). */
  show(grid, columns) {
    const held = this.element.contains(document.activeElement) && document.activeElement.dataset.cell !== undefined;
    const name = this.grid && this.#name(this.cursor.column);
    const commit = this.grid?.rows[this.cursor.row]?.id;
    Object.assign(this, { grid, columns });
    this.phases = Object.fromEntries(grid.phases.map((phase, place) => [place.toString(36), phase]));
    const same = columns.findIndex((column) => grid.clusters[column] === name);
    const row = grid.rows.findIndex((one) => one.id === commit);
    this.cursor = { row: Math.max(row, 0), column: Math.max(same, 0) };
    this.#hide();
    this.#draw();
    if (held) this.#focus();
  }

  #name(column) {
    return this.grid.clusters[this.columns[column]];
  }

  #phase(row, column) {
    return this.phases[this.grid.rows[row].cells[this.columns[column]]];
  }

  #address(row, column) {
    return route(this.pipeline, this.grid.rows[row].id, this.#name(column));
  }

  #label(row, column) {
    return `${this.#name(column)}: ${this.#phase(row, column) ?? "not known to this commit"}`;
  }

  #draw() {
    this.width = this.element.clientWidth;
    this.wide = this.columns.length * COLUMN + HEADER <= this.width;
    if (!this.grid.rows.length) {
      this.element.replaceChildren(h("p", { class: "plain" }, "No commits yet."));
    } else if (!this.columns.length) {
      this.element.replaceChildren(h("p", { class: "plain" }, "No WEC fits the filter."));
    } else {
      this.element.replaceChildren(this.wide ? this.#table() : this.#mosaic());
    }
  }

  #resized() {
    if (this.grid && this.element.isConnected && this.element.clientWidth !== this.width) this.show(this.grid, this.columns);
  }

  #commit(row) {
    const { id, subject, author, written, phases, phase } = this.grid.rows[row];
    return [
      h("a", { class: "subject", href: route(this.pipeline, id), "data-key": `commit-${id}` }, icon(phase), h("span", { class: "unseen" }, `${phase}: `), subject || short(id)),
      h("span", { class: "fine" }, h("code", null, short(id)), " ", author, ", ", ago(written)),
      this.wide ? null : tally(phases),
    ];
  }

  // ── few WECs ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  #table() {
    const heads = this.columns.map((_, column) => h("th", { scope: "col", class: "wec" }, h("span", { title: this.#name(column) }, this.#name(column))));
    const rows = this.grid.rows.map((_, row) => h("tr", null,
      h("th", { scope: "row" }, this.#commit(row)),
      this.columns.map((_, column) => this.#cell(row, column))));
    const table = h("table", {
      class: "grid",
      role: "grid",
      "aria-label": "Commits by WECs",
      onkeydown: (event) => this.#key(event, 1),
      onpointerover: (event) => this.#point(event.target.closest("a[data-cell]")),
      onpointerleave: () => this.#hide(),
      onfocusin: (event) => this.#point(event.target.closest("a[data-cell]")),
      onfocusout: () => this.#hide(),
    }, h("thead", null, h("tr", null, h("th", { scope: "col" }, "Commit"), heads)), h("tbody", null, rows));
    const room = Math.floor((this.width - HEADER - 150) / this.columns.length);
    table.style.setProperty("--column", `${Math.min(Math.max(room, COLUMN), 56)}px`);
    return table;
  }

  #cell(row, column) {
    const phase = this.#phase(row, column);
    const here = this.cursor.row === row && this.cursor.column === column;
    const link = phase && h("a", {
      href: this.#address(row, column),
      class: `cell phase-${phase}`,
      tabindex: here ? "0" : "-1",
      "data-cell": `${row} ${column}`,
      "aria-label": this.#label(row, column),
    }, icon(phase));
    return h("td", { role: "gridcell" }, link || h("span", { class: "cell none", tabindex: here ? "0" : "-1", "data-cell": `${row} ${column}`, role: "img", "aria-label": this.#label(row, column) }, "·"));
  }

  // ── many WECs ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  #mosaic() {
    const number = this.columns.length;
    this.size = number <= 60 ? 28 : number <= 300 ? 18 : 13;
    this.perLine = Math.max(1, Math.floor((this.width - 2) / this.size));
    const rows = this.grid.rows.map((_, row) => h("div", { role: "row", class: "commit-row", "aria-rowindex": String(row + 1) },
      h("div", { role: "rowheader", class: "commit-head" }, this.#commit(row)),
      this.#picture(row)));
    const grid = h("div", {
      role: "grid",
      class: "mosaic",
      "aria-label": "Commits by WECs",
      "aria-rowcount": String(this.grid.rows.length),
      "aria-colcount": String(number + 1),
      onkeydown: (event) => this.#key(event, this.perLine),
    }, rows);
    this.pictures = [...grid.querySelectorAll(".picture")];
    this.#place();
    return grid;
  }

  #picture(row) {
    const { size, perLine } = this;
    const inner = size - (size > 16 ? 8 : 3);
    const margin = (size - inner) / 2;
    const paths = {};
    this.columns.forEach((_, column) => {
      const phase = this.#phase(row, column);
      if (phase) (paths[phase] ??= []).push(column);
    });
    const lines = Math.ceil(this.columns.length / perLine);
    const drawn = Object.entries(paths).map(([phase, columns]) => {
      const one = shape(phase, inner);
      const d = columns.map((column) => `M${(column % perLine) * size + margin} ${Math.floor(column / perLine) * size + margin}${one}`).join("");
      return svg("path", { class: `phase-${phase}`, d, "fill-rule": "evenodd" });
    });
    const drawing = svg("svg", { width: perLine * size, height: lines * size, "aria-hidden": "true" }, drawn);
    const element = h("div", {
      class: "picture",
      role: "presentation",
      onpointermove: (event) => this.#pointAt(element, row, event),
      onpointerleave: () => this.#hide(),
      onclick: (event) => {
        const column = this.#columnAt(element, event);
        if (column !== null && !event.target.closest("a")) location.hash = this.#address(row, column);
      },
    }, drawing);
    return element;
  }

  /** Puts the one cell that exists where the cursor is. */
  #place() {
    const { row, column } = this.cursor;
    const phase = this.#phase(row, column);
    const cell = h("a", {
      role: "gridcell",
      class: "cursor",
      tabindex: "0",
      href: this.#address(row, column),
      "aria-colindex": String(column + 2),
      "aria-label": this.#label(row, column),
      title: phase ? MEANING[phase] : "",
      "data-cell": `${row} ${column}`,
      onfocus: () => this.#point(cell),
      onblur: () => this.#hide(),
    });
    cell.style.width = cell.style.height = `${this.size}px`;
    cell.style.left = `${(column % this.perLine) * this.size}px`;
    cell.style.top = `${Math.floor(column / this.perLine) * this.size}px`;
    this.element.querySelector(".cursor")?.remove();
    this.pictures[row].querySelector(".cursor")?.remove();
    this.pictures[row].append(cell);
  }

  #columnAt(picture, event) {
    const box = picture.getBoundingClientRect();
    const across = Math.floor((event.clientX - box.left) / this.size);
    const column = Math.floor((event.clientY - box.top) / this.size) * this.perLine + across;
    return across >= 0 && across < this.perLine && column >= 0 && column < this.columns.length ? column : null;
  }

  #pointAt(picture, row, event) {
    const column = this.#columnAt(picture, event);
    if (column === null) return this.#hide();
    if (this.shown === `${row} ${column}`) return;
    const box = picture.getBoundingClientRect();
    const x = box.left + (column % this.perLine) * this.size;
    const y = box.top + Math.floor(column / this.perLine) * this.size;
    this.#tip(row, column, { left: x, right: x + this.size, top: y, bottom: y + this.size });
  }

  // ── what both have ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

  #key(event, line) {
    if (!event.target.closest("[data-cell]") || event.ctrlKey || event.metaKey || event.altKey) return;
    const { row, column } = this.cursor;
    const [lastRow, lastColumn] = [this.grid.rows.length - 1, this.columns.length - 1];
    const moves = {
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      ArrowUp: line > 1 ? this.#lineUp(row, column) : [row - 1, column],
      ArrowDown: line > 1 ? this.#lineDown(row, column) : [row + 1, column],
      PageUp: [row - 1, column],
      PageDown: [row + 1, column],
      Home: [row, 0],
      End: [row, lastColumn],
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    this.cursor = { row: Math.min(Math.max(move[0], 0), lastRow), column: Math.min(Math.max(move[1], 0), lastColumn) };
    this.#focus();
  }

  #lineUp(row, column) {
    if (column >= this.perLine) return [row, column - this.perLine];
    const lines = Math.ceil(this.columns.length / this.perLine);
    return row === 0 ? [row, column] : [row - 1, Math.min((lines - 1) * this.perLine + column, this.columns.length - 1)];
  }

  #lineDown(row, column) {
    if (column + this.perLine < this.columns.length) return [row, column + this.perLine];
    return row === this.grid.rows.length - 1 ? [row, column] : [row + 1, column % this.perLine];
  }

  #focus() {
    const { row, column } = this.cursor;
    if (!this.wide) this.#place();
    for (const cell of this.element.querySelectorAll("[data-cell]")) cell.tabIndex = cell.dataset.cell === `${row} ${column}` ? 0 : -1;
    this.element.querySelector(`[data-cell="${row} ${column}"]`)?.focus();
  }

  #point(cell) {
    if (!cell) return;
    const [row, column] = cell.dataset.cell.split(" ").map(Number);
    if (cell === document.activeElement) this.cursor = { row, column };
    this.#tip(row, column, cell.getBoundingClientRect());
  }

  #tip(row, column, box) {
    const phase = this.#phase(row, column);
    const { tooltip } = this;
    this.shown = `${row} ${column}`;
    this.reason = h("span", { class: "fine" }, phase ? MEANING[phase] : "");
    tooltip.replaceChildren(h("strong", null, this.#name(column)), h("span", null, phase ? [icon(phase), phase] : "not known to this commit"), h("span", { class: "fine" }, h("code", null, short(this.grid.rows[row].id)), " ", this.grid.rows[row].subject), this.reason);
    tooltip.hidden = false;
    const { offsetWidth, offsetHeight } = tooltip;
    tooltip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - offsetWidth - 8))}px`;
    tooltip.style.top = `${box.bottom + offsetHeight + 12 > innerHeight ? box.top - offsetHeight - 6 : box.bottom + 6}px`;
    if (phase && phase !== "healthy") this.tell(row, column);
  }

  /** Says why the cell that is pointed at stands where it stands. */
  async #reason(row, column) {
    if (this.shown !== `${row} ${column}`) return;
    const { reason } = this;
    try {
      const { why } = await get(path("pipelines", this.pipeline, "commits", this.grid.rows[row].id, "clusters", this.#name(column)));
      if (why) reason.textContent = why;
    } catch {
      // It stays with what the phase means.
    }
  }

  #hide() {
    this.shown = null;
    this.tooltip.hidden = true;
  }
}

/** Orders columns: by name, or those first whose newest commit needs somebody. */
export function order(grid, by, wanted, name) {
  const newest = grid.rows[0];
  const phase = (column) => (newest ? grid.phases[parseInt(newest.cells[column], 36)] : undefined);
  const columns = grid.clusters.map((_, column) => column);
  const fits = columns.filter((column) => (!wanted.size || wanted.has(phase(column))) && grid.clusters[column].includes(name));
  if (by === "phase") fits.sort((one, other) => GRAVITY.indexOf(phase(one)) - GRAVITY.indexOf(phase(other)) || one - other);
  return fits;
}
