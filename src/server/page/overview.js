// All pipelines; and one pipeline: its commits × WECs.

import { get, path, post, query } from "./api.js";
import { ago, announce, count, debounce, h, route, short, update } from "./dom.js";
import { explainForm } from "./explain.js";
import { CommitGrid, order } from "./grid.js";
import { badge, chips, tally } from "./phases.js";

/** The view of everything. */
export function overview() {
  const list = h("ul", { class: "cards" });
  return {
    title: "Pipelines",
    element: h("section", null, h("h1", null, "Pipelines"), list),
    async refresh(signal) {
      const { items } = await get("/pipelines?limit=1000", signal);
      update(list, items.length ? items.map(card) : h("li", { class: "plain" }, "No pipelines are configured."));
    },
  };
}

function card(pipeline) {
  const { name, latest } = pipeline;
  const newest = latest && [
    h("p", { class: "card-commit" }, h("a", { href: route(name, latest.id), "data-key": `latest-${name}` }, latest.subject || short(latest.id)), " ", h("span", { class: "fine" }, h("code", null, short(latest.id)), " ", latest.author, ", ", ago(latest.written))),
    latest.why && h("p", { class: "why" }, latest.why),
    tally(latest.phases),
  ];
  return h("li", { class: "card" },
    h("div", { class: "card-head" }, h("h2", null, h("a", { href: route(name), "data-key": `pipeline-${name}` }, name)), latest && badge(latest.phase)),
    facts(pipeline),
    trouble(pipeline),
    newest || h("p", { class: "plain" }, "No commits yet."));
}

function facts(pipeline) {
  return h("p", { class: "fine facts" },
    h("span", null, pipeline.source, pipeline.reference && ` @ ${pipeline.reference}`),
    pipeline.outputs.map((output) => h("span", null, "→ ", output)),
    h("span", null, count(pipeline.clusters, "WEC")),
    h("span", null, activity(pipeline)));
}

function activity({ activity, ready }) {
  if (activity.state === "working") return [`${activity.stage}, since `, ago(activity.since)];
  if (activity.state === "standby") return activity.holder ? ["stands by: ", h("code", null, activity.holder), " serves it"] : "stands by: no replica is known to serve it";
  if (activity.state === "backingOff") return [`tries again `, ago(activity.until), `, after ${count(activity.failures, "failure")}`];
  return ready ? "idle" : "not ready yet";
}

/** Where each wave stands, in their order. */
function waves({ waves }) {
  if (!waves) return null;
  return h("ol", { class: "waves", "aria-label": "Waves" }, waves.map(({ name, state, clusters, pending, healthy, until, why }) => h("li", null,
    h("strong", null, name),
    h("span", null, state, until && [" until ", ago(until)]),
    h("span", { class: "fine" }, `${healthy} of ${count(clusters, "WEC")} healthy`, pending > 0 && `, ${pending} to come`),
    why && h("span", { class: "why" }, why))));
}

/** What somebody else committed to the generated branches. */
function foreign({ foreign }) {
  if (!foreign) return null;
  return [h("p", { class: "fine" }, "Commits by somebody else on what Stellate writes:"),
    h("ul", { class: "waves", "aria-label": "Commits by somebody else" }, foreign.map(({ commit, reference, author, subject, written, files, changes, putRight }) => h("li", null,
      h("strong", null, author),
      h("span", null, h("code", null, short(commit)), ` on ${reference.replace(/^refs\/heads\//, "")}: ${subject}`),
      h("span", { class: "fine" }, ago(written), putRight ? [", put right by ", h("code", null, short(putRight))] : ", not put right yet"),
      h("span", { class: "why" }, changes.length ? changes.join(", ") : "changed no file", files > changes.length && ` and ${files - changes.length} more`))))];
}

function trouble({ problem }) {
  if (!problem) return null;
  return h("div", { class: "problem" },
    h("p", null, h("strong", null, problem.reason), ": ", problem.message, " ", h("span", { class: "fine" }, "since ", ago(problem.since))),
    problem.help && h("p", { class: "fine" }, problem.help));
}

function pullLine(pipeline, { number, head, seen, summary }) {
  return h("li", null,
    h("a", { href: `#/pipelines/${encodeURIComponent(pipeline)}/pulls/${number}`, "data-key": `pull-${number}` }, `#${number}`), " ", summary, " ",
    h("span", { class: "fine" }, h("code", null, short(head)), ", ", ago(seen)));
}

/** The view of one pipeline. */
export function pipelineView(name) {
  const chosen = new Set();
  let [grid, rows] = [null, 20];
  const head = h("div");
  const legend = h("div", { class: "chips", role: "group", "aria-label": "Show WECs in these phases only" });
  const shown = h("p", { class: "fine", role: "status" });
  const more = h("button", { type: "button", hidden: true, onclick: () => { rows = 50; refresh(); } }, "Older commits");
  const area = h("div", { class: "grid-area" });
  const cells = new CommitGrid(area, name);
  const pulls = h("section", { hidden: true });
  const search = h("input", { type: "search", id: "wec-filter", placeholder: "part of a name", spellcheck: "false", oninput: debounce(80, draw) });
  const by = h("select", { id: "wec-order", onchange: draw }, h("option", { value: "name" }, "name"), h("option", { value: "phase" }, "what needs attention"));
  const sync = h("button", { type: "button", hidden: true, onclick: async () => {
    await post(path("pipelines", name, "sync"));
    announce(`A run of ${name} was asked for.`);
    sync.textContent = "Asked";
    setTimeout(() => { sync.textContent = "Sync now"; }, 3000);
  } }, "Sync now");

  function draw() {
    if (!grid) return;
    const columns = order(grid, by.value, chosen, search.value.trim());
    const phases = {};
    for (const cell of grid.rows[0]?.cells ?? "") {
      const phase = grid.phases[parseInt(cell, 36)];
      if (phase) phases[phase] = (phases[phase] ?? 0) + 1;
    }
    update(legend, chips(phases, chosen, draw));
    const all = grid.clusters.length;
    shown.textContent = columns.length === all ? count(all, "WEC") : `${columns.length.toLocaleString("en")} of ${count(all, "WEC")}`;
    cells.show(grid, columns);
  }

  async function refresh(signal) {
    const [pipeline, next, previews] = await Promise.all([
      get(path("pipelines", name), signal),
      get(query(path("pipelines", name, "grid"), { limit: rows }), signal),
      get(path("pipelines", name, "pulls"), signal),
    ]);
    sync.hidden = false;
    update(head, facts(pipeline), waves(pipeline), foreign(pipeline), trouble(pipeline));
    pulls.hidden = !previews.items.length;
    update(pulls, h("h2", null, "Pull requests"), h("ul", null, previews.items.map((pull) => pullLine(name, pull))));
    more.hidden = pipeline.commits <= next.rows.length;
    const text = JSON.stringify(next);
    if (text === refresh.last) return;
    refresh.last = text;
    const [before, after] = [grid?.rows[0], next.rows[0]];
    if (before && (before.id !== after.id || before.phase !== after.phase)) announce(`${after.subject}: ${after.phase}`);
    grid = next;
    draw();
  }

  return {
    title: name,
    element: h("section", null,
      h("div", { class: "title-row" }, h("h1", null, name), sync),
      head,
      h("h2", null, "Commits × WECs"),
      h("div", { class: "controls" },
        h("label", { for: "wec-filter" }, "WECs ", search),
        h("label", { for: "wec-order" }, "Order by ", by),
        shown),
      legend, area, more, pulls,
      h("p", { class: "fine keys" }, "Arrow keys move in the grid, Page Up and Page Down between commits, Enter opens."),
      explainForm(name)),
    refresh,
  };
}
