// The views, as one ES module without a build: `render` for anywidget (a live kernel), `mount` for a page.
//
//   mount(element, payload)   payload: {view, version, data, words}, as course_utils.pictures.views makes it
//
// Parts: the kit (elements, numbers, colours, controls, grids, strips, curves), one function for each view, the doors.

// ---------------------------------------------------------------------------------------------------- the kit

const SVG = "http://www.w3.org/2000/svg";

/** An element: attributes by name, `on...` listeners, `style` custom properties; children are nodes or texts. */
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "circle", "line", "rect", "text", "polygon"].includes(tag);
  const element = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined));
  return element;
}

/** A number with a fixed count of decimals, rounded as Python rounds: ties to even. */
export function fixed(value, digits = 1, signed = false) {
  const scaled = value * 10 ** digits;
  const tie = Math.abs(scaled % 1) === 0.5 && Number.isInteger(value * 2 ** (digits + 1));  // 0.25, but not 1.05
  let text = (tie ? (2 * Math.round(scaled / 2)) / 10 ** digits : value).toFixed(digits);
  if (Number(text) === 0) text = text.replace("-", "");
  return signed && !text.startsWith("-") ? `+${text}` : text;
}

const percent = (share) => (share > 0 && share < 0.001 ? "< 0.1 %" : `${fixed(100 * share, 1)} %`);
const whole = (count) => count.toLocaleString("en-US");
/** A token as it can be read: a leading space as a raised dot, a line break as an arrow. */
export const readable = (token) => token.replaceAll(" ", "·").replaceAll("\n", "↵").replaceAll("\t", "⇥");

// Colours are mixed here and not in CSS, so that the ink on each ground can be the one that is easier to read.
const GROUNDS = { day: [247, 248, 250], night: [35, 38, 44] };
const HUES = {
  up: { day: [178, 24, 43], night: [255, 110, 95] },
  down: { day: [33, 102, 172], night: [95, 170, 255] },
  plain: { day: [11, 95, 158], night: [124, 196, 255] },
};

function luminance(colour) {
  const [r, g, b] = colour.map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Custom properties for a cell: strength 0 to 1 of a hue, for light and dark. */
function coloured(strength, hue) {
  const style = {};
  const share = Math.min(1, Math.max(0, strength));
  for (const mode of ["day", "night"]) {
    const mixed = GROUNDS[mode].map((from, i) => Math.round(from + share * (HUES[hue][mode][i] - from)));
    style[`--${mode}`] = `rgb(${mixed.join(" ")})`;
    style[`--${mode}-ink`] = luminance(mixed) > 0.179 ? "#000000" : "#ffffff";
  }
  return style;
}
const signedColour = (value, largest) => coloured(largest ? Math.abs(value) / largest : 0, value < 0 ? "down" : "up");

// By chance and not counted: in a notebook every widget has this module once more, in one document.
const unique = (name) => `cv-${name}-${Math.random().toString(36).slice(2)}`;

/** A choice of one: radio buttons under a name. `change` gets the chosen index. */
function choice(name, options, chosen, change) {
  const group = unique("choice");
  return make("fieldset", {}, make("legend", {}, name), options.map((option, i) =>
    make("label", {}, make("input", { type: "radio", name: group, value: i, checked: i === chosen,
      onchange: () => change(i) }), option)));
}

/** A control with its label, and what stands behind it. */
function labelled(name, control, ...after) {
  control.id = unique("control");
  return make("div", { class: "cv-control" }, make("label", { for: control.id, class: "cv-quiet" }, name), control, after);
}

/** A choice of one among many: a select. */
function picker(name, options, chosen, change) {
  return labelled(name, make("select", { onchange: (event) => change(event.target.selectedIndex) },
    options.map((option, i) => make("option", { selected: i === chosen }, option))));
}

/** A slider over whole numbers 0 to last; `say` turns one into the words beside it, which a screen reader says too. */
function slider(name, last, start, say, change) {
  const shown = make("output", {}, say(start));
  const input = make("input", { type: "range", min: 0, max: last, value: start, "aria-valuetext": say(start),
    oninput: () => { input.set(Number(input.value)); change(Number(input.value)); } });
  input.set = (value) => {
    input.value = value;
    shown.textContent = say(value);
    input.setAttribute("aria-valuetext", say(value));
  };
  const control = labelled(name, input, shown);
  control.set = input.set;
  return control;
}

/**
 * A table to point at, to walk with the arrow keys and to keep cells of.
 * cell(row, column): {text, label, style} or null where there is nothing. Rows are drawn in the order of `rows`.
 */
function grid({ name, rows, columns, rowName, columnName, cell, point, pick, kind = "", corner = "" }) {
  const cells = new Map();
  let here = null;
  const key = (row, column) => `${row},${column}`;
  const go = (row, column, focus) => {
    const next = cells.get(key(row, column));
    if (!next) return;
    if (here) { here.tabIndex = -1; here.classList.remove("cv-here"); }
    here = next;
    here.tabIndex = 0;
    here.classList.add("cv-here");
    if (focus) here.focus();
    point(row, column);
  };
  const step = (row, column, down, right) => {
    for (let r = rows.indexOf(row) + down, c = columns.indexOf(column) + right;
      r >= 0 && r < rows.length && c >= 0 && c < columns.length; r += down, c += right) {
      if (cells.has(key(rows[r], columns[c]))) return go(rows[r], columns[c], true);
    }
  };
  const walk = (event, row, column) => {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const inRow = columns.filter((c) => cells.has(key(row, c)));
    if (moves[event.key]) step(row, column, ...moves[event.key]);
    else if (event.key === "Home") go(row, inRow[0], true);
    else if (event.key === "End") go(row, inRow.at(-1), true);
    else if (event.key === "Enter" || event.key === " ") pick?.(row, column);
    else return;
    event.preventDefault();
    event.stopPropagation();  // a notebook has its own use for these keys
  };
  const body = rows.map((row) => make("tr", {}, make("th", { scope: "row" }, rowName(row)),
    columns.map((column) => {
      if (cell(row, column) === null) return make("td", { class: "cv-nothing" });
      const td = make("td", { role: "gridcell", tabindex: -1, "data-row": row, "data-column": column,
        onpointerenter: (event) => { if (event.pointerType === "mouse") go(row, column, false); },
        onfocus: () => { if (here !== td) go(row, column, false); },
        onclick: () => { go(row, column, true); pick?.(row, column); },
        onkeydown: (event) => walk(event, row, column) });
      cells.set(key(row, column), td);
      return td;
    })));
  const table = make("table", { class: `cv-grid ${kind}`, role: "grid", "aria-label": name },
    make("thead", {}, make("tr", {}, corner ? make("th", {}, corner) : make("td", { class: "cv-nothing" }),
      columns.map((column) => make("th", { scope: "col" }, make("span", {}, columnName(column)))))),
    make("tbody", {}, body));
  table.paint = (kept = []) => {
    for (const [place, td] of cells) {
      const [row, column] = place.split(",").map(Number);
      const { text, label, style } = cell(row, column);
      td.textContent = text;
      td.setAttribute("aria-label", label);
      for (const [property, value] of Object.entries(style)) td.style.setProperty(property, value);
      const held = kept.some(([r, c]) => r === row && c === column);
      td.classList.toggle("cv-kept", held);
      if (pick) td.setAttribute("aria-selected", held);
    }
  };
  table.go = go;
  table.paint();
  return table;
}

/** A text as its tokens, each on a ground of its own, with a number under it where there are `notes`. */
function strip(tokens, notes, styles, name) {
  return make("ul", { class: "cv-tokens", "aria-label": name }, tokens.map((token, i) =>
    make("li", { style: styles[i] }, readable(token), notes ? make("small", {}, notes[i]) : null)));
}

/** Buttons in a row, one of which is chosen: one stop for Tab, walked with the arrow keys. `point` gets the index. */
function chips(name, items, chosen, point) {
  const buttons = [];
  const mark = (i) => buttons.forEach((one, j) => {
    one.tabIndex = j === Math.max(i, 0) ? 0 : -1;  // of -1 nothing is marked, and Tab comes to the first
    one.setAttribute("aria-pressed", String(j === i));
  });
  const go = (i, focus) => {
    if (!buttons[i]) return;
    mark(i);
    if (focus) buttons[i].focus();
    point(i);
  };
  const list = make("ul", { class: "cv-tokens", "aria-label": name }, items.map(({ text, label, kind, style }, i) => {
    const button = make("button", { type: "button", "aria-label": label, class: kind, style, "aria-pressed": "false",
      tabindex: -1, onclick: () => go(i, true),
      onpointerenter: (event) => { if (event.pointerType === "mouse") go(i, false); },
      onkeydown: (event) => {
        const next = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: buttons.length - 1 }[event.key];
        if (next === undefined) return;
        event.preventDefault();
        event.stopPropagation();
        go(next, true);
      } }, text);
    buttons.push(button);
    return make("li", { class: "cv-bare" }, button);
  }));
  list.go = go;
  list.mark = mark;
  if (chosen !== null) go(chosen, false);
  return list;
}

/** A curve over x with an optional band behind it and a mark on one of its points. */
function curve({ xs, values, band, mark, name, xName, yName }) {
  const [width, height, left, bottom] = [420, 230, 46, 42];
  const all = [...values, ...(band ? band.flat() : [])];
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const room = (high - low || 1) * 0.08;
  const x = (i) => left + ((xs[i] - xs[0]) / (xs.at(-1) - xs[0] || 1)) * (width - left - 14);
  const y = (v) => height - bottom - ((v - low + room) / (high - low + 2 * room || 1)) * (height - bottom - 12);
  const points = (row) => row.map((v, i) => `${x(i).toFixed(1)},${y(v).toFixed(1)}`);
  const ticks = [low, (low + high) / 2, high];
  const ends = [0, Math.floor((xs.length - 1) / 2), xs.length - 1];
  return make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": name },
    band ? make("polygon", { class: "cv-band", points: [...points(band[0]), ...points(band[1]).reverse()].join(" ") }) : null,
    ticks.map((v) => [make("line", { class: "cv-axis", x1: left, x2: width - 14, y1: y(v), y2: y(v) }),
      make("text", { x: left - 6, y: y(v) + 4, "text-anchor": "end" }, fixed(v, 1))]),
    ends.map((i) => make("text", { x: x(i), y: height - bottom + 18, "text-anchor": "middle" }, String(xs[i]))),
    make("text", { x: (left + width) / 2, y: height - 6, "text-anchor": "middle" }, xName),
    make("text", { x: left, y: 9 }, yName),
    make("path", { class: "cv-curve", d: `M${points(values).join("L")}` }),
    make("circle", { class: "cv-mark", cx: x(mark), cy: y(values[mark]), r: 6 }));
}

/** Rows of name and value, as a table. */
function facts(rows) {
  return make("table", { class: "cv-facts" }, make("tbody", {}, rows.map(([name, ...values]) =>
    make("tr", {}, make("th", { scope: "row" }, name), values.map((value) => make("td", {}, value))))));
}

/** A bar of a share of the cell's width. */
const bar = (share, cut = false) =>
  make("span", { class: cut ? "cv-bar cv-cut" : "cv-bar", style: { width: `${100 * Math.min(1, share)}%` } });

function argmax(values) {
  return values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
}

const range = (count) => [...Array(count).keys()];

/** Unsigned bytes that came as base64. */
const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

// ------------------------------------------------------------------------------------------- the patching map

function patchingMap(root, data) {
  let pair = 0, map = 0, kept = [], here = null, table;
  const side = make("div", { class: "cv-side" });
  const main = make("div", { class: "cv-main" });
  const controls = make("div", { class: "cv-controls" });

  const card = ([layer, head], held) => {
    const { gap, maps, prompts, by_position: moved } = data.pairs[pair];
    const rows = maps.map(({ name, values }, i) =>
      [name, `${fixed(values[layer][head], 1, true)}${i === 0 ? ` of ${fixed(gap)} ${data.unit}` : ""}`]);
    if (data.copy) {
      const z = data.copy[layer][head];
      const meaning = z <= -2 ? "writes against what it reads" : z >= 2 ? "writes what it reads" : "neither clearly";
      rows.push(["copy score", `${fixed(z, 1, true)} (${meaning})`]);
    }
    const shown = [make("p", { class: "cv-name" }, `Head ${layer}.${head}`), facts(rows)];
    for (const { name, tokens, attention } of prompts) {
      const first = (layer * maps[0].values[0].length + head) * tokens.length;
      const weights = [...bytes(attention).slice(first, first + tokens.length)];
      const most = argmax(weights);
      shown.push(make("p", { class: "cv-quiet" },
        `${name}: the last token looks most at ${readable(tokens[most])}, position ${most} (${weights[most]} %)`),
        strip(tokens, weights.map((w) => (w >= 5 ? w : "")), weights.map((w) => coloured(w / 100, "plain")),
          `attention on ${name}, in percent`));
    }
    if (moved) {
      const values = moved[layer][head];
      const largest = Math.max(...values.map(Math.abs), 0.1);
      shown.push(make("p", { class: "cv-quiet" }, `patched at one position only, in ${data.unit}`),
        strip(prompts[0].tokens, values.map((v) => (Math.abs(v) >= 0.1 ? fixed(v, 1, true) : "")),
          values.map((v) => signedColour(v, largest)), "effect by position"));
    }
    return make("div", { class: held ? "cv-card cv-kept" : "cv-card" }, shown);
  };

  const showCards = () => {
    const cards = kept.map((one) => card(one, true));
    if (here && kept.length < 2 && !kept.some(([l, h]) => l === here[0] && h === here[1])) cards.push(card(here, false));
    side.replaceChildren(...cards);
  };

  const pick = (layer, head) => {
    const place = kept.findIndex(([l, h]) => l === layer && h === head);
    kept = place >= 0 ? kept.filter((_, i) => i !== place) : [...kept.slice(0, 1), [layer, head]];
    table.paint(kept);
    showCards();
  };

  const draw = () => {
    const { maps, label } = data.pairs[pair];
    const largest = Math.max(...maps.flatMap((one) => one.values.flat()).map(Math.abs));
    table = grid({
      name: `${maps[map].name}, by layer and head, ${data.unit}`,
      rows: range(maps[0].values.length).reverse(),
      columns: range(maps[0].values[0].length),
      rowName: String, columnName: String, corner: "head", kind: "cv-tight",
      cell: (layer, head) => {
        const value = maps[map].values[layer][head];
        return { text: Math.abs(value) >= 0.1 ? fixed(value, 1, true) : "", style: signedColour(value, largest),
          label: `head ${layer}.${head}: ${maps[map].name} ${fixed(value, 1, true)} ${data.unit}` };
      },
      point: (layer, head) => { here = [layer, head]; showCards(); }, pick,
    });
    main.replaceChildren(make("p", { class: "cv-quiet" }, label), table,
      make("p", { class: "cv-quiet" }, `Rows: layers. Red and +: up. Blue and -: down. Under 0.1 ${data.unit}: no number.`));
    table.paint(kept);
    const strongest = maps[0].values.flatMap((row, l) => row.map((v, h) => [Math.abs(v), l, h]));
    const [, layer, head] = strongest.reduce((best, one) => (one[0] > best[0] ? one : best));
    table.go(...(here ?? [layer, head]), false);
  };

  const first = data.pairs[0].maps.map((one) => one.name);
  if (first.length > 1) controls.append(choice("Show", first, 0, (i) => { map = i; draw(); }));
  if (data.pairs.length > 1) {
    controls.append(picker("Prompts", data.pairs.map((one) => one.label), 0, (i) => { pair = i; draw(); }));
  }
  root.append(make("p", { class: "cv-quiet" },
    "Point at a head, or walk with the arrow keys. Click, tap or Enter keeps it; a second one stands beside it."),
    controls, make("div", { class: "cv-columns" }, main, side));
  draw();
}

// ------------------------------------------------------------------------------------------------------ lens

function lens(root, data) {
  let which = 0, follow = 0, ranks = false, here = null, table;
  const depths = data.lenses[0].top.length;
  const inPercent = (share) => (share ? percent(share) : "< 0.1 %");  // the data have thousandths; nothing is impossible
  const side = make("div", { class: "cv-side" });
  const main = make("div", { class: "cv-main" });

  const showCard = () => {
    const [depth, position] = here;
    const { name, top, probability, ranks: found } = data.lenses[which];
    const rows = top[depth][position].map((id, i) => {
      const share = probability[depth][position][i] / 1000;
      return make("tr", {}, make("th", { scope: "row" }, make("code", {}, readable(data.vocabulary[id]))),
        make("td", {}, inPercent(share)), make("td", { class: "cv-track" }, bar(share)));
    });
    side.replaceChildren(make("div", { class: "cv-card" },
      make("p", { class: "cv-name" }, `Depth ${depth}, after “${readable(data.tokens[position])}”`),
      make("p", { class: "cv-quiet" }, name),
      make("table", { class: "cv-facts" }, make("tbody", {}, rows)),
      facts(data.follow.map((token, i) => [make("code", {}, readable(token)),
        `rank ${whole(found[i][depth][position])} of ${whole(data.size)}`]))));
  };

  const draw = () => {
    const { name, top, probability, ranks: found } = data.lenses[which];
    const scale = Math.log(data.size);
    table = grid({
      name: ranks ? `rank of “${data.follow[follow]}” by depth and position, ${name}` : `best token, ${name}`,
      rows: range(depths).reverse(), columns: range(data.tokens.length),
      rowName: String, columnName: (i) => readable(data.tokens[i]), kind: "cv-words cv-upright cv-tight", corner: "depth",
      cell: (depth, position) => {
        const best = data.vocabulary[top[depth][position][0]];
        const share = probability[depth][position][0] / 1000;
        const place = `depth ${depth}, after “${data.tokens[position]}”`;
        if (!ranks) return { text: readable(best), style: coloured(share, "plain"), label: `${place}: “${best}” ${inPercent(share)}` };
        const rank = found[follow][depth][position];
        return { text: rank < 10000 ? String(rank) : `${Math.round(rank / 1000)}k`,
          style: coloured(1 - Math.log(rank) / scale, "plain"), label: `${place}: rank ${rank}` };
      },
      point: (depth, position) => { here = [depth, position]; showCard(); },
    });
    main.replaceChildren(table, make("p", { class: "cv-quiet" }, ranks
      ? "Rank 1 is the best. Darker: nearer to 1." : "The most probable next token. Stronger colour: more probable."));
    table.go(...(here ?? [depths - 1, data.tokens.length - 1]), false);
  };

  const controls = make("div", { class: "cv-controls" });
  if (data.lenses.length > 1) {
    controls.append(choice("Lens", data.lenses.map((one) => one.name), 0, (i) => { which = i; draw(); }));
  }
  if (data.follow.length) {
    controls.append(choice("In the cells", ["the best token", "a token's rank"], 0, (i) => { ranks = i === 1; draw(); }),
      picker("Token", data.follow.map(readable), 0, (i) => { follow = i; draw(); }));
  }
  root.append(make("p", { class: "cv-quiet" }, "Point at a cell, or walk with the arrow keys: what would be predicted there?"),
    controls, make("div", { class: "cv-columns" }, main, side));
  draw();
}

// ------------------------------------------------------------------------------------------------- attention

function attention(root, data) {
  const count = data.tokens.length;
  const weights = bytes(data.weights);  // layer, head, then the lower triangle row by row, in percent
  const triangle = (count * (count + 1)) / 2;
  const at = (layer, head, query, key) =>
    weights[(layer * data.heads + head) * triangle + (query * (query + 1)) / 2 + key];
  let layer = data.start[0], head = data.start[1], query = count - 1, mean = 0;
  // Over the rows that have a token before them, as the lesson counts: the first row can only look at itself.
  const means = [["the token before", (query) => query - 1], ["the first token", () => 0]].map(([name, key]) => ({ name,
    of: (h) => range(count - 1).reduce((sum, i) => sum + at(layer, h, i + 1, key(i + 1)), 0) / (count - 1) }));
  const main = make("div", { class: "cv-main" });
  const side = make("div", { class: "cv-side" });
  const heads = make("div", { class: "cv-heads" });
  const share = data.heads / data.key_value_heads;

  const showRow = (key) => {
    const row = range(query + 1).map((k) => at(layer, head, query, k));
    const most = argmax(row);
    const rows = [["looks most at", `${readable(data.tokens[most])}, position ${most} (${row[most]} %)`]];
    if (key !== undefined) rows.unshift([`on ${readable(data.tokens[key])}`, `${row[key]} %`]);
    side.replaceChildren(make("div", { class: "cv-card" },
      make("p", { class: "cv-name" }, `Head ${layer}.${head}, from “${readable(data.tokens[query])}” (position ${query})`), facts(rows),
      strip(data.tokens.slice(0, query + 1), row.map((w) => (w >= 1 ? w : "")),
        row.map((w) => coloured(w / 100, "plain")), "where it looks, in percent")));
  };

  const small = (h) => {
    const canvas = make("canvas", { width: count, height: count, "aria-hidden": true });
    const pen = canvas.getContext("2d");
    pen.fillStyle = "rgb(70 140 210)";
    for (let q = 0; q < count; q += 1) for (let k = 0; k <= q; k += 1) {
      pen.globalAlpha = at(layer, h, q, k) / 100;
      pen.fillRect(k, q, 1, 1);
    }
    const weight = count > 1 ? `${fixed(means[mean].of(h), 0)} %` : null;
    return make("button", { type: "button", "aria-pressed": String(h === head),
      "aria-label": `head ${layer}.${h}${weight ? `: ${weight} on ${means[mean].name}` : ""}`,
      onclick: () => { head = h; draw(); heads.querySelector('[aria-pressed="true"]').focus(); } },
    canvas, `${layer}.${h}`, weight ? make("small", {}, weight) : null);
  };

  const draw = () => {
    heads.replaceChildren(...range(data.key_value_heads).map((group) => make("div", { class: "cv-group" },
      make("p", { class: "cv-quiet" }, share === 1 ? `keys and values ${group}` : `share keys and values ${group}`),
      make("div", {}, range(share).map((i) => small(group * share + i))))));
    const table = grid({
      name: `attention of head ${layer}.${head}, in percent`, rows: range(count), columns: range(count),
      rowName: (q) => readable(data.tokens[q]), columnName: (k) => readable(data.tokens[k]),
      kind: "cv-words cv-upright cv-tight cv-named",
      cell: (q, k) => (k > q ? null : { text: at(layer, head, q, k) >= 10 ? String(at(layer, head, q, k)) : "",
        style: coloured(at(layer, head, q, k) / 100, "plain"),
        label: `from “${data.tokens[q]}” to “${data.tokens[k]}”: ${at(layer, head, q, k)} %` }),
      point: (q, k) => { query = q; showRow(k); },
    });
    main.replaceChildren(table, make("p", { class: "cv-quiet" },
      "Rows: the token that looks. Columns: the token looked at. Percent; under 10 no number."));
    table.go(query, argmax(range(query + 1).map((k) => at(layer, head, query, k))), false);
  };

  const controls = make("div", { class: "cv-controls" },
    slider("Layer", data.layers - 1, layer, String, (i) => { layer = i; draw(); }));
  if (count > 1) {
    controls.append(choice("Under each head its mean weight on", means.map((one) => one.name), 0, (i) => { mean = i; draw(); }));
  }
  root.append(make("p", { class: "cv-quiet" }, "Choose a layer and a head; point at a row, or walk with the arrow keys."),
    controls, heads, make("div", { class: "cv-columns" }, main, side));
  draw();
}

// ------------------------------------------------------------------------------------------------ next token

const SHOWN = 12;  // rows of the list

/** The probabilities of the named tokens and of the bins, and which of them the two cuts leave. */
function cutDown({ logits, rest }, temperature, topK, topP) {
  const below = rest.counts.map((_, i) => rest.start - i * rest.step);
  const weigh = (list) => list.map((logit) => Math.exp((logit - logits[0]) / temperature));
  const [named, bins] = [weigh(logits), weigh(below)];
  const total = named.reduce((a, b) => a + b, 0) + bins.reduce((a, b, i) => a + b * rest.counts[i], 0);
  const shares = named.map((one) => one / total);
  const binShares = bins.map((one) => one / total);
  let room = topK, seen = 0, kept = 0;
  const take = (share, count) => {  // how many of so many equal tokens stay
    const within = Math.min(count, room);
    room -= within;
    return { share, within };
  };
  const first = shares.map((share) => take(share, 1));
  const later = binShares.map((share, i) => take(share, rest.counts[i]));
  const mass = [...first, ...later].reduce((sum, one) => sum + one.share * one.within, 0);
  const inNucleus = ({ share, within }) => {  // kept while what came before has less than topP
    const most = topP >= 1 || share === 0 ? within : Math.ceil((topP * mass - seen) / share - 1e-9);
    const count = Math.max(0, Math.min(within, most));
    seen += share * within;
    kept += share * count;
    return count;
  };
  const counts = first.map(inNucleus);
  const restCounts = later.map(inNucleus);
  return { shares, counts, restCounts, binShares, kept,
    tokens: [...counts, ...restCounts].reduce((a, b) => a + b, 0) };
}

function nextToken(root, data) {
  const vocabulary = data.words.length + data.rest.counts.reduce((a, b) => a + b, 0);
  const temperatures = range(20).map((i) => (i + 1) / 10);
  const ks = [1, 2, 3, 5, 10, 20, 50, 100].filter((k) => k < data.words.length).concat(vocabulary);
  const ps = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1];
  let temperature = 1, topK = vocabulary, topP = 1, now, thrown = new Map(), throws = 0;
  const list = make("div", { class: "cv-main" });
  const summary = make("p", { role: "status" });
  const fallen = make("p", { role: "status", class: "cv-quiet" }, "Not thrown yet.");

  const draw = () => {
    now = cutDown(data, temperature, topK, topP);
    const rows = data.words.slice(0, SHOWN).map((word, i) => {
      const left = now.counts[i] ? now.shares[i] / now.kept : 0;
      return make("tr", {}, make("th", { scope: "row" }, make("code", {}, readable(word))),
        make("td", {}, percent(now.shares[i])), make("td", {}, now.counts[i] ? percent(left) : "cut off"),
        make("td", { class: "cv-track" }, now.counts[i] ? bar(left) : bar(now.shares[i], true)),
        make("td", {}, throws ? String(thrown.get(i) ?? 0) : ""));
    });
    const head = ["token", "probability", "after the cuts", "", throws ? "thrown" : ""];
    list.replaceChildren(make("table", { class: "cv-facts" },
      make("thead", {}, make("tr", {}, head.map((one) => (one ? make("th", { scope: "col" }, one) : make("td", {}))))),
      make("tbody", {}, rows)));
    summary.textContent = `Left: ${whole(now.tokens)} of ${whole(vocabulary)} tokens, `
      + `with ${percent(now.kept)} of the probability before the cuts.`;
  };

  const throwOnce = () => {
    let point = Math.random() * now.kept;
    for (let i = 0; i < now.counts.length; i += 1) {
      if (!now.counts[i]) continue;
      point -= now.shares[i];
      if (point < 0) return i;
    }
    return -1;  // one of those without a name here
  };
  const throwDie = (times) => {
    let last = -1;
    for (let i = 0; i < times; i += 1) {
      last = throwOnce();
      thrown.set(last, (thrown.get(last) ?? 0) + 1);
      throws += 1;
    }
    const other = [...thrown].filter(([i]) => i < 0 || i >= SHOWN).reduce((sum, [, n]) => sum + n, 0);
    const said = last < 0 ? "a token too rare to have a name here" : `“${readable(data.words[last])}”`;
    fallen.textContent = `Thrown ${whole(throws)} times, last ${said}. Not in the list: ${whole(other)}.`;
    draw();
  };
  const changed = (apply) => (i) => {
    apply(i);
    thrown = new Map();
    throws = 0;
    fallen.textContent = "Not thrown yet.";
    draw();
  };

  root.append(make("p", { class: "cv-quiet" }, "After: ", make("code", {}, data.prompt)),
    make("div", { class: "cv-controls" },
      slider("Temperature", temperatures.length - 1, 9, (i) => fixed(temperatures[i], 1),
        changed((i) => { temperature = temperatures[i]; })),
      slider("Top-k", ks.length - 1, ks.length - 1, (i) => (ks[i] === vocabulary ? "all" : String(ks[i])),
        changed((i) => { topK = ks[i]; })),
      slider("Top-p", ps.length - 1, ps.length - 1, (i) => String(ps[i]), changed((i) => { topP = ps[i]; }))),
    summary, list,
    make("div", { class: "cv-controls" },
      make("button", { type: "button", onclick: () => throwDie(1) }, "Throw the die"),
      make("button", { type: "button", onclick: () => throwDie(100) }, "Throw it 100 times")), fallen);
  draw();
}

// ---------------------------------------------------------------------------------------------------- tokens

function tokens(root, data) {
  const characters = [...data.text];
  const starts = characters.map((_, i) => characters.slice(0, i + 1).join(""));
  let typed = characters.length, chosen = [0, 0];
  const shown = make("blockquote", {});
  const main = make("div", { class: "cv-main" });
  const side = make("div", { class: "cv-side" });

  const showCard = () => {
    const { name, pieces, cuts, surprisal } = data.tokenizers[chosen[0]];
    const row = cuts[typed - 1];
    const place = Math.min(chosen[1], row.length - 1);
    const { id, bytes: hex, text } = pieces[row[place]];
    const bits = typed === characters.length && surprisal ? surprisal[place] : null;
    side.replaceChildren(make("div", { class: "cv-card" },
      make("p", { class: "cv-name" }, `Token ${place}: “${readable(text)}”`),
      facts([["tokenizer", name], ["id", whole(id)], ["bytes", make("code", {}, hex)],
        ...(bits === null ? [] : [["surprisal", `${fixed(bits, 1)} bits`]])])));
  };

  const draw = () => {
    shown.textContent = starts[typed - 1];
    main.replaceChildren(...data.tokenizers.flatMap(({ name, pieces, cuts }, t) => {
      const row = cuts[typed - 1];
      const before = typed > 1 ? cuts[typed - 2] : [];
      const fresh = row.findIndex((piece, i) => piece !== before[i]);
      const items = row.map((piece, i) => ({ text: readable(pieces[piece].text),
        label: `token ${i}: “${pieces[piece].text}”, id ${pieces[piece].id}`,
        kind: fresh >= 0 && i >= fresh && typed < characters.length ? "cv-new" : "" }));
      const replaced = fresh < 0 ? 0 : before.length - fresh;
      return [make("p", {}, `${name}: ${row.length} ${row.length === 1 ? "token" : "tokens"}`
        + (typed > 1 ? `, the last character replaced ${replaced || "none"}` : "")),
        chips(`tokens of ${name}`, items, null, (i) => { chosen = [t, i]; showCard(); })];
    }));
    main.querySelectorAll(".cv-tokens").forEach((list) => { list.querySelector("button").tabIndex = 0; });
    showCard();
  };

  root.append(make("p", { class: "cv-quiet" },
    "Drag to type the text again. Dashed: cut anew by the last character. Point at a token, or walk with the arrow keys."),
    make("div", { class: "cv-controls" }, slider("Typed", characters.length - 1, characters.length - 1,
      (i) => `${i + 1} of ${characters.length}`, (i) => { typed = i + 1; draw(); })),
    shown, make("div", { class: "cv-columns" }, main, side));
  draw();
}

// -------------------------------------------------------------------------------------------------- steering

function steering(root, data) {
  const greatest = data.measures[0].values.map((row) => Math.max(...row));
  let layer = argmax(greatest), measure = 0;
  let strength = argmax(data.measures[0].values[layer]);
  const main = make("div", { class: "cv-main" });
  const side = make("div", { class: "cv-side", role: "status" });

  const draw = () => {
    const { name, values, null: band } = data.measures[measure];
    const edges = band ? [band[0][layer], band[1][layer]] : null;
    const place = `layer ${data.layers[layer]}, strength ${data.strengths[strength]}`;
    main.replaceChildren(curve({ xs: data.strengths, values: values[layer], band: edges, mark: strength, xName: "strength",
      yName: name, name: `${name} over strength at layer ${data.layers[layer]}; at ${place}: ${fixed(values[layer][strength], 1)}` }),
    ...(edges ? [make("p", { class: "cv-quiet" }, "Grey band: directions that mean nothing.")] : []));
    side.replaceChildren(make("div", { class: "cv-card" },
      make("p", { class: "cv-name" }, `Layer ${data.layers[layer]}, strength ${data.strengths[strength]}`),
      facts(data.measures.map((one) => {
        const value = one.values[layer][strength];
        if (!one.null) return [one.name, fixed(value, 1)];
        const [low, high] = [one.null[0][layer][strength], one.null[1][layer][strength]];
        const where = value < low ? "below" : value > high ? "above" : "within";
        return [one.name, `${fixed(value, 1)}, ${where} what means nothing (${fixed(low, 1)} to ${fixed(high, 1)})`];
      })),
      make("blockquote", {}, make("span", { class: "cv-quiet" }, data.prompt), data.texts[layer][strength])));
  };

  const controls = make("div", { class: "cv-controls" },
    slider("Layer", data.layers.length - 1, layer, (i) => String(data.layers[i]), (i) => { layer = i; draw(); }),
    slider("Strength", data.strengths.length - 1, strength, (i) => String(data.strengths[i]), (i) => { strength = i; draw(); }));
  if (data.measures.length > 1) {
    controls.append(choice("Curve", data.measures.map((one) => one.name), 0, (i) => { measure = i; draw(); }));
  }
  root.append(controls, make("div", { class: "cv-columns" }, main, side));
  draw();
}

// ----------------------------------------------------------------------------------------------------- cache

function cache(root, data) {
  const kinds = [...new Set(data.windows)];
  const kindName = (window) => (window === null ? "layers that see everything" : `layers with a window of ${whole(window)}`);
  const last = data.tokens.length - data.prompt_length;
  let step = 0, kept = true, kind = 0, stepper;
  const main = make("div", { class: "cv-main" });
  const counted = make("div", { class: "cv-card", role: "status" });
  const size = (count, heads = data.key_value_heads) => 2 * heads * data.head_width * data.bytes_per_number
    * data.windows.reduce((sum, window) => sum + (window === null ? count : Math.min(count, window - 1)), 0);
  const amount = (count) => (count < 1e6 ? `${whole(count)} bytes` : `${count < 1e9
    ? `${fixed(count / 1e6, 1)} MB` : `${fixed(count / 1e9, 1)} GB`}`);

  const draw = () => {
    const known = data.prompt_length + step;
    const fresh = step === 0 || !kept ? 0 : known - 1;  // from here on is computed now
    const window = kinds[kind];
    const seen = (i) => window === null || known - 1 - i < window;
    const notes = [], styles = [];
    data.tokens.forEach((_, i) => {
      const state = i >= known ? "" : i >= fresh ? "new" : seen(i) ? "read" : "gone";
      notes.push(state);
      styles.push(coloured(state === "new" ? 0.75 : state === "read" ? 0.2 : 0, state === "new" ? "up" : "plain"));
    });
    const computed = known - fresh;
    const read = notes.filter((state) => state === "read").length;
    main.replaceChildren(
      make("p", {}, step === 0 ? "Prefill: the whole prompt in one run." : `Decode, step ${step}: one more token.`),
      strip(data.tokens, notes, styles, "what happens to each token"),
      make("p", { class: "cv-quiet" }, "new: keys and values are computed now. read: taken from the cache. "
        + "gone: outside the window, forgotten. Nothing: not written yet."));
    const rows = [["tokens computed now", whole(computed)], ["tokens read from the cache", kept ? whole(read) : "none"],
      ["computed so far", whole(kept ? known : range(step + 1).reduce((sum, s) => sum + data.prompt_length + s, 0))]];
    if (kept) {
      rows.push(["the cache holds", amount(size(known))]);
      if (data.heads > data.key_value_heads) {
        rows.push([`were each of ${data.heads} heads to have its own keys and values`, amount(size(known, data.heads))]);
      }
    }
    counted.replaceChildren(facts(rows));
  };
  const side = make("div", { class: "cv-side" }, counted, make("div", { class: "cv-card" },
    make("p", { class: "cv-name" }, "As the text grows"),
    facts(data.lengths.map((count) => [`${whole(count)} tokens`, amount(size(count))]))));

  stepper = slider("Step", last, 0, (i) => (i === 0 ? "prefill" : `${i} of ${last}`), (i) => { step = i; draw(); });
  const controls = make("div", { class: "cv-controls" }, stepper,
    make("button", { type: "button", onclick: () => { step = (step + 1) % (last + 1); stepper.set(step); draw(); } }, "Next step"),
    choice("Run", ["with a cache", "without"], 0, (i) => { kept = i === 0; draw(); }));
  if (kinds.length > 1) controls.append(choice("In", kinds.map(kindName), 0, (i) => { kind = i; draw(); }));
  root.append(controls, make("div", { class: "cv-columns" }, main, side));
  draw();
}

// --------------------------------------------------------------------------------------------------- by hand

function byHand(root, data) {
  let now = 0;
  const main = make("div", { class: "cv-main" });
  const side = make("div", { class: "cv-side", role: "status" });
  const longest = Math.max(...data.steps.map((step) => step.norm));
  const shapeOf = (step) => (step.shape.length ? step.shape.join(" × ") : "one number");

  const showCard = () => {
    const step = data.steps[now];
    const largest = Math.max(...step.numbers.map(Math.abs)) || 1;
    side.replaceChildren(make("div", { class: "cv-card" },
      make("p", { class: "cv-name" }, `${now + 1}. ${step.name}`), make("p", {}, step.says),
      make("p", {}, make("code", {}, step.formula)),
      facts([["shape", shapeOf(step)], ["norm", String(step.norm)], ["from", `${step.least} to ${step.greatest}`]]),
      make("p", { class: "cv-quiet" }, step.numbers.length > 1 ? `the first ${step.numbers.length} numbers` : "the number"),
      strip(step.numbers.map(String), null, step.numbers.map((v) => signedColour(v, largest)),
        "the first numbers")));
  };
  const go = (i) => { now = Math.max(0, Math.min(data.steps.length - 1, i)); draw(); };
  const back = make("button", { type: "button", onclick: () => go(now - 1) }, "Back");
  const next = make("button", { type: "button", onclick: () => go(now + 1) }, "Next step");
  const draw = () => {
    back.setAttribute("aria-disabled", String(now === 0));
    next.setAttribute("aria-disabled", String(now === data.steps.length - 1));
    const rows = data.steps.map((step, i) => make("tr", {},
      make("td", {}, make("button", { type: "button", "aria-current": i === now ? "step" : undefined,
        onclick: () => { go(i); main.querySelector('[aria-current="step"]').focus(); } }, `${i + 1}. ${step.name}`)),
      make("td", {}, shapeOf(step)), make("td", {}, String(step.norm)),
      make("td", { class: "cv-track" }, bar(step.norm / longest))));
    main.replaceChildren(make("table", { class: "cv-facts" },
      make("thead", {}, make("tr", {}, ["step", "shape", "norm"].map((one) => make("th", { scope: "col" }, one)),
        make("td", {}))), make("tbody", {}, rows)));
    showCard();
  };

  root.append(make("p", { class: "cv-quiet" }, "Take a step, or choose one. Bars: how long the vector is."),
    make("div", { class: "cv-controls" }, back, next), make("div", { class: "cv-columns" }, main, side));
  draw();
}

// --------------------------------------------------------------------------------------------------- circuit

function circuit(root, data) {
  const { parts, paths, unit } = data;
  const nameOf = (path) => `${parts[path.begin].name} → ${parts[path.end].name}`;
  const size = (path) => Math.abs(path.effect);
  const bySize = range(paths.length).sort((a, b) => size(paths[b]) - size(paths[a]));
  const steps = [...new Set(paths.map(size))].sort((a, b) => a - b);
  const largest = steps.at(-1) || 1;
  let least = 0, kind = "path", chosen = bySize[0];
  const shown = () => bySize.filter((i) => size(paths[i]) >= least);
  const side = make("div", { class: "cv-side" });
  const main = make("div", { class: "cv-main" });
  const lists = make("div", {});

  // Where the parts stand: a row for each level, every second row a little aside, so that no path runs through a part.
  const levels = [...new Set(parts.map((part) => part.level))].sort((a, b) => a - b);
  const rows = levels.map((level) => range(parts.length).filter((i) => parts[i].level === level));
  const wide = Math.max(...parts.map((part) => 14 + 7.5 * part.name.length));
  const [width, rise, tall] = [Math.max(360, ...rows.map((row) => (row.length + 1) * (wide + 8))), 84, 32];
  const height = (levels.length - 1) * rise + tall + 12;
  const places = new Map(rows.flatMap((row, r) => row.map((i, c) => [i, {
    x: width * ((c + 1) / (row.length + 1) + (r % 2 ? 0.12 : -0.12) / row.length),
    y: height - 6 - tall / 2 - r * rise }])));

  const choose = (newKind, i) => { [kind, chosen] = [newKind, i]; paint(); };
  const seen = (newKind, i) => ({ onclick: () => choose(newKind, i),
    onpointerenter: (event) => { if (event.pointerType === "mouse") choose(newKind, i); } });
  const isChosen = (i) => (kind === "path" ? i === chosen : [paths[i].begin, paths[i].end].includes(chosen));

  const showCard = () => {
    if (kind === "path") {
      const path = paths[chosen];
      const found = [["effect", `${fixed(path.effect, 2, true)} ${unit}`]];
      if (path.interval) {
        found.push([data.interval, `${fixed(path.interval[0], 2, true)} to ${fixed(path.interval[1], 2, true)}, `
          + (path.open ? "which holds 0" : "clear of 0")]);
      }
      if (path.control !== null) {
        const factor = path.control ? ` (${fixed(size(path) / path.control, 1)} times that)` : "";
        found.push([data.control, `${fixed(path.control, 2)}${path.weak ? ": no smaller than the effect" : factor}`]);
      }
      side.replaceChildren(make("div", { class: "cv-card" }, make("p", { class: "cv-name" }, nameOf(path)),
        path.says ? make("p", {}, path.says) : null, facts(found)));
      return;
    }
    const ends = (here, there, word) => shown().filter((i) => paths[i][here] === chosen)
      .map((i) => [`${word} ${parts[paths[i][there]].name}`, `${fixed(paths[i].effect, 2, true)} ${unit}`]);
    const found = [...ends("end", "begin", "from"), ...ends("begin", "end", "to")];
    side.replaceChildren(make("div", { class: "cv-card" }, make("p", { class: "cv-name" }, parts[chosen].name),
      parts[chosen].says ? make("p", {}, parts[chosen].says) : null,
      found.length ? facts(found) : make("p", { class: "cv-quiet" }, "All its paths are hidden.")));
  };

  const endsOf = (path) => {
    const [from, to] = [places.get(path.begin), places.get(path.end)];
    return { x1: from.x, y1: from.y - tall / 2, x2: to.x, y2: to.y + tall / 2 };
  };
  const numberOn = (i) => {  // where a part is chosen, away from it: there they all meet
    const { x1, y1, x2, y2 } = endsOf(paths[i]);
    const share = kind === "part" && paths[i].begin === chosen ? 0.68 : 0.32;
    return make("text", { x: x1 + share * (x2 - x1), y: y1 + share * (y2 - y1) + 4, "text-anchor": "middle",
      class: "cv-number" }, fixed(paths[i].effect, 2, true));
  };

  let order, lines, pathList, partList;
  const numbers = make("g");
  const nodes = parts.map((part, i) => {
    const { x, y } = places.get(i);
    return make("g", { class: "cv-part", "data-part": i, ...seen("part", i) },
      make("rect", { x: x - wide / 2, y: y - tall / 2, width: wide, height: tall, rx: 6 }),
      make("text", { x, y: y + 5, "text-anchor": "middle" }, part.name));
  });
  const drawing = () => {
    lines = new Map([...order].reverse().map((i) => [i, make("line", { ...endsOf(paths[i]), "data-path": i,  // the strongest above
      class: `cv-link ${paths[i].effect < 0 ? "cv-down" : "cv-up"}${paths[i].open ? " cv-open" : ""}`,
      style: { "stroke-width": String(1.2 + (6 * size(paths[i])) / largest) } })]));
    const near = [...lines.keys()].map((i) => make("line", { ...endsOf(paths[i]), class: "cv-near", ...seen("path", i) }));
    return make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "cv-circuit",
      "aria-label": `${data.title}: ${parts.length} parts, ${order.length} paths` }, [...lines.values()], near, numbers, nodes);
  };

  const paint = () => {
    for (const [i, line] of lines) line.classList.toggle("cv-chosen", isChosen(i));
    numbers.replaceChildren(...[...lines.keys()].filter(isChosen).map(numberOn));
    nodes.forEach((node, i) => node.classList.toggle("cv-chosen",
      kind === "part" ? i === chosen : [paths[chosen].begin, paths[chosen].end].includes(i)));
    pathList.mark(kind === "path" ? order.indexOf(chosen) : -1);
    partList.mark(kind === "part" ? chosen : -1);
    showCard();
  };
  const hide = (value) => {
    least = value;
    if (kind === "path" && size(paths[chosen]) < least) chosen = bySize[0];
    order = shown();
    pathList = chips("paths", order.map((i) => ({ text: `${nameOf(paths[i])} ${fixed(paths[i].effect, 2, true)}`,
      label: `path from ${parts[paths[i].begin].name} to ${parts[paths[i].end].name}: ${fixed(paths[i].effect, 2, true)} ${unit}` })),
    null, (i) => choose("path", order[i]));
    partList = chips("parts", parts.map((part) => ({ text: part.name, label: `part ${part.name}` })), null, (i) => choose("part", i));
    lists.replaceChildren(make("p", { class: "cv-quiet" }, "Paths, the strongest first"), pathList,
      make("p", { class: "cv-quiet" }, "Parts"), partList);
    main.replaceChildren(drawing());
    paint();
  };

  root.append(make("p", { class: "cv-quiet" }, "Point at a path or a part, or walk along the lists with the arrow keys."),
    make("div", { class: "cv-controls" }, slider("Hide weak paths", steps.length - 1, 0, (i) => {
      const left = paths.filter((path) => size(path) >= steps[i]).length;
      return left === paths.length ? `all ${paths.length} shown` : `${left} of ${paths.length}, from ${fixed(steps[i], 2)} on`;
    }, (i) => hide(steps[i]))),
    make("div", { class: "cv-columns" }, main, side),
    make("p", { class: "cv-quiet" }, "Layers and paths go up. Wider: more effect. Red and +: raises the answer. "
      + `Blue and -: lowers it.${paths.some((path) => path.open) ? " Dashed: the interval holds 0." : ""}`), lists);
  hide(steps[0]);
}

// ----------------------------------------------------------------------------------------------------- doors

const VIEWS = { attention, by_hand: byHand, cache, circuit, lens, next_token: nextToken, patching_map: patchingMap, steering, tokens };

/** What scrolls is reached by keyboard: a card may be longer than its place at the foot of a small window. */
function reachable(box) {
  const fit = () => { box.tabIndex = box.scrollHeight > box.clientHeight + 1 ? 0 : -1; };
  new ResizeObserver(fit).observe(box);
  new MutationObserver(fit).observe(box, { childList: true });
}

/** Show a payload in an element. Returns a function that takes it away again. */
export function mount(element, payload) {
  const root = make("section", { class: "course-view", "data-view": payload.view });
  const draw = VIEWS[payload.view];
  if (draw && payload.version === 1) {
    root.append(make("p", { class: "cv-title" }, payload.data.title));
    root.setAttribute("aria-label", payload.data.title);
    draw(root, payload.data);
    root.querySelectorAll(".cv-side").forEach(reachable);
    root.append(make("details", {}, make("summary", {}, "In words"), make("p", {}, payload.words)));
  } else {  // made by a newer or an older course than this module
    root.append(make("p", {}, payload.words));
  }
  element.append(root);
  return () => root.remove();
}

/** Fields for texts of one's own, which the running kernel answers. */
function question(model) {
  const fields = model.get("asks").map(([name, start]) => [name, make("input", { type: "text", required: true, value: start })]);
  const button = make("button", { type: "submit" }, "Ask the model");
  const said = make("p", { role: "status", class: "cv-quiet" });
  const settle = () => {
    button.disabled = false;
    said.textContent = model.get("trouble");
    said.className = model.get("trouble") ? "cv-trouble" : "cv-quiet";
  };
  const form = make("form", { class: "cv-controls cv-asks", onsubmit: (event) => {
    event.preventDefault();
    button.disabled = true;
    said.className = "cv-quiet";
    said.textContent = "The model is running ...";
    model.send({ ask: fields.map(([, field]) => field.value) });
  }, onkeydown: (event) => event.stopPropagation() }, fields.map(([name, field]) => labelled(name, field)), button, said);
  model.on("change:answers", settle);
  return form;
}

function render({ model, el }) {
  const place = make("div");
  let away = mount(place, model.get("payload"));
  const renew = () => { away(); away = mount(place, model.get("payload")); };
  model.on("change:payload", renew);
  el.append(place);
  if (model.get("asks").length) el.append(make("div", { class: "course-view" }, question(model)));
  return () => { model.off("change:payload", renew); away(); };
}

export default { render };
