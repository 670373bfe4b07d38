// Letting a held commit go out: a button, and a question before it that says what goes.

import { path, post } from "./api.js";
import { announce, h } from "./dom.js";

/** The button with its dialog, for a commit; `show` tells it what the API says of the commit. */
export function releaseControl(pipeline, id) {
  const reason = h("p", { class: "finding warning" });
  const failure = h("p", { class: "problem", role: "alert", hidden: true });
  const yes = h("button", { type: "button", class: "grave", onclick: release }, "Release");
  const no = h("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, "Keep it held");
  const dialog = h("dialog", { class: "question", "aria-labelledby": "release-title", "aria-describedby": "release-text" },
    h("h2", { id: "release-title" }, "Release this commit?"),
    h("div", { id: "release-text" },
      h("p", null, "It is held, because:"), reason,
      h("p", null, "Once released, it goes out without the guard's limits on removals: what it removes is deleted from the WECs. Whatever else holds it still does.")),
    failure,
    h("div", { class: "controls answers" }, no, yes));
  const button = h("button", { type: "button", hidden: true, "aria-haspopup": "dialog", onclick: () => {
    failure.hidden = true;
    dialog.showModal();
  } }, "Release …");

  async function release() {
    yes.disabled = true;
    try {
      await post(path("pipelines", pipeline, "commits", id, "release"));
      dialog.close();
      announce("The commit is released; a run was asked for.");
      button.textContent = "Asked";
      setTimeout(() => { button.textContent = "Release …"; }, 3000);
    } catch (problem) {
      failure.textContent = problem.message;
      failure.hidden = false;
    } finally {
      yes.disabled = false;
    }
  }

  return {
    button,
    dialog,
    show({ releasable, liftedByRelease }) {
      if (!releasable && dialog.open) dialog.close();
      if (!releasable && document.activeElement === button) document.getElementById("main").focus({ preventScroll: true });
      button.hidden = !releasable;
      reason.textContent = liftedByRelease.join("; ");
    },
  };
}
