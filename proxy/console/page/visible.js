// Showing what a text holds, not what it looks like: characters that cannot be seen, that change the direction of others
// or that a terminal would obey are shown as labels, and letters of another alphabet inside a word are marked.

import { h } from "./dom.js";

const NAMES = {
  0x00ad: "SHY", 0x034f: "CGJ", 0x061c: "ALM", 0x115f: "HCF", 0x1160: "HJF", 0x180e: "MVS", 0x200b: "ZWSP", 0x200c: "ZWNJ",
  0x200d: "ZWJ", 0x200e: "LRM", 0x200f: "RLM", 0x2028: "LS", 0x2029: "PS", 0x202a: "LRE", 0x202b: "RLE", 0x202c: "PDF",
  0x202d: "LRO", 0x202e: "RLO", 0x2060: "WJ", 0x2061: "FA", 0x2062: "IT", 0x2063: "IS", 0x2064: "IP", 0x2066: "LRI",
  0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI", 0x3164: "HF", 0xfeff: "BOM", 0xffa0: "HHF", 0x1b: "ESC", 0x7f: "DEL",
  0x00: "NUL", 0x07: "BEL", 0x08: "BS", 0x0d: "CR", 0x85: "NEL", 0xfffc: "OBJ",
};
const UNSEEN = /[\u{e0020}-\u{e007e}]+|[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]|\p{M}{5,}|[\p{Co}\p{Cn}]/gu;
const MIXED = /[\p{L}\p{M}]*(?:\p{Script=Latin}\p{M}*[\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}\p{Script=Cherokee}]|[\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}\p{Script=Cherokee}]\p{M}*\p{Script=Latin})[\p{L}\p{M}]*/gu;

// What a character that cannot be seen is called, and what it is. Tag characters spell out letters, so a run of them is
// shown as what it says.
export function label(run) {
  const code = run.codePointAt(0);
  const point = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  if (code >= 0xe0020 && code <= 0xe007e) {
    const says = [...run].map((tag) => String.fromCharCode(tag.codePointAt(0) - 0xe0000)).join("");
    return [`TAGS ${says}`, `invisible tag characters from ${point} on, which spell this out`];
  }
  if (/^\p{M}{5,}$/u.test(run)) return [`${[...run].length} marks`, "combining marks piled up on one letter"];
  if ((code >= 0xfe00 && code <= 0xfe0f) || code >= 0xe0100) return ["VS", `${point}, a variation selector`];
  return [NAMES[code] ?? point, `${point}, cannot be seen`];
}

function withMixed(text) {
  const parts = [];
  let from = 0;
  for (const { 0: word, index } of text.matchAll(MIXED)) {
    parts.push(text.slice(from, index), h("span.mixed", { title: "letters of more than one alphabet in one word" }, word));
    from = index + word.length;
  }
  parts.push(text.slice(from));
  return parts;
}

// The nodes that show `text`.
export function shown(text) {
  const parts = [];
  let from = 0;
  let last;
  for (const { 0: run, index } of text.matchAll(UNSEEN)) {
    if (last && index === from && run === last.run) {
      last.times += 1;
      last.node.textContent = `${label(run)[0]} ×${last.times}`;
    } else {
      const [name, title] = label(run);
      last = { run, times: 1, node: h("span.unseen", { title }, name) };
      parts.push(withMixed(text.slice(from, index)), last.node);
    }
    from = index + run.length;
  }
  parts.push(withMixed(text.slice(from)));
  return parts.flat();
}

// How many characters of it cannot be seen.
export const unseen = (text) => [...text.matchAll(UNSEEN)].length;

// Places in a string for places in its UTF-8.
function places(text, wanted) {
  const found = new Map();
  const sorted = [...new Set(wanted)].sort((a, b) => a - b);
  let byte = 0;
  let next = 0;
  for (let i = 0; i < text.length && next < sorted.length; i += 1) {
    while (next < sorted.length && byte >= sorted[next]) found.set(sorted[next++], i);
    const code = text.charCodeAt(i);
    // Of a pair, the first half counts for both.
    byte += code < 0x80 ? 1 : code < 0x800 ? 2 : code >= 0xd800 && code < 0xdc00 ? 4 : code >= 0xdc00 && code < 0xe000 ? 0 : 3;
  }
  while (next < sorted.length) found.set(sorted[next++], text.length);
  return found;
}

// The nodes that show `text` with `spans` (bytes of its UTF-8) marked.
export function marked(text, spans) {
  const at = places(text, spans.flatMap(({ start, end }) => [start, end]));
  const cuts = spans.map((span) => ({ from: at.get(span.start), to: at.get(span.end), category: span.category }))
    .filter(({ from, to }) => from < to);
  const edges = [...new Set([0, text.length, ...cuts.flatMap(({ from, to }) => [from, to])])].sort((a, b) => a - b);
  return edges.slice(1).flatMap((to, index) => {
    const from = edges[index];
    const over = cuts.filter((cut) => cut.from <= from && cut.to >= to).map(({ category }) => category);
    const nodes = shown(text.slice(from, to));
    if (over.length === 0) return nodes;
    const names = [...new Set(over)].map((name) => name.replaceAll("_", " ")).join(", ");
    return [h("mark", { title: names }, nodes)];
  });
}
