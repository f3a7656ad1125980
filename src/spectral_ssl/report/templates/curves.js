const COLOURS = ["#0072b2", "#d55e00", "#007a5a", "#a6438a", "#7a5c00", "#3a3a3a", "#5b3fb0", "#b00020"];
const DASHES = ["", "7 3", "2 2", "9 3 2 3", "4 5", "12 3"];
const SVG = "http://www.w3.org/2000/svg";

/** A look for every group; the first 24 differ in colour and dashes together. */
const look = index => ({ stroke: COLOURS[index % COLOURS.length], "stroke-dasharray": DASHES[index % DASHES.length] });

function shape(tag, attributes = {}, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
}

/** Round values that cover an interval, about `count` of them; powers of ten if logarithmic. */
function ticks(low, high, count, log) {
  if (log) {
    const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
    const step = Math.max(1, Math.ceil((last - first + 1) / count)), found = [];
    for (let power = first; power <= last; power += step) found.push(10 ** power);
    return found.length > 1 ? found : [low, high];
  }
  const rough = (high - low) / count || 1, size = 10 ** Math.floor(Math.log10(rough));
  const step = size * [1, 2, 5, 10].find(factor => factor * size >= rough), found = [];
  for (let value = Math.ceil(low / step); value * step <= high + 1e-9 * step; value++) found.push(value * step);
  return found;
}

const short = value => String(Number(value.toPrecision(3)));

/** Lines over epochs. `series` have a name, x, y (null where there is no value) and the index of their look. */
function draw(place, series, words, log) {
  const usable = value => value !== null && (!log || value > 0);
  const points = series.map(one => one.y.map((y, at) => [one.x[at], usable(y) ? y : null]));
  const all = points.flat().filter(([, y]) => y !== null);
  place.replaceChildren();
  if (!all.length) {
    place.append(make("p", { class: "note" }, `No finite${log ? " positive" : ""} value of ${words.y} in these runs.`));
    return;
  }
  const extent = values => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
  const [left, right] = extent(all.map(([x]) => x));
  let [low, high] = extent(all.map(([, y]) => y));
  if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
  const width = Math.max(280, Math.min(960, place.clientWidth || 960)), height = Math.round(Math.max(240, width * 0.42));
  const box = { left: 58, right: width - 12, top: 12, bottom: height - 42 };
  const turn = value => (log ? Math.log10(value) : value);
  const across = x => box.left + ((x - left) / (right - left || 1)) * (box.right - box.left);
  const up = y => box.bottom - ((turn(y) - turn(low)) / (turn(high) - turn(low))) * (box.bottom - box.top);
  const picture = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words.title });
  for (const x of ticks(left, right, width / 90, false)) {
    picture.append(shape("line", { x1: across(x), x2: across(x), y1: box.bottom, y2: box.bottom + 5, stroke: "#595959" }));
    picture.append(shape("text", { x: across(x), y: box.bottom + 18, "text-anchor": "middle" }, short(x)));
  }
  for (const y of ticks(low, high, 5, log)) {
    picture.append(shape("line", { x1: box.left, x2: box.right, y1: up(y), y2: up(y), stroke: "#e3e3e3" }));
    picture.append(shape("text", { x: box.left - 6, y: up(y) + 4, "text-anchor": "end" }, short(y)));
  }
  picture.append(shape("path", { d: `M${box.left},${box.top}V${box.bottom}H${box.right}`, fill: "none", stroke: "#595959" }));
  picture.append(shape("text", { x: (box.left + box.right) / 2, y: height - 6, "text-anchor": "middle" }, words.x));
  const middle = (box.top + box.bottom) / 2;
  picture.append(shape("text", { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, words.y));
  series.forEach((one, index) => {
    const d = points[index].reduce(([path, pen], [x, y]) => (y === null
      ? [path, "M"] : [path + `${pen}${across(x).toFixed(1)},${up(y).toFixed(1)}`, "L"]), ["", "M"])[0];
    const line = shape("path", { class: "line", d, fill: "none", "stroke-width": 1.6, "stroke-linecap": "round", ...look(one.look) });
    line.append(shape("title", {}, one.name));
    picture.append(line);
  });
  place.append(picture);
}
