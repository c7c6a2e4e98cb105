// The text of a query, as the server reads it: terms between blanks, `field:value,value`, `-` for not, quotes and
// backslashes. Here it is only taken apart and put together; what it means is the server's business.

// The terms of a text, as they stand there.
export function terms(text) {
  const found = [];
  let term = "";
  let quoted = false;
  for (let i = 0; i < text.length; i += 1) {
    const c = text[i];
    if (c === "\\") {
      term += c + (text[i + 1] ?? "");
      i += 1;
    } else if (!quoted && /\s/u.test(c)) {
      if (term !== "") found.push(term);
      term = "";
    } else {
      if (c === '"') quoted = !quoted;
      term += c;
    }
  }
  if (term !== "") found.push(term);
  return found;
}

const fieldOf = (term) => /^-?([a-z]+)[:<>.]/u.exec(term)?.[1];

// A value that stands for nothing but itself.
export function literal(value) {
  return value.replace(/[\\*]/gu, "\\$&").replace(/["\s,]/gu, "\\$&");
}

export const term = (field, value, exclude = false) => `${exclude ? "-" : ""}${field}:${literal(value)}`;

export const has = (text, wanted) => terms(text).includes(wanted);

// The text with this term, or without it if it is there.
export function toggle(text, field, value, exclude = false) {
  const wanted = term(field, value, exclude);
  const opposite = term(field, value, !exclude);
  const others = terms(text).filter((one) => one !== opposite);
  const without = others.filter((one) => one !== wanted);
  return (without.length < others.length ? without : [...others, wanted]).join(" ");
}

// The text without any term about these fields, with `more` behind it.
export function replace(text, fields, more = []) {
  return [...terms(text).filter((one) => !fields.includes(fieldOf(one))), ...more].join(" ");
}

// The value of the first term about `field`.
export function value(text, field) {
  const found = terms(text).find((one) => one.startsWith(`${field}:`));
  return found?.slice(field.length + 1);
}
