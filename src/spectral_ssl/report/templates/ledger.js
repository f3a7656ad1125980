/** The ledger's table: filters, search, order, and details that open below their row. */
function ledger() {
  const data = read("ledger-data"), table = byId("entries"), body = table.tBodies[0], first = Number(table.dataset.first);
  const entries = data.rows.map((values, index) => {
    const entry = Object.fromEntries(data.columns.map((column, place) => [column, values[place]]));
    return { entry, row: body.rows[index], text: values.join(" ").toLowerCase() + " " + body.rows[index].textContent.toLowerCase() };
  });
  const by = new Map(entries.map(one => [one.row, one])), controls = FIELDS.map(name => [name, byId("f-" + name)]);
  const headings = [...table.tHead.rows[0].cells];
  let order = entries, sorted = "";

  function state() {
    return { ...Object.fromEntries(controls.map(([name, control]) => [name, control.value])), sort: sorted };
  }

  function clear() {
    for (const [, control] of controls) control.value = "";
  }

  /** Find the entries that are asked for, and show the first of them. */
  function filter() {
    const wanted = state(), words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
    const asked = FIELDS.filter(name => name !== "q" && wanted[name]);
    for (const one of entries) {
      one.found = asked.every(name => one.entry[name] === wanted[name]) && words.every(word => one.text.includes(word));
      one.pinned = false;
    }
    show(first);
    address(wanted);
  }

  /** Show the first entries found, and those that an address led to: laying out thousands of rows takes seconds. */
  function show(most) {
    let count = 0;
    for (const one of order) {
      const keep = one.found && (count++ < most || one.pinned);
      if (one.row.hidden === keep) one.row.hidden = !keep;
      if (one.detail) one.detail.hidden = !keep;
    }
    byId("shown").textContent = `${count} of ${entries.length} entries` + (count > most ? `, the first ${most} shown` : "");
    byId("all").hidden = count <= most;
  }

  function sort(by) {
    const column = by.replace(/^-/, ""), sign = by.startsWith("-") ? -1 : 1;
    sorted = headings.some(heading => heading.dataset.column === column) ? by : "";
    order = sorted ? [...entries].sort((a, b) => compare(a.entry[column], b.entry[column], sign)) : entries;
    for (const heading of headings) {
      if (sorted && heading.dataset.column === column) heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      else heading.removeAttribute("aria-sort");
    }
    body.replaceChildren(); // thousands of rows taken out one by one, in another order than theirs, take seconds
    body.append(...order.flatMap(({ row, detail }) => (detail ? [row, detail] : [row])));
    show(first);
  }

  function open(one, wanted) {
    const button = one.row.querySelector("button");
    if (!one.detail && wanted) {
      const cell = make("td", { colspan: headings.length }, detail(one.entry, data.links[one.entry.id] || {}, data.meaning));
      one.detail = make("tr", { class: "detail", id: one.entry.id + "--detail" }, cell);
      one.row.after(one.detail);
      button.setAttribute("aria-controls", one.detail.id);
    } else if (one.detail && !wanted) {
      one.detail.remove();
      delete one.detail;
    }
    button.setAttribute("aria-expanded", String(wanted));
  }

  function restore() {
    const wanted = addressed();
    for (const [name, control] of controls) control.value = wanted[name];
    if (wanted.sort !== sorted) sort(wanted.sort);
    filter();
  }

  for (const [name, control] of controls) control.addEventListener(name === "q" ? "input" : "change", filter);
  byId("all").addEventListener("click", () => show(Infinity));
  byId("filters").addEventListener("submit", event => event.preventDefault());
  byId("filters").addEventListener("reset", event => {
    event.preventDefault(); // a form's own reset comes after its event
    clear();
    sort("");
    filter();
  });
  for (const heading of headings) heading.addEventListener("click", () => {
    const column = heading.dataset.column;
    sort(sorted === column ? "-" + column : sorted === "-" + column ? "" : column);
    address(state());
  });
  body.addEventListener("click", event => {
    const button = event.target.closest("th > button");
    if (button) open(by.get(button.closest("tr")), button.getAttribute("aria-expanded") !== "true");
  });
  restore();

  /** Show an entry's row, whatever the filters, with its detail; false for a row of another table. */
  function reveal(row) {
    const one = by.get(row);
    if (!one) return false;
    if (!one.found) {
      clear();
      filter();
    }
    one.pinned = true;
    one.row.hidden = false;
    open(one, true);
    return true;
  }
  return { restore, reveal };
}
