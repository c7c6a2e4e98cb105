// Elements without markup: whatever is put into the page is a text node or one of these elements. Nothing in this folder
// parses HTML, so nothing that somebody wrote into a prompt can become a part of the page.

const SVG = "http://www.w3.org/2000/svg";

function build(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.setAttribute("class", value);
    else if (name === "value") element.value = value;
    else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  put(element, children);
  return element;
}

function put(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

// An element: its name (with classes, as in "div.card.wide"), properties, children. Strings become text nodes.
export function h(name, properties, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length > 0) element.className = classes.join(" ");
  if (properties?.class && classes.length > 0) {
    properties = { ...properties, class: [...classes, properties.class].join(" ") };
  }
  return build(element, properties, children);
}

// An element of a drawing.
export function s(name, properties, ...children) {
  return build(document.createElementNS(SVG, name), properties, children);
}

// Replaces what is in `element`.
export function fill(element, ...children) {
  element.replaceChildren();
  put(element, children);
  return element;
}

const SHAPES = {
  check: "M3 8.5l3.5 3.5L13 4.5",
  flag: "M4 14V2.5M4 3h8l-2 3 2 3H4",
  cut: "M2 8h12M5 4.5h6M5 11.5h6",
  stop: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM4 12l8-8",
  turn: "M12 5L8 2 4 5M8 2v12",
  cross: "M4 4l8 8M12 4l-8 8",
  warn: "M8 2.5l6 11H2l6-11zM8 6.5v3.2M8 11.6v.2",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM10.7 10.7L14 14",
  play: "M5 3.5v9l7-4.5-7-4.5z",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  eye: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4z",
  lock: "M4 7h8v6.5H4zM5.5 7V5a2.5 2.5 0 0 1 5 0v2",
  link: "M6.5 9.5l3-3M7 4.5l1.5-1.5a3.2 3.2 0 0 1 4.5 4.5L11.5 9M9 11.500L7.5 13A3.2 3.2 0 0 1 3 8.500L4.5 7",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1.500v1.200M8 13.300v1.200M1.5 8h1.200M13.3 8h1.200M3.4 3.400l.85.85M11.750 11.750l.85.85M12.6 3.400l-.85.85M4.250 11.750l-.85.85",
  moon: "M13 9.500A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.500z",
  save: "M4 2.500h8v11L8 10.500l-4 3z",
  down: "M8 2.500v8M4.5 7.500L8 11l3.5-3.500M3 13.500h10",
  more: "M4 6l4 4 4-4",
  door: "M9.5 2.500H4v11h5.500M7 8h7M11.5 5.500L14 8l-2.5 2.5",
  list: "M2.5 4h11M2.5 8h11M2.5 12h11",
  user: "M8 8a2.7 2.7 0 1 0 0-5.400A2.7 2.7 0 0 0 8 8zM3 13.500c.6-2.6 2.5-4 5-4s4.4 1.4 5 4",
};

export function icon(name) {
  return s("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, s("path", { d: SHAPES[name] ?? "" }));
}

export function mark() {
  return s("svg", { viewBox: "0 0 32 32", "aria-hidden": "true" },
    s("rect", { width: 32, height: 32, rx: 7, fill: "#3451c6" }),
    s("path", {
      d: "M8 24V13a8 8 0 0 1 16 0v11M12 7v17M16 5v19M20 7v17M8 14h16M8 19h16",
      fill: "none", stroke: "#fff", "stroke-width": 1.8, "stroke-linecap": "round",
    }));
}
