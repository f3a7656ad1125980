/** All that is known of an entry, as the content of the row below it. */
function detail(entry, links, meaning) {
  const pairs = make("dl", { class: "pairs" });
  const say = (label, ...words) => words.some(word => word) && pairs.append(make("dt", {}, label), make("dd", {}, ...words));
  const interval = entry.ci_low && `${entry.ci_low} to ${entry.ci_high}`;
  const needed = entry.seeds_needed && [`${entry.seeds_needed}, to be had with `, make("code", {}, entry.command)];
  const own = meaning[entry.verdict];
  say("verdict", entry.verdict + (own ? ": " + own[0].toLowerCase() + own.slice(1) : ""));
  for (const [label, words] of [
    ["printed", entry.printed], ["measured", entry.measured], ["interval, 95 % (sameness: 90 %)", interval], ["spread over seeds", entry.spread],
    ["margin", entry.margin], ["seeds", entry.seeds], ["family", entry.family], ["p", entry.p],
    ["p after Holm, in the family", entry.p_holm],
  ]) say(label, words);
  if (needed) say("seeds needed", ...(entry.command ? needed : [entry.seeds_needed]));
  for (const [label, words] of [
    ["rule", entry.rule], ["protocol", entry.protocol], ["data set", entry.dataset], ["where", entry.location],
    ["kind", entry.kind], ["tier", entry.tier],
  ]) say(label, words);
  const inner = make("div", { class: "inner" }, pairs);
  for (const [label, name] of [["table", "table"], ["figure", "figure"], ["statements", "statements"], ["decided by", "entries"]]) {
    const found = links[name] || [];
    if (found.length) say(label, ...listed(found));
  }
  if (links.runs && links.runs.length) {
    const fold = make("details", {}, make("summary", {}, `${links.runs.length} runs`), ...listed(links.runs));
    const draw = make("button", { type: "button", class: "do" }, "Draw their training curves");
    draw.addEventListener("click", () => curves && curves.ofEntry(entry.entry, links.runs.map(([id]) => id)));
    const here = links.runs.some(([, at]) => at.startsWith("#"));
    pairs.append(make("dt", {}, "runs"), make("dd", {}, fold, ...(here && curves ? [draw] : [])));
  }
  return inner;
}

/** Links one after the other, with commas. */
function listed(found) {
  return found.flatMap(([label, at], index) => (index ? [", ", link(label, at)] : [link(label, at)]));
}
