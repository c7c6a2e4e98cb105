// Asking the server. Whatever changes something carries the session's token.

export class Refused extends Error {
  constructor(status, message, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

let csrf = "";
let loggedOut = () => {};

// Called when a session has ended behind our back.
export function onLoggedOut(then) {
  loggedOut = then;
}

export function remember(session) {
  csrf = session?.csrf ?? "";
}

async function call(method, path, body, signal) {
  const headers = { accept: "application/json" };
  if (method !== "GET") headers["x-csrf-token"] = csrf;
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The console cannot be reached. Is the server running?");
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  if (response.status === 401 && path !== "/api/session") loggedOut();
  throw new Refused(response.status, said.error ?? `The server answered ${response.status}.`, response.headers.get("retry-after"));
}

// A path with a query; what is undefined or empty is left out.
export function at(path, query) {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(pairs).toString();
  return text === "" ? path : `${path}?${text}`;
}

export const get = async (path, signal) => (await call("GET", path, undefined, signal)).json();
export const post = async (path, body, signal) => (await call("POST", path, body, signal)).json();
export const remove = async (path) => (await call("DELETE", path)).json();

// A file: its text and the name it should have.
export async function file(path, body) {
  const response = await call("POST", path, body);
  const named = /filename="([\w.-]+)"/.exec(response.headers.get("content-disposition") ?? "");
  return { blob: await response.blob(), name: named?.[1] ?? "export.txt" };
}
