// One pull request: what it would change, each difference once with the WECs that have it.

import { get, path } from "./api.js";
import { fileDiff, wecs } from "./commit.js";
import { ago, count, h, objectText, short, update } from "./dom.js";

/** The view of a pull request. */
export function pullView(pipeline, number) {
  const base = path("pipelines", pipeline, "pulls", number);
  const title = `Pull request ${number}`;
  const head = h("div");
  const errors = h("section", { hidden: true });
  const changes = h("section");

  return {
    title,
    element: h("section", null, h("h1", null, title), head, errors, changes),
    async refresh(signal) {
      const pull = await get(base, signal);
      const text = JSON.stringify(pull);
      if (text === this.last) return;
      update(head,
        h("p", { class: "why" }, h("strong", null, pull.summary)),
        h("p", { class: "fine" }, "Its commit ", h("code", null, short(pull.head)), pull.base && [", compared with ", h("code", null, short(pull.base))], ", ", ago(pull.seen)));
      update(errors, h("h2", null, "Errors"),
        h("ul", { class: "findings" }, pull.errors.map((error) => h("li", { class: "finding error" }, h("p", null, error)))),
        pull.errorsTotal > pull.errors.length && h("p", { class: "fine" }, `${pull.errorsTotal - pull.errors.length} more are not shown.`));
      errors.hidden = !pull.errors.length;
      update(changes, h("h2", null, "What it would change"), pull.changes ? differences(pull.changes) : h("p", { class: "plain" }, "It cannot be rendered, so nobody knows."));
      this.last = text;
    },
  };
}

function differences({ addedClusters, removedClusters, objects, total }) {
  return [
    addedClusters.length > 0 && h("p", null, "New: ", wecs(addedClusters)),
    removedClusters.length > 0 && h("p", null, "No longer there: ", wecs(removedClusters)),
    objects.length > 0 || addedClusters.length + removedClusters.length > 0 ? objects.map((object) => differenceView(object, objects.length <= 5)) : h("p", { class: "plain" }, "Nothing, for no WEC."),
    total > objects.length && h("p", { class: "fine" }, `${count(total - objects.length, "more difference")} not shown.`),
  ];
}

function differenceView(difference, open) {
  const { object, change, clusters, linesAdded, linesRemoved } = difference;
  return h("details", { class: "group", open },
    h("summary", null, h("span", { class: `change ${change}` }, change), " ", h("strong", null, objectText(object)), " on ", wecs(clusters), " ",
      h("span", { class: "fine" }, `+${linesAdded} −${linesRemoved}`)),
    change === "kept" ? h("p", { class: "plain" }, "It cannot be rendered, and stays as it is.") : fileDiff(difference));
}
