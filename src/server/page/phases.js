// The phases: each has a word, a colour (by its class) and a shape, so that none is told by colour alone.

import { h, svg } from "./dom.js";

// Shapes in a box of 10 × 10, as SVG paths of distances only: they can be set down anywhere.
const SHAPES = {
  pending: "m5 3.4 a1.6 1.6 0 1 0 0 3.2 a1.6 1.6 0 1 0 0 -3.2 z",
  rendered: "m2 2 h6 v6 h-6 z m1.3 1.3 v3.4 h3.4 v-3.4 z",
  waiting: "m2 1 h6 v1.5 l-2.3 2.5 l2.3 2.5 v1.5 h-6 v-1.5 l2.3 -2.5 l-2.3 -2.5 z",
  published: "m5 1.2 a3.8 3.8 0 1 0 0 7.6 a3.8 3.8 0 1 0 0 -7.6 z m0 1.6 a2.2 2.2 0 1 1 0 4.4 a2.2 2.2 0 1 1 0 -4.4 z",
  delivered: "m5 1.2 a3.8 3.8 0 1 0 0 7.6 z m0 0 a3.8 3.8 0 0 1 0 7.6 v-1.3 a2.5 2.5 0 0 0 0 -5 z",
  applied: "m5 1.2 a3.8 3.8 0 1 0 0 7.6 a3.8 3.8 0 1 0 0 -7.6 z",
  healthy: "m1.9 1 h6.2 q0.9 0 0.9 0.9 v6.2 q0 0.9 -0.9 0.9 h-6.2 q-0.9 0 -0.9 -0.9 v-6.2 q0 -0.9 0.9 -0.9 z",
  degraded: "m2.4 0.9 l2.6 2.6 l2.6 -2.6 l1.5 1.5 l-2.6 2.6 l2.6 2.6 l-1.5 1.5 l-2.6 -2.6 l-2.6 2.6 l-1.5 -1.5 l2.6 -2.6 l-2.6 -2.6 z",
  held: "m2 1.2 h2.2 v7.6 h-2.2 z m3.8 0 h2.2 v7.6 h-2.2 z",
  quarantined: "m5 0.9 l4.4 8 h-8.8 z m-0.6 2.9 h1.2 v2.6 h-1.2 z m0 3.3 h1.2 v1.1 h-1.2 z",
  failed: "m5 0.2 l4.8 4.8 l-4.8 4.8 l-4.8 -4.8 z m-0.6 2.2 h1.2 v3.2 h-1.2 z m0 3.9 h1.2 v1.3 h-1.2 z",
  superseded: "m1.5 4.2 h7 v1.6 h-7 z",
};

/** What needs somebody first, what is well last. */
export const GRAVITY = ["failed", "degraded", "held", "quarantined", "pending", "rendered", "waiting", "published", "delivered", "applied", "superseded", "healthy"];

/** What each phase means, for who asks. */
export const MEANING = {
  pending: "seen, and not rendered yet",
  rendered: "rendered, and not published yet",
  waiting: "not published yet: other WECs come first",
  published: "where the WEC will find it; nothing was heard from there",
  delivered: "the WEC has it, and has not applied it yet",
  applied: "applied, and not healthy yet",
  healthy: "applied, and everything is healthy",
  degraded: "applied or refused, and something is not healthy",
  held: "the guard holds it back",
  quarantined: "some objects could not be rendered; what was there before stays",
  failed: "it could not be rendered or published at all",
  superseded: "another commit took its place before it came to an end",
};

/** The shape alone; say the word beside it. */
export function icon(phase) {
  const drawn = svg("path", { d: SHAPES[phase] ?? SHAPES.pending, "fill-rule": "evenodd" });
  return svg("svg", { class: `icon phase-${phase}`, viewBox: "0 0 10 10", "aria-hidden": "true" }, drawn);
}

/** Shape and word. */
export function badge(phase) {
  return h("span", { class: `badge phase-${phase}`, title: MEANING[phase] }, icon(phase), phase);
}

/** A shape in another size, to be set down behind a place: `M20 30` and this. */
export function shape(phase, size) {
  const scale = size / 10;
  return SHAPES[phase].split(/(?=[a-z])/).map((step) => {
    const numbers = step.slice(1).trim().split(" ").filter(Boolean).map(Number);
    // The third to fifth number of an arc are an angle and two flags.
    const scaled = numbers.map((number, index) => (step[0] === "a" && index >= 2 && index <= 4 ? number : Math.round(number * scale * 100) / 100));
    return step[0] + scaled.join(" ");
  }).join("");
}

/** How many WECs stand where: a bar for the eye, a sentence for everybody. */
export function tally(phases) {
  const known = GRAVITY.filter((phase) => phases[phase]);
  const bar = h("span", { class: "bar", "aria-hidden": "true" }, known.map((phase) => {
    const part = h("span", { class: `phase-${phase}` });
    part.style.flexGrow = phases[phase];
    return part;
  }));
  const text = known.map((phase) => `${phases[phase].toLocaleString("en")} ${phase}`).join(", ");
  return h("span", { class: "tally" }, bar, h("span", { class: "tally-text" }, text || "no WECs yet"));
}

/** Buttons that choose phases; `chosen` is a set that they change. */
export function chips(phases, chosen, changed) {
  const known = GRAVITY.filter((phase) => phases[phase] || chosen.has(phase));
  return known.map((phase) => h("button", {
    type: "button",
    class: `chip phase-${phase}`,
    "aria-pressed": String(chosen.has(phase)),
    "data-key": `chip-${phase}`,
    title: `${phase}: ${MEANING[phase]}`,
    onclick: () => {
      if (!chosen.delete(phase)) chosen.add(phase);
      changed();
    },
  }, icon(phase), phase, h("span", { class: "number" }, (phases[phase] ?? 0).toLocaleString("en"))));
}
