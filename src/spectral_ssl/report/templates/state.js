"use strict";
const byId = id => document.getElementById(id);
const read = id => JSON.parse(byId(id).textContent);
const collator = new Intl.Collator("en", { numeric: true });

/** An element with attributes and children; texts become text nodes, so nothing in them is markup. */
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A label, as a link where there is something to go to. */
const link = (label, address) => (address ? make("a", { href: address }, label) : make("span", {}, label));

/** A number in a text, or NaN; an empty text is none. */
const numeric = text => (text.trim() === "" ? NaN : Number(text));

/** Numbers by size, then texts, then what is empty, which stays last whichever way the rest is turned. */
function compare(a, b, sign) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const x = numeric(a), y = numeric(b), texts = isNaN(x) - isNaN(y);
  return texts || sign * (isNaN(x) ? collator.compare(a, b) : x - y);
}

const FIELDS = ["tier", "paper", "kind", "verdict", "family", "q"];

/** What the address says of the ledger: filters, search and order (a column, with "-" before it if descending). */
function addressed() {
  const found = new URLSearchParams(location.search), state = { sort: found.get("sort") || "" };
  for (const name of FIELDS) state[name] = found.get(name) || "";
  return state;
}

/** Put the ledger's state into the address; a browser may forbid that for a file, and the page works without. */
function address(state) {
  const kept = Object.entries(state).filter(([, value]) => value);
  const search = kept.length ? "?" + new URLSearchParams(kept) : "";
  if (search === location.search) return;
  try {
    history.replaceState(null, "", location.pathname + search + location.hash);
  } catch {}
}
