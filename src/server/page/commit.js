// One commit: where it stands on all WECs, what was found, and what it changed.

import { get, path, query } from "./api.js";
import { ago, announce, count, debounce, difference, h, objectText, route, short, update } from "./dom.js";
import { badge, chips, tally } from "./phases.js";
import { releaseControl } from "./release.js";

const PART = 100;

/** The view of a commit. */
export function commitView(pipeline, id) {
  const base = path("pipelines", pipeline, "commits", id);
  const chosen = new Set();
  let limit = PART;
  let phases = {};
  const title = h("h1", null, short(id));
  const head = h("div");
  const legend = h("div", { class: "chips", role: "group", "aria-label": "Show WECs in these phases only" });
  const search = h("input", { type: "search", id: "name-filter", placeholder: "part of a name", spellcheck: "false", oninput: debounce(150, () => { limit = PART; list(); }) });
  const shown = h("p", { class: "fine", role: "status" });
  const rows = h("tbody");
  const more = h("button", { type: "button", hidden: true, onclick: () => { limit += 4 * PART; list(); } }, "Show more");
  const found = h("section", { hidden: true });
  const changes = h("div");
  const release = releaseControl(pipeline, id);
  const changed = h("details", { class: "changes", ontoggle: () => changed.open && groups() }, h("summary", null, h("h2", null, "What it changed")), changes);

  async function list(signal) {
    const filter = { phase: [...chosen].join(","), name: search.value.trim(), limit: Math.min(limit, 1000) };
    const page = await get(query(`${base}/clusters`, filter), signal);
    update(rows, page.items.map(row));
    shown.textContent = page.total > page.items.length ? `the first ${page.items.length} of ${count(page.total, "WEC")}` : count(page.total, "WEC");
    more.hidden = page.items.length >= page.total || limit >= 1000;
    update(legend, chips(phases, chosen, () => { limit = PART; list(); }));
  }

  function row(wec) {
    return h("tr", null,
      h("th", { scope: "row" }, wec.phase ? h("a", { href: route(pipeline, id, wec.name), "data-key": `wec-${wec.name}` }, wec.name) : wec.name, wec.group && h("span", { class: "fine" }, ` in ${wec.group}`), wec.wave && h("span", { class: "fine" }, `, wave ${wec.wave}`)),
      h("td", null, wec.phase ? badge(wec.phase) : h("span", { class: "fine" }, "excluded")),
      h("td", { class: "nowrap" }, wec.since && ago(wec.since)),
      h("td", { class: "why" }, wec.why, wec.quarantined > 0 && wec.phase !== "quarantined" && h("span", { class: "fine" }, ` ${count(wec.quarantined, "object")} quarantined`)),
      h("td", { class: "right nowrap" }, wec.objects ?? "", wec.kept > 0 && h("span", { class: "fine" }, ` (+${wec.kept} kept)`)));
  }

  async function groups() {
    update(changes, h("p", { class: "plain" }, "…"));
    try {
      const { items, total } = await get(query(`${base}/diff`, { limit: 50 }));
      const open = items.length <= 3;
      update(changes, items.length ? items.map((group) => groupView(group, open)) : h("p", { class: "plain" }, "Nothing, for no WEC."),
        total > items.length && h("p", { class: "fine" }, `${total - items.length} more kinds of changes are not shown.`));
    } catch (problem) {
      update(changes, h("p", { class: "plain" }, problem.message));
    }
  }

  return {
    title: short(id),
    element: h("section", null,
      h("div", { class: "title-row" }, title, release.button), release.dialog, head,
      h("h2", null, "WECs"),
      h("div", { class: "controls" }, h("label", { for: "name-filter" }, "Name ", search), shown),
      legend,
      h("div", { class: "scroll" }, h("table", { class: "list" },
        h("caption", { class: "unseen" }, "Where the commit stands on each WEC"),
        h("thead", null, h("tr", null, ["WEC", "Phase", "Since", "Why", "Objects"].map((name) => h("th", { scope: "col" }, name)))), rows)),
      more, changed, found),
    async refresh(signal) {
      const commit = await get(base, signal);
      if (this.phase && this.phase !== commit.phase) announce(`${commit.subject}: ${commit.phase}`);
      this.phase = commit.phase;
      ({ phases } = commit);
      title.textContent = commit.subject || short(commit.id);
      update(head, summary(commit));
      release.show(commit);
      update(found, findings(commit));
      found.hidden = !commit.diagnostics.length && !commit.timings.length;
      await list(signal);
    },
  };
}

function summary(commit) {
  const { change } = commit;
  return [
    h("p", { class: "standing" }, badge(commit.phase), commit.why && h("span", { class: "why" }, commit.why), commit.over ? null : h("span", { class: "fine" }, "still under way")),
    tally(commit.phases),
    h("dl", { class: "pairs" },
      pair("Commit", h("code", null, commit.id)),
      pair("Author", [commit.author, ", ", ago(commit.written)]),
      pair("Seen", ago(commit.seen)),
      commit.generated && pair("Generated", h("code", null, commit.generated)),
      change && pair("Files", `${change.added} added, ${change.changed} changed, ${change.removed} removed, on ${count(change.clusters, "WEC")}`)),
  ];
}

function pair(name, value) {
  return h("div", null, h("dt", null, name), h("dd", null, value));
}

function findings({ diagnostics, diagnosticsTotal, timings }) {
  const finding = (one) => h("li", { class: `finding ${one.severity}` },
    h("p", null, h("strong", null, one.severity), " ", h("code", null, one.reason), " ", one.message),
    h("p", { class: "fine" },
      one.location && h("code", null, [one.location.path, one.location.line, one.location.column].filter(Boolean).join(":")), " ",
      [one.object && objectText(one.object), one.policy && `policy ${one.policy}`, one.cluster && `WEC ${one.cluster}`].filter(Boolean).join(", ")),
    one.help && h("p", { class: "fine" }, one.help));
  return [
    diagnostics.length > 0 && [h("h2", null, "What was found"), h("ul", { class: "findings" }, diagnostics.map(finding)), diagnosticsTotal > diagnostics.length && h("p", { class: "fine" }, `${diagnosticsTotal - diagnostics.length} more are not shown.`)],
    timings.length > 0 && [h("h2", null, "How long it took"), h("dl", { class: "pairs timings" }, timings.map(({ stage, milliseconds }) => pair(stage, `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`)))],
  ];
}

function groupView({ clusters, files, total }, open) {
  return h("details", { class: "group", open },
    h("summary", null, wecs(clusters), " ", h("span", { class: "fine" }, count(total, "file"))),
    files.map(fileDiff),
    total > files.length && h("p", { class: "fine" }, `${count(total - files.length, "more file")} not shown.`));
}

/** How many WECs there are, and the names of the first. */
export function wecs(clusters) {
  const names = clusters.slice(0, 8).join(", ") + (clusters.length > 8 ? ` and ${clusters.length - 8} more` : "");
  return [h("strong", null, count(clusters.length, "WEC")), `: ${names}`];
}

/** One file with its difference. */
export function fileDiff({ path, change, text, truncated, withheld }) {
  return h("article", { class: "file" },
    h("h3", null, h("span", { class: `change ${change}` }, change), " ", h("code", null, path)),
    withheld ? h("p", { class: "plain" }, "It is a Secret's, and not shown.") : difference(text),
    truncated && h("p", { class: "fine" }, "It is longer than what is shown."));
}
