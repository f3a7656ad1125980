const curves = trainingRuns(), table = ledger();

/** Open what an address leads to: folded parts, or the detail of a ledger's row. */
function reveal() {
  let id = location.hash.slice(1);
  try { id = decodeURIComponent(id); } catch {}
  const found = id && byId(id);
  if (!found) return;
  for (let fold = found.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  table.reveal(found);
  found.scrollIntoView();
}
addEventListener("hashchange", reveal);
addEventListener("popstate", () => table.restore());

document.addEventListener("click", event => {
  const found = event.target.closest("a[href]"), target = found && found.getAttribute("href");
  if (!found || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (target === location.hash) reveal(); // the address stays as it is, so it tells nobody
  if (!target.startsWith("?")) return;
  try { history.pushState(null, "", target); } catch { return; } // else the page is loaded anew, with that query
  event.preventDefault();
  table.restore();
  byId("ledger").scrollIntoView();
});

const notebooks = byId("notebook-data");
let pages = null;
document.querySelectorAll(".notebook").forEach(fold => fold.addEventListener("toggle", () => {
  const frame = fold.querySelector("iframe");
  pages ??= JSON.parse(notebooks.textContent);
  if (fold.open && !frame.srcdoc) frame.srcdoc = pages[fold.dataset.notebook];
}));
reveal();
