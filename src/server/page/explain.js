// Why an object is, or is not, on a WEC: a question, and the answer policy by policy.

import { get, path, query } from "./api.js";
import { count, h, update } from "./dom.js";

const VERDICTS = {
  placed: "It is placed, and kept up to date.",
  createdOnce: "It is created once, and then left alone.",
  kept: "It is not placed, and stays where it is.",
  notSelected: "It is not selected.",
  notADestination: "The WEC takes no objects.",
  excluded: "It is never delivered.",
  noSuchObject: "There is no such object.",
  noSuchCluster: "There is no such WEC.",
};

let number = 0;

/** A form with its answer below; `suggest` gives it objects to choose from. */
export function explainForm(pipeline, cluster = "") {
  number += 1;
  const [forObject, forCluster, forList] = ["object", "cluster", "list"].map((part) => `explain-${part}-${number}`);
  const list = h("datalist", { id: forList });
  const object = h("input", { id: forObject, list: forList, required: true, placeholder: "Deployment.apps shop/web", spellcheck: "false", size: "34" });
  const wec = h("input", { id: forCluster, value: cluster, placeholder: "all", spellcheck: "false" });
  const answer = h("div", { role: "status" });
  const submit = async (event) => {
    event.preventDefault();
    try {
      const values = { object: object.value.trim(), cluster: wec.value.trim() };
      update(answer, explanation(await get(query(path("pipelines", pipeline, "explain"), values))));
    } catch (problem) {
      update(answer, h("p", { class: "problem" }, problem.message, problem.help && ` (${problem.help})`));
    }
  };
  const element = h("section", { class: "explain" }, h("h2", null, "Why is it there, or not?"),
    h("form", { class: "controls", onsubmit: submit },
      h("label", { for: forObject }, "Object ", object), h("label", { for: forCluster }, "WEC ", wec), list,
      h("button", { type: "submit" }, "Explain")),
    answer);
  element.suggest = (objects) => list.replaceChildren(...objects.map((value) => h("option", { value })));
  return element;
}

function explanation({ verdict, because, destinations, policies, cluster }) {
  const shown = destinations.slice(0, 30).join(", ") + (destinations.length > 30 ? ` and ${destinations.length - 30} more` : "");
  return [
    h("p", { class: "verdict" }, h("strong", null, VERDICTS[verdict] ?? verdict)),
    h("ul", null, because.map((reason) => h("li", null, reason))),
    h("p", { class: "fine" }, destinations.length ? `It goes to ${count(destinations.length, "WEC")}: ${shown}.` : "It goes to no WEC."),
    policies.map((policy) => policyView(policy, cluster)),
  ];
}

function mark(holds) {
  return h("span", { class: holds ? "yes" : "no" }, holds ? "✓" : "✗", h("span", { class: "unseen" }, holds ? "yes: " : "no: "));
}

function policyView(policy, cluster) {
  const where = policy.selectsCluster ?? policy.matchedClusters > 0;
  const { location } = policy;
  return h("details", { class: "policy", open: policy.selectsObject && where },
    h("summary", null, mark(policy.selectsObject && where), " policy ", h("strong", null, policy.policy), " ", location && h("span", { class: "fine" }, `${location.path}:${location.line}`)),
    policy.problems.map((problem) => h("p", { class: "problem" }, problem)),
    h("p", null, mark(where), cluster ? ` where: ${where ? "selects" : "does not select"} WEC ${cluster}` : ` where: ${count(policy.matchedClusters, "WEC")}`),
    selectors(policy.clusterSelectors, Boolean(cluster)),
    h("p", null, mark(policy.selectsObject), ` what: ${policy.selectsObject ? "selects" : "does not select"} the object`),
    h("ul", null, policy.clauses.map(clauseView)));
}

function clauseView({ index, satisfied, createOnly, criteria }) {
  return h("li", null, mark(satisfied), ` downsync[${index}]${createOnly ? ", created once" : ""}`,
    h("ul", null, criteria.filter(({ wants }) => wants.length).map(({ field, wants, has, satisfied, selectors: each }) =>
      h("li", null, mark(satisfied), ` ${field}: wants `, h("code", null, wants.map((want) => want || '""').join(" | ")), ", the object has ", h("code", null, has || '""'), selectors(each, true)))));
}

function selectors(each, judged) {
  return each.length > 0 && h("ul", null, each.map(({ text, satisfied, requirements }) => h("li", null, judged && mark(satisfied), " ", h("code", null, text || "everything"),
    requirements.length > 0 && h("ul", null, requirements.map((one) => h("li", null, mark(one.satisfied), " ", h("code", null, one.text), one.actual === null ? ": the label is not there" : ": the label is ", one.actual !== null && h("code", null, one.actual)))))));
}
