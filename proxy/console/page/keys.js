// Every action has a key. Views say which ones they have; `?` shows them.

let global = [];
let local = [];
let pending;
let timer;

// Keys that work everywhere: `[keys, what they do, action]`, where keys are such as "?", "g d" or "Escape".
export function setGlobal(bindings) {
  global = bindings;
}

// Keys of the view that is shown.
export function setLocal(bindings) {
  local = bindings;
}

export const all = () => [["This view", local], ["Everywhere", global]];

const writes = (target) => target.isContentEditable || target.tagName === "TEXTAREA" || target.tagName === "SELECT" ||
  (target.tagName === "INPUT" && !["checkbox", "radio", "range", "button"].includes(target.type));

// What Enter presses by itself.
const isPressed = (target) => target.closest("a[href], button, summary") !== null;

function find(keys) {
  return [...local, ...global].find(([names]) => names.split(" / ").includes(keys));
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (document.querySelector("dialog[open]")) return;
  if (writes(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "Enter" && isPressed(event.target)) return;
  const keys = pending === undefined ? event.key : `${pending} ${event.key}`;
  clearTimeout(timer);
  pending = undefined;
  const binding = find(keys);
  if (binding) {
    event.preventDefault();
    binding[2](event);
  } else if ([...local, ...global].some(([names]) => names.startsWith(`${keys} `))) {
    pending = keys;
    timer = setTimeout(() => { pending = undefined; }, 900);
  }
}

export function listen() {
  document.addEventListener("keydown", pressed);
}
