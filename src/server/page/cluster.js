// One commit on one WEC: what it got, what changed, what the WEC says, and why.

import { get, path, query } from "./api.js";
import { fileDiff } from "./commit.js";
import { ago, count, h, objectText, route, short, update } from "./dom.js";
import { explainForm } from "./explain.js";
import { badge } from "./phases.js";

/** The view of a WEC. */
export function clusterView(pipeline, id, name) {
  const base = path("pipelines", pipeline, "commits", id, "clusters", name);
  let limit = 100;
  const head = h("div");
  const changes = h("div");
  const objects = h("tbody");
  const shown = h("p", { class: "fine", role: "status" });
  const more = h("button", { type: "button", hidden: true, onclick: () => { limit = 1000; fetchObjects(); } }, "Show more");
  const quarantined = h("section", { hidden: true });
  const reports = h("div");
  const explain = explainForm(pipeline, name);

  async function fetchObjects(signal) {
    const page = await get(query(`${base}/objects`, { limit }), signal);
    update(objects, page.items.map(row));
    shown.textContent = page.total > page.items.length ? `the first ${page.items.length} of ${count(page.total, "object")}` : count(page.total, "object");
    more.hidden = page.items.length >= page.total || limit >= 1000;
    explain.suggest(page.items.map(({ object }) => object && objectText(object)).filter(Boolean));
  }

  function row({ object, path, health, message }) {
    const text = object ? objectText(object) : path;
    const place = h("td", { colspan: "3", hidden: true });
    const button = path && h("button", { type: "button", class: "link", "aria-expanded": "false", "data-key": `object-${text}`, onclick: async () => {
      const open = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!open));
      place.hidden = open;
      if (!open && !place.firstChild) place.append(await file(path));
    } }, text);
    return [
      h("tr", null, h("th", { scope: "row" }, button || text), h("td", null, health ? healthBadge(health) : h("span", { class: "fine" }, "nothing said")), h("td", { class: "why" }, message)),
      h("tr", { class: "unfolded" }, place),
    ];
  }

  async function file(path) {
    const { text, truncated, withheld } = await get(query(`${base}/file`, { path }));
    if (withheld) return h("p", { class: "plain" }, "It is a Secret's, and not shown.");
    return h("div", null, h("pre", { class: "diff", tabindex: "0", "aria-label": path }, text), truncated && h("p", { class: "fine" }, "It is longer than what is shown."));
  }

  async function fetchChanges(signal) {
    try {
      const { items, total } = await get(query(`${base}/diff`, { limit: 100 }), signal);
      update(changes, items.length ? items.map(fileDiff) : h("p", { class: "plain" }, "This commit changed nothing here."),
        total > items.length && h("p", { class: "fine" }, `${count(total - items.length, "more file")} not shown.`));
    } catch (problem) {
      if (problem.name === "AbortError" || problem.status === 401) throw problem;
      update(changes, h("p", { class: "plain" }, problem.message));
    }
  }

  return {
    title: name,
    element: h("section", null, h("h1", null, name), head,
      h("h2", null, "Changes"), changes,
      h("h2", null, "Objects"), shown,
      h("div", { class: "scroll" }, h("table", { class: "list objects" },
        h("caption", { class: "unseen" }, "What the WEC got"),
        h("thead", null, h("tr", null, ["Object", "Health", "Message"].map((name) => h("th", { scope: "col" }, name)))), objects)),
      more, quarantined,
      h("h2", null, "Reports"), reports, explain),
    async refresh(signal) {
      const wec = await get(base, signal);
      const text = JSON.stringify(wec);
      if (text === this.last) return;
      update(head,
        h("p", { class: "standing" }, badge(wec.phase), wec.why && h("span", { class: "why" }, wec.why), h("span", { class: "fine" }, "since ", ago(wec.since))),
        h("p", { class: "fine" }, "Commit ", h("a", { href: route(pipeline, id), "data-key": "commit" }, h("code", null, short(id))), wec.revision && [", generated as ", h("code", null, short(wec.revision))]));
      update(quarantined, h("h2", null, "Quarantined"),
        h("p", { class: "fine" }, "These could not be rendered, and stay as they were there."),
        wec.quarantined > wec.quarantinedObjects.length && h("p", { class: "fine" }, `The first ${wec.quarantinedObjects.length} of ${wec.quarantined}.`),
        h("ul", { class: "findings" }, wec.quarantinedObjects.map(({ object, why }) => h("li", { class: "finding error" }, h("p", null, h("code", null, objectText(object)), " ", why)))));
      quarantined.hidden = !wec.quarantinedObjects.length;
      update(reports, wec.reports.length ? wec.reports.map(report) : h("p", { class: "plain" }, wec.expectsReport ? "None yet." : "Nobody reports from this WEC."));
      await Promise.all([fetchObjects(signal), fetchChanges(signal)]);
      this.last = text;
    },
  };
}

const HEALTH = { healthy: "healthy", unknown: "published", progressing: "applied", suspended: "held", degraded: "degraded" };

function healthBadge(health) {
  const shown = badge(HEALTH[health] ?? "pending");
  shown.lastChild.textContent = health;
  shown.title = "";
  return shown;
}

function report({ reporter, progress, health, message, at, revision }) {
  return h("article", { class: "report" },
    h("h3", null, reporter),
    h("p", { class: "standing" }, healthBadge(health), h("span", null, progress), h("span", { class: "why" }, message)),
    h("p", { class: "fine" }, revision && ["of ", h("code", null, short(revision)), " "], at && ago(at)));
}
