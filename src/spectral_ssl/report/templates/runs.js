const MOST = 500; // lines: a browser takes seconds for thousands, and nobody tells them apart

/** Training curves and the list of runs; null where the tier has none. */
function trainingRuns() {
  const runs = read("run-data"), place = byId("curves");
  if (!runs.length) return null;
  const known = new Map(runs.map(run => [run.id, run]));
  const experiment = byId("c-experiment"), method = byId("c-method"), column = byId("c-column"), log = byId("c-log");
  let chosenEntry = { name: "", ids: [] };

  const flat = (value, prefix = "") => Object.entries(value).flatMap(([key, inner]) =>
    inner !== null && typeof inner === "object" && !Array.isArray(inner) ? flat(inner, `${prefix}${key}.`)
      : [[prefix + key, Array.isArray(inner) ? inner.join(", ") : String(inner)]]);

  const shortened = key => key.replace(/^(hyperparameters|options)\.|\.name$/g, "").replaceAll(/[._]+/g, " ").trim();

  function options(select, values, empty) {
    const before = select.value;
    select.replaceChildren(...(empty ? [make("option", { value: "" }, empty)] : []),
      ...values.map(value => make("option", { value }, value.replaceAll("_", " "))));
    if (values.includes(before)) select.value = before;
  }

  function ofExperiment() {
    if (experiment.value === "entry") return chosenEntry.ids.map(id => known.get(id)).filter(Boolean);
    return experiment.value ? runs.filter(run => run.asked.includes(experiment.value)) : runs;
  }

  /** The settings of some runs that differ between them, one that some of them lack among these. */
  function varying(settings) {
    const first = new Map(), differ = new Set();
    for (const own of settings) for (const [key, value] of own) {
      if (!first.has(key)) first.set(key, value);
      else if (first.get(key) !== value) differ.add(key);
    }
    for (const key of first.keys()) if (settings.some(own => !own.has(key))) differ.add(key);
    return differ;
  }

  /** Runs of equal settings by what tells them from others of their method: the settings that differ, seeds apart. */
  function groups(chosen) {
    const settings = new Map(chosen.map(run => [run, new Map(flat(run.settings).filter(([key]) => key !== "seed"))]));
    const differ = new Map([...new Set(chosen.map(run => run.method))].map(name =>
      [name, varying(chosen.filter(run => run.method === name).map(run => settings.get(run)))]));
    const found = new Map();
    for (const run of [...chosen].sort((a, b) => (a.settings.seed ?? 0) - (b.settings.seed ?? 0))) {
      const own = settings.get(run), keys = [...own.keys()].filter(key => differ.get(run.method).has(key));
      const words = keys.map(key => `${shortened(key)} ${own.get(key)}`);
      const label = [run.method, ...words].join(", ");
      if (found.has(label)) found.get(label).push(run);
      else found.set(label, [run]);
    }
    return new Map([...found].sort(([a], [b]) => collator.compare(a, b)));
  }

  function update() {
    const offered = ofExperiment();
    options(method, [...new Set(offered.map(run => run.method))].sort(collator.compare), "every method");
    const chosen = offered.filter(run => !method.value || run.method === method.value);
    const columns = [...new Set(chosen.flatMap(run => Object.keys(run.history)))].filter(name => name !== "epoch");
    options(column, columns);
    show(chosen);
  }

  function show(chosen) {
    const series = [], keys = make("ul", { class: "keys" });
    const settings = [...groups(chosen)];
    for (const [index, [label, members]] of settings.entries()) {
      if (series.length >= MOST) break;
      const drawn = members.filter(run => run.history[column.value]);
      for (const run of drawn) series.push({ name: `${label}, seed ${run.settings.seed ?? "unknown"}`, x: run.history.epoch, y: run.history[column.value], look: index });
      const key = shape("svg", { viewBox: "0 0 40 10", "aria-hidden": "true" });
      key.append(shape("line", { x1: 0, x2: 40, y1: 5, y2: 5, "stroke-width": 2.5, ...look(index) }));
      const seeds = listed(members.map(run => [`seed ${run.settings.seed ?? run.id}`, "#" + run.anchor]));
      keys.append(make("li", {}, key, label + ": ", ...seeds));
    }
    const words = column.value.replaceAll("_", " ");
    draw(place, series, { x: "epoch", y: words, title: `${words} by epoch, ${series.length} runs` }, log.checked);
    place.append(keys);
    const left = settings.length - keys.children.length;
    byId("drawn").textContent = `${series.length} runs, ${new Set(series.map(one => one.look)).size} settings`
      + (left ? ` drawn; ${left} more settings: choose an experiment or a method` : "");
  }

  function fill(fold) {
    const run = known.get(fold.dataset.run);
    if (!fold.open || fold.children.length > 1) return;
    const pairs = (title, found) => found.length ? [make("h4", {}, title), make("dl", { class: "pairs" },
      ...found.flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, value)]))] : [];
    const files = run.files.length ? [make("p", { class: "files note" }, "Files: ", ...listed(run.files))] : [];
    const draw = make("button", { type: "button", class: "do" }, "Draw this run");
    draw.addEventListener("click", () => ofEntry(run.id, [run.id]));
    fold.append(make("div", {}, draw, ...files, ...pairs("Settings", flat(run.settings)), ...pairs("Origin", flat(run.origin)),
      ...pairs("Used by", run.asked.map(name => ["experiment", name]))));
  }

  /** Draw the runs of one entry and go to them. */
  function ofEntry(name, ids) {
    chosenEntry = { name, ids };
    const option = byId("c-entry");
    option.hidden = false;
    option.textContent = name;
    experiment.value = "entry";
    method.value = "";
    update();
    try { history.pushState(null, "", location.search + "#runs"); } catch {} // so that Back returns to the entry
    byId("runs").scrollIntoView();
    experiment.focus({ preventScroll: true });
  }

  for (const control of [experiment, method, column, log]) control.addEventListener("change", update);
  byId("choose").addEventListener("submit", event => event.preventDefault());
  document.querySelectorAll(".run").forEach(fold => fold.addEventListener("toggle", () => fill(fold)));
  let width = 0;
  new ResizeObserver(() => {
    if (place.clientWidth && place.clientWidth !== width) { width = place.clientWidth; update(); }
  }).observe(place);
  update();
  return { ofEntry };
}
