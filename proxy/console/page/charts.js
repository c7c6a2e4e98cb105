// Drawings: bars over time, distributions, intervals. Plain SVG, coloured by the style sheet's variables.

import { h, s } from "./dom.js";
import { fullTime, number, outcome, tick } from "./format.js";

// From weakest at the bottom to what matters most on top.
export const ORDER = ["allow", "refused", "client_gone", "upstream_failed", "abandoned", "failed", "guard_unavailable", "redact", "flag", "block"];

// A short time is shown with some of what was before it, so that bars stay bars.
const FEWEST = 60;

// A round number not below `value`.
export function ceiling(value) {
  if (value <= 1) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * size).find((step) => step >= value);
}

// The times at which an axis from `from` to `to` is marked.
function ticks(from, to, most) {
  const steps = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400, 2 * 86_400, 7 * 86_400, 30 * 86_400];
  const step = 1000 * (steps.find((one) => (to - from) / (one * 1000) <= most) ?? 365 * 86_400);
  const offset = new Date(from).getTimezoneOffset() * 60_000;
  const found = [];
  for (let time = Math.ceil((from - offset) / step) * step + offset; time < to; time += step) found.push(time);
  return found;
}

// Stacked bars over time. `data`: { from, to, step, buckets: [{ time, counts: { outcome: n } }] }, times in milliseconds.
// `choose(from, to)` is called when somebody drags over a range.
export function timeline(given, { width, height, choose, label }) {
  const data = { ...given, from: Math.min(given.from, given.to - FEWEST * given.step) };
  const box = { left: 38, right: 8, top: 6, bottom: 20 };
  const [inner, tall] = [width - box.left - box.right, height - box.top - box.bottom];
  const x = (time) => box.left + ((time - data.from) / (data.to - data.from)) * inner;
  const sums = data.buckets.map(({ counts }) => Object.values(counts).reduce((a, b) => a + b, 0));
  const most = ceiling(Math.max(1, ...sums));
  const y = (count) => box.top + tall - (count / most) * tall;
  const drawing = s("svg", { class: "chart", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (const part of [0, 0.5, 1]) {
    const at = Math.round(y(most * part)) + 0.5;
    drawing.append(s("line", { class: part === 0 ? "axis" : "grid", x1: box.left, x2: width - box.right, y1: at, y2: at }));
    if (Number.isInteger(most * part)) drawing.append(s("text", { class: "axis-text", x: box.left - 6, y: at + 3.5, "text-anchor": "end" }, number(most * part)));
  }
  for (const time of ticks(data.from, data.to, Math.max(2, Math.floor(inner / 90)))) {
    drawing.append(s("text", { class: "axis-text", x: x(time), y: height - 5, "text-anchor": "middle" }, tick(time, data.to - data.from)));
  }
  const gap = inner / Math.max(1, data.buckets.length) > 5 ? 1 : 0;
  for (const { time, counts } of data.buckets) {
    let below = 0;
    const [left, right] = [x(time), Math.min(width - box.right, x(time + data.step))];
    const title = s("title", {}, `${fullTime(time)}\n${ORDER.filter((name) => counts[name]).map((name) => `${outcome(name).name}: ${number(counts[name])}`).join("\n")}`);
    const bar = s("g", {}, title);
    for (const name of ORDER) {
      if (!counts[name]) continue;
      const [top, bottom] = [y(below + counts[name]), y(below)];
      bar.append(s("rect", { class: `ink-${outcome(name).tone}`, x: left + gap / 2, width: Math.max(1, right - left - gap), y: top, height: Math.max(1, bottom - top) }));
      below += counts[name];
    }
    drawing.append(bar);
  }
  if (choose) brush(drawing, { box, inner, tall, data, choose });
  return drawing;
}

// Dragging over a range of time.
function brush(drawing, { box, inner, tall, data, choose }) {
  const band = s("rect", { class: "brush", y: box.top, height: tall, width: 0, visibility: "hidden" });
  const catcher = s("rect", { class: "catcher", x: box.left, y: box.top, width: inner, height: tall });
  const clamp = (value) => Math.min(box.left + inner, Math.max(box.left, value));
  let start;
  const place = (event) => clamp(event.clientX - drawing.getBoundingClientRect().left);
  const draw = (end) => {
    band.setAttribute("x", Math.min(start, end));
    band.setAttribute("width", Math.abs(end - start));
    band.setAttribute("visibility", "visible");
  };
  catcher.addEventListener("pointerdown", (event) => { start = place(event); catcher.setPointerCapture(event.pointerId); });
  catcher.addEventListener("pointermove", (event) => { if (start !== undefined) draw(place(event)); });
  catcher.addEventListener("pointerup", (event) => {
    const end = place(event);
    const time = (at) => data.from + ((at - box.left) / inner) * (data.to - data.from);
    if (Math.abs(end - start) > 3) choose(time(Math.min(start, end)), time(Math.max(start, end)));
    start = undefined;
    band.setAttribute("visibility", "hidden");
  });
  drawing.append(catcher, band);
}

// What the colours of a timeline mean, with counts.
export function legend(counts, onclick) {
  return h("ul.legend", {}, ORDER.toReversed().filter((name) => counts[name]).map((name) =>
    h("li", {}, h("button.legend-item", { type: "button", onclick: onclick && (() => onclick(name)) },
      s("svg", { class: `swatch ink-${outcome(name).tone}`, viewBox: "0 0 10 10", "aria-hidden": "true" }, s("rect", { width: 10, height: 10, rx: 2 })),
      outcome(name).name, h("span.number.faint", {}, number(counts[name]))))));
}

// A distribution of scores from 0 to 1, on a logarithmic scale of counts, with a threshold.
// `bins` are equally wide; those at or above the threshold are drawn stronger.
export function distribution(bins, { width, height, threshold, other, label }) {
  const box = { left: 8, right: 8, top: 14, bottom: 18 };
  const [inner, tall] = [width - box.left - box.right, height - box.top - box.bottom];
  const most = Math.log1p(Math.max(1, ...bins));
  const drawing = s("svg", { class: "chart", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  const x = (score) => box.left + score * inner;
  const wide = inner / bins.length;
  bins.forEach((count, index) => {
    const tallness = count === 0 ? 0 : Math.max(2, (Math.log1p(count) / most) * tall);
    const counts = threshold !== undefined && (index + 0.5) / bins.length >= threshold;
    drawing.append(s("rect", {
      class: counts ? "ink-blocked" : "ink-allowed", x: box.left + index * wide + 0.5, width: Math.max(1, wide - 1),
      y: box.top + tall - tallness, height: tallness,
    }, s("title", {}, `${(index / bins.length).toFixed(2)} to ${((index + 1) / bins.length).toFixed(2)}: ${number(count)}`)));
  });
  drawing.append(s("line", { class: "axis", x1: box.left, x2: width - box.right, y1: box.top + tall + 0.5, y2: box.top + tall + 0.5 }));
  for (const at of [0, 0.25, 0.5, 0.75, 1]) {
    drawing.append(s("text", { class: "axis-text", x: x(at), y: height - 4, "text-anchor": at === 0 ? "start" : at === 1 ? "end" : "middle" }, String(at)));
  }
  for (const [at, name] of [[other, "threshold other"], [threshold, "threshold"]]) {
    if (at === undefined || at === null) continue;
    const place = Math.round(x(Math.min(1, at))) + 0.5;
    drawing.append(s("line", { class: name, x1: place, x2: place, y1: 3, y2: box.top + tall }));
  }
  return drawing;
}

// A share with its interval, as a dot on a line from 0 to `most`.
export function interval({ share, low, high }, { width, most, label }) {
  const x = (value) => 6 + Math.min(1, value / most) * (width - 12);
  return s("svg", { class: "chart", width, height: 18, viewBox: `0 0 ${width} 18`, role: "img", "aria-label": label },
    s("line", { class: "grid", x1: 6, x2: width - 6, y1: 9.5, y2: 9.5 }),
    s("line", { class: "whisker", x1: x(low), x2: x(high), y1: 9.5, y2: 9.5 }),
    s("circle", { class: "dot", cx: x(share), cy: 9.5, r: 4 }));
}
