// How things are called and written.

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const SHORT = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const FULL = new Intl.DateTimeFormat("en-GB", {
  weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
  fractionalSecondDigits: 3, hourCycle: "h23", timeZoneName: "short",
});
const NUMBER = new Intl.NumberFormat("en-US");

export const number = (value) => NUMBER.format(value);
export const fullTime = (time) => FULL.format(new Date(time));
export const clock = (time) => CLOCK.format(new Date(time));
export const score = (value) => (value >= 0.9995 ? "1.000" : value.toFixed(3));

export function day(time) {
  const date = new Date(time);
  return date.toDateString() === new Date().toDateString() ? "today" : DAY.format(date);
}

// A mark on an axis that covers `span` milliseconds.
export function tick(time, span) {
  const date = new Date(time);
  if (span > 3 * 86_400_000) return DAY.format(date);
  return span > 86_400_000 ? `${DAY.format(date)} ${SHORT.format(date)}` : span > 600_000 ? SHORT.format(date) : CLOCK.format(date);
}

export function milliseconds(value) {
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 100) return `${Math.round(value)} ms`;
  return value >= 10 ? `${value.toFixed(1)} ms` : `${value.toFixed(2)} ms`;
}

export function bytes(value) {
  if (value < 10_000) return `${number(value)} B`;
  return value < 10_000_000 ? `${number(Math.round(value / 1000))} kB` : `${(value / 1_000_000).toFixed(1)} MB`;
}

export const percent = (share, digits = 1) => `${(share * 100).toFixed(digits)} %`;

export function ago(time) {
  const seconds = Math.max(0, (Date.now() - new Date(time).getTime()) / 1000);
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86_400)} d ago`;
}

// Names of categories, as people say them.
export const words = (name) => (name ?? "").replaceAll("_", " ");

// How an exchange ended: what it is called, its colour, its shape.
export const OUTCOMES = {
  allowed: { name: "Allowed", tone: "allowed", icon: "check", ink: "--allow" },
  flagged: { name: "Flagged", tone: "flagged", icon: "flag", ink: "--flag" },
  redacted: { name: "Redacted", tone: "redacted", icon: "cut", ink: "--redact" },
  blocked: { name: "Blocked", tone: "blocked", icon: "stop", ink: "--block" },
  refused: { name: "Refused", tone: "refused", icon: "turn", ink: "--refused" },
  guard_unavailable: { name: "No verdict", tone: "failed", icon: "warn", ink: "--failed" },
  upstream_failed: { name: "Upstream failed", tone: "failed", icon: "warn", ink: "--failed" },
  client_gone: { name: "Client gone", tone: "refused", icon: "door", ink: "--refused" },
  failed: { name: "Failed", tone: "failed", icon: "warn", ink: "--failed" },
  abandoned: { name: "Abandoned", tone: "failed", icon: "warn", ink: "--failed" },
};
const ACTIONS = { allow: "allowed", flag: "flagged", redact: "redacted", block: "blocked" };
// Of an outcome, or of an action.
export const outcome = (name) => OUTCOMES[ACTIONS[name] ?? name] ?? { name: words(name), tone: "refused", icon: "warn", ink: "--refused" };

export const VERDICTS = [
  { name: "correct", title: "Correct", hint: "The decision was right" },
  { name: "false_alarm", title: "False alarm", hint: "It should have passed" },
  { name: "missed", title: "Missed", hint: "It should have been stopped" },
  { name: "wrong_category", title: "Wrong category", hint: "Right to act, for another reason" },
  { name: "test_traffic", title: "Test traffic", hint: "Not a person" },
  { name: "unsure", title: "Unsure", hint: "Somebody else should look" },
];
export const verdict = (name) => VERDICTS.find((one) => one.name === name)?.title ?? words(name);
