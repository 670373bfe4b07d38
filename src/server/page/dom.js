// Elements from data. Text goes in as text, never as markup: what a name holds cannot become part of the page.

/** Makes an element: properties that begin with `on` are listeners, `class` and others are attributes; false and null are left out. */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function svg(tag, properties, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Puts other children into an element; the focus stays with whoever has the same `data-key`. */
export function update(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (focused) {
    const again = [...element.querySelectorAll("[data-key]")].find((one) => one.dataset.key === focused);
    again?.focus({ preventScroll: true });
  }
}

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "short" });

function words(time) {
  const seconds = (Date.parse(time) - Date.now()) / 1000;
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS[3];
  return Math.abs(seconds) < 5 ? "now" : relative.format(Math.trunc(seconds / size), unit);
}

/** A time in words, with the exact one behind it. */
export function ago(time) {
  const exact = new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
  return h("time", { datetime: time, title: exact }, words(time));
}

setInterval(() => {
  for (const time of document.querySelectorAll("time[datetime]")) time.textContent = words(time.dateTime);
}, 10_000);

/** The first characters of a commit's id. */
export function short(id) {
  return id.slice(0, 10);
}

/** `1 WEC`, `3 WECs`. */
export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** An object as it is written everywhere: `Deployment.apps shop/web`. */
export function objectText({ group, kind, namespace, name }) {
  return `${kind}${group && "." + group} ${namespace && namespace + "/"}${name}`;
}

/** Says something to who cannot see what changed. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/** The address of a view. */
export function route(pipeline, commit, cluster) {
  const parts = ["pipelines", pipeline, ...(commit ? ["commits", commit] : []), ...(cluster ? ["clusters", cluster] : [])];
  return "#/" + parts.map(encodeURIComponent).join("/");
}

/** A unified difference, line by line; what was added and removed is marked as such, not by colour alone. */
export function difference(text) {
  const lines = text.split("\n").filter((line, index, all) => index < all.length - 1 || line);
  const elements = lines.map((line) => {
    if (line.startsWith("@@")) return h("span", { class: "hunk" }, line + "\n");
    if (line.startsWith("+")) return h("ins", null, line + "\n");
    if (line.startsWith("-")) return h("del", null, line + "\n");
    return h("span", null, line + "\n");
  });
  return h("pre", { class: "diff", tabindex: "0", "aria-label": "Difference" }, elements);
}

/** Runs the last call only, when it has been quiet for a moment. */
export function debounce(milliseconds, action) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), milliseconds);
  };
}
