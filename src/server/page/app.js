// The page: an address behind `#` is a view; the views read the API again whenever the board changes.

import { Problem, hasToken, remember, watch } from "./api.js";
import { clusterView } from "./cluster.js";
import { commitView } from "./commit.js";
import { announce, h, route, short, update } from "./dom.js";
import { overview, pipelineView } from "./overview.js";
import { pullView } from "./pull.js";

const main = document.getElementById("main");
const crumbs = document.getElementById("crumbs");
const live = document.getElementById("live");
let view = null;
let requests = new AbortController();
let stream = new AbortController();

/** Reads the address: `#/pipelines/P/commits/C/clusters/W`, or the beginning of it; or `#/pipelines/P/pulls/N`. */
function parse() {
  const parts = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  const [pipelines, pipeline, commits, commit, clusters, cluster, rest] = parts;
  if (!parts.length || (parts.length === 1 && pipelines === "pipelines")) return {};
  if (pipelines === "pipelines" && pipeline && commits === "pulls" && commit && !clusters) return { pipeline, pull: commit };
  const known = pipelines === "pipelines" && pipeline && (!commits || (commits === "commits" && commit)) && (!clusters || (clusters === "clusters" && cluster)) && !rest;
  return known ? { pipeline, commit, cluster } : null;
}

function choose(place) {
  if (!place) return { title: "Not found", element: h("section", null, h("h1", null, "There is nothing here"), h("p", null, h("a", { href: "#/" }, "All pipelines"))), async refresh() {} };
  if (place.cluster) return clusterView(place.pipeline, place.commit, place.cluster);
  if (place.pull) return pullView(place.pipeline, place.pull);
  if (place.commit) return commitView(place.pipeline, place.commit);
  if (place.pipeline) return pipelineView(place.pipeline);
  return overview();
}

function showCrumbs({ pipeline, pull, commit, cluster } = {}) {
  const steps = [["Pipelines", "#/"], pipeline && [pipeline, route(pipeline)], pull && [`#${pull}`, location.hash], commit && [short(commit), route(pipeline, commit)], cluster && [cluster, route(pipeline, commit, cluster)]].filter(Boolean);
  update(crumbs, h("ol", null, steps.map(([text, href], index) => h("li", null, h("a", { href, "aria-current": index === steps.length - 1 && "page" }, text)))));
}

/** Shows what the address says. The first time the focus stays where it is; later it goes to what came. */
async function navigate(event) {
  requests.abort();
  requests = new AbortController();
  const place = parse();
  view = choose(place);
  showCrumbs(place ?? {});
  document.title = `${view.title} · Stellate`;
  document.getElementById("tooltip").hidden = true;
  main.replaceChildren(view.element);
  if (event) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
  await refresh();
  if (event) announce(`${view.title} is shown.`);
}

/** Reads everything again that is shown. One refresh at a time; what comes meanwhile is one more. */
let [busy, again] = [false, false];
async function refresh() {
  const shown = view;
  if (busy === shown) {
    again = true;
    return;
  }
  busy = shown;
  main.setAttribute("aria-busy", "true");
  try {
    await shown.refresh(requests.signal);
    main.querySelector(":scope > .failure")?.remove();
  } catch (problem) {
    if (shown === view && problem.name !== "AbortError") fail(problem);
  } finally {
    if (busy === shown) {
      busy = false;
      main.setAttribute("aria-busy", "false");
    }
  }
  if (again && shown === view) {
    again = false;
    await refresh();
  }
}

function fail(problem) {
  if (problem instanceof Problem && problem.status === 401) return askForToken();
  main.querySelector(":scope > .failure")?.remove();
  const text = problem instanceof Problem ? problem.message : "The service does not answer.";
  main.prepend(h("div", { class: "failure problem", role: "alert" }, h("p", null, text), problem.help && h("p", { class: "fine" }, problem.help)));
}

function askForToken() {
  stream.abort();
  setLive("locked");
  const field = h("input", { id: "token", type: "password", autocomplete: "off", required: true, size: "40" });
  const form = h("form", { class: "token", onsubmit: (event) => {
    event.preventDefault();
    remember(field.value.trim());
    connect();
    navigate();
  } },
  h("h1", null, "A token, please"),
  hasToken() && h("p", { class: "problem", role: "alert" }, "The token given is not one of the service's."),
  h("p", null, "The API answers to a bearer token only. It is kept in this tab, and forgotten with it."),
  h("label", { for: "token" }, "Token ", field), " ", h("button", { type: "submit" }, "Go on"));
  view = { title: "Token", element: form, async refresh() {} };
  main.replaceChildren(form);
  field.focus();
}

const STATES = { live: "live", connecting: "connecting", reconnecting: "connection lost, trying again", locked: "locked" };

function setLive(state) {
  if (live.dataset.state === state) return;
  if (state === "reconnecting" || live.dataset.state === "reconnecting") announce(STATES[state]);
  live.dataset.state = state;
  live.textContent = STATES[state];
}

function connect() {
  stream.abort();
  stream = new AbortController();
  watch(stream.signal, () => refresh(), setLive);
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", navigate);
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  if (event.reason?.name !== "AbortError") fail(event.reason);
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape") document.getElementById("tooltip").hidden = true;
});
navigate();
connect();
