// The views, as one ES module without a build: `render` for anywidget (a live kernel), `mount` for a page.
//
//   mount(element, payload)   payload: {view, version, data, words}, as course_utils.pictures.views makes it
//
// Parts: the kit (elements, numbers, colours, controls, grids, strips, curves), one function for each view, the doors.

// ---------------------------------------------------------------------------------------------------- the kit

const SVG = "http://www.w3.org/2000/svg";

/** An element: attributes by name, `on...` listeners, `style` custom properties; children are nodes or texts. */
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "circle", "line", "text", "polygon"].includes(tag);
  const element = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** A number with a fixed count of decimals, rounded as Python rounds: ties to even. */
export function fixed(value, digits = 1, signed = false) {
  const scaled = value * 10 ** digits;
  const tie = Math.abs(scaled % 1) === 0.5;
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

let counter = 0;
const unique = (name) => `cv-${name}-${(counter += 1)}`;

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

/** A text as its tokens, each on a ground of its own with a number under it. */
function strip(tokens, notes, styles, name) {
  return make("ul", { class: "cv-tokens", "aria-label": name }, tokens.map((token, i) =>
    make("li", { style: styles[i] }, readable(token), make("small", {}, notes[i]))));
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
      const weights = attention[layer][head];
      const most = argmax(weights);
      shown.push(make("p", { class: "cv-quiet" },
        `${name}: the last token looks most at ${readable(tokens[most])} (${weights[most]} %)`),
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
  const side = make("div", { class: "cv-side" });
  const main = make("div", { class: "cv-main" });

  const showCard = () => {
    const [depth, position] = here;
    const { name, top, probability, ranks: found } = data.lenses[which];
    const rows = top[depth][position].map((id, i) => {
      const share = probability[depth][position][i] / 1000;
      return make("tr", {}, make("th", { scope: "row" }, make("code", {}, readable(data.vocabulary[id]))),
        make("td", {}, percent(share)), make("td", { class: "cv-track" }, bar(share)));
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
        if (!ranks) return { text: readable(best), style: coloured(share, "plain"), label: `${place}: “${best}” ${percent(share)}` };
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
  let layer = data.start[0], head = data.start[1], query = count - 1;
  const main = make("div", { class: "cv-main" });
  const side = make("div", { class: "cv-side" });
  const heads = make("div", { class: "cv-heads" });
  const share = data.heads / data.key_value_heads;

  const showRow = (key) => {
    const row = range(query + 1).map((k) => at(layer, head, query, k));
    const rows = [["looks most at", `${readable(data.tokens[argmax(row)])} (${row[argmax(row)]} %)`]];
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
    return make("button", { type: "button", "aria-pressed": String(h === head), "aria-label": `head ${layer}.${h}`,
      onclick: () => { head = h; draw(); heads.querySelector('[aria-pressed="true"]').focus(); } }, canvas, `${layer}.${h}`);
  };

  const draw = () => {
    heads.replaceChildren(...range(data.key_value_heads).map((group) => make("div", { class: "cv-group" },
      make("p", { class: "cv-quiet" }, share === 1 ? `keys and values ${group}` : `share keys and values ${group}`),
      make("div", {}, range(share).map((i) => small(group * share + i))))));
    const table = grid({
      name: `attention of head ${layer}.${head}, in percent`, rows: range(count), columns: range(count),
      rowName: (q) => readable(data.tokens[q]), columnName: (k) => readable(data.tokens[k]),
      kind: "cv-words cv-upright cv-tight",
      cell: (q, k) => (k > q ? null : { text: at(layer, head, q, k) >= 10 ? String(at(layer, head, q, k)) : "",
        style: coloured(at(layer, head, q, k) / 100, "plain"),
        label: `from “${data.tokens[q]}” to “${data.tokens[k]}”: ${at(layer, head, q, k)} %` }),
      point: (q, k) => { query = q; showRow(k); },
    });
    main.replaceChildren(table, make("p", { class: "cv-quiet" },
      "Rows: the token that looks. Columns: the token looked at. Percent; under 10 no number."));
    table.go(query, argmax(range(query + 1).map((k) => at(layer, head, query, k))), false);
  };

  root.append(make("p", { class: "cv-quiet" }, "Choose a layer and a head; point at a row, or walk with the arrow keys."),
    make("div", { class: "cv-controls" }, slider("Layer", data.layers - 1, layer, String, (i) => { layer = i; draw(); })),
    heads, make("div", { class: "cv-columns" }, main, side));
  draw();
}

// ----------------------------------------------------------------------------------------------------- doors

const VIEWS = { patching_map: patchingMap, lens, attention };

/** Show a payload in an element. Returns a function that takes it away again. */
export function mount(element, payload) {
  const root = make("section", { class: "course-view", "data-view": payload.view });
  const draw = VIEWS[payload.view];
  if (draw && payload.version === 1) {
    root.append(make("p", { class: "cv-title" }, payload.data.title));
    root.setAttribute("aria-label", payload.data.title);
    draw(root, payload.data);
    root.append(make("details", {}, make("summary", {}, "In words"), make("p", {}, payload.words)));
  } else {  // made by a newer or an older course than this module
    root.append(make("p", {}, payload.words));
  }
  element.append(root);
  return () => root.remove();
}

/** A field for a text of one's own, which the running kernel answers. */
function question(model) {
  const field = make("input", { type: "text", "aria-label": model.get("asks"), placeholder: model.get("asks") });
  const button = make("button", { type: "submit" }, "Ask the model");
  const said = make("p", { role: "status", class: "cv-quiet" });
  const settle = () => {
    button.disabled = false;
    said.textContent = model.get("trouble");
    said.className = model.get("trouble") ? "cv-trouble" : "cv-quiet";
  };
  const form = make("form", { class: "cv-controls", onsubmit: (event) => {
    event.preventDefault();
    if (!field.value) return;
    button.disabled = true;
    said.className = "cv-quiet";
    said.textContent = "The model is running ...";
    model.send({ ask: field.value });
  }, onkeydown: (event) => event.stopPropagation() }, field, button, said);
  model.on("change:answers", settle);
  return form;
}

function render({ model, el }) {
  const place = make("div");
  let away = mount(place, model.get("payload"));
  const renew = () => { away(); away = mount(place, model.get("payload")); };
  model.on("change:payload", renew);
  el.append(place);
  if (model.get("asks")) el.append(make("div", { class: "course-view" }, question(model)));
  return () => { model.off("change:payload", renew); away(); };
}

export default { render };
