"use strict";
// Diagrams of feed-forward networks, for the figures of all chapters.
Object.assign(nnlab, {
  /**
   * A feed-forward network in `panel`, in place of the drawing before: units as circles, weights as lines.
   * A positive weight is blue, a negative one vermillion and dashed; the widest line of two layers is their
   * largest weight. Numbers stand on the lines where they have room, and in a tooltip everywhere.
   *
   *   layers    units of each layer, the inputs first: [2, 3, 1]; a layer that is too high gets a "⋮"
   *   weights   weights[l][to][from] from layer l to l + 1; without them all lines are alike
   *   biases    biases[l][unit], under the units of layer l + 1
   *   values    values[l][unit], inside the circles
   *   labels    labels[l][unit], inside the circles; where values are there, beside inputs and outputs and above others
   *   titles    above the layers
   *   between   under the space between two layers
   *   path      the unit of each layer that a highlighted path passes, null for none
   *   label     alternative text
   *   rows      most units of a layer that are drawn
   *
   * Returns { svg, unit, r, at: (layer, unit) → [x, y] in the drawing, or undefined for one that is not drawn }.
   */
  network: (panel, { layers, weights, biases, values, labels, titles = [], between = [], path = [], label, rows = 12 }) => {
    const { svg: draw, number } = nnlab;
    const unit = 0.85 * nnlab.em(panel);
    const room = nnlab.room(panel);
    const text = (x, y, words, more = {}) => draw("text", { x, y: y + 0.35 * unit, "text-anchor": "middle", ...more }, svg, words);
    const wide = (words) => 0.6 * unit * String(words ?? "").length; // about as wide as the text
    const short = (value) => number(value, 3);
    const last = layers.length - 1;

    // sizes: a circle holds its number, a row its circle with what stands above and below
    const inside = values || labels;
    const r = inside ? Math.max(1.4 * unit, ...inside.flat().map((v) => 0.5 * wide(typeof v === "number" ? short(v) : v) + 0.25 * unit)) : 0.9 * unit;
    const beside = (l) => Math.max(0, ...(values && labels?.[l] ? labels[l].map(wide) : []));
    const above = values && labels?.slice(1, -1).some((names) => names?.length) ? 1.2 * unit : 0;
    const below = biases ? 1.6 * unit : 0;
    const least = 2 * r + above + below + 0.3 * unit; // of a row
    const [head, foot] = [titles.length ? 2 * unit : 0.3 * unit, (between.length ? 1.9 : 0.3) * unit];
    const fitting = (more) => Math.max(3, Math.min(rows, Math.floor((room.height - head - foot - more) / least)));
    const most = Math.max(...layers) > fitting(0) ? fitting(1.5 * unit) : fitting(0); // with the count of a layer that is cut
    const shown = layers.map((n, l) => nnlab.network.shown(n, most, path[l]));
    const count = (l) => (shown[l].includes(null) ? `${number(layers[l])} units` : "");
    const counted = shown.some((units) => units.includes(null)) ? 1.5 * unit : 0;
    const tallest = Math.max(...shown.map((units) => units.length));
    const under = (l) => Math.max(0, ...(biases?.[l - 1] ?? []).map((b) => 0.5 * wide(`b = ${short(b)}`) + 0.4 * unit));
    const [left, right] = [0, last].map((l) => 2 + Math.max(r + beside(l) + (beside(l) && 0.5 * unit), 0.5 * wide(titles[l]), 0.5 * wide(count(l)), under(l)));
    const apart = Math.max((room.height < Infinity ? 19 : 14) * unit, 2 * r + 8 * unit);
    const width = Math.min(room.width, left + right + last * apart);
    const row = Math.max(least, Math.min((Math.min(room.height, 34 * unit) - head - foot - counted) / tallest, 5.5 * unit + 2 * r));
    const height = head + tallest * row + counted + foot;
    const place = (l, i) => [left + (l * (width - left - right)) / Math.max(1, last), head + ((tallest - shown[l].length) / 2 + i + 0.5) * row + (above - below) / 2];
    const at = (l, u) => {
      const i = shown[l].indexOf(u);
      return i < 0 ? undefined : place(l, i);
    };

    const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
    const hidden = layers.slice(1, -1).map((n) => plural(n, "hidden unit"));
    const svg = draw("svg", {
      viewBox: `0 0 ${width.toFixed(1)} ${height.toFixed(1)}`, role: "img", class: "network",
      "aria-label": label || `a network: ${[plural(layers[0], "input"), ...hidden, plural(layers[last], "output")].join(", ")}`,
    });
    svg.style.maxWidth = `${width}px`;

    // lines first, then their numbers, then the circles on top
    const numbered = [];
    for (let l = 0; l < last; l++) {
      const edges = shown[l].flatMap((from) => (from === null ? [] : shown[l + 1].filter((to) => to !== null).map((to) => ({ from, to, w: weights?.[l]?.[to]?.[from] }))));
      const largest = Math.max(...(weights?.[l] ?? []).flat().map(Math.abs)) || 1;
      const ends = edges.map(({ from, to }) => [at(l, from), at(l + 1, to)]);
      edges.forEach(({ from, to, w }, i) => {
        const [[x1, y1], [x2, y2]] = ends[i];
        const on = path[l] === from && path[l + 1] === to;
        const part = Math.abs(w) / largest;
        const edge = draw("line", {
          x1, y1, x2, y2, class: `edge${w ? "" : " plain"}${on ? " on" : path.length ? " off" : ""}`, stroke: w ? (w > 0 ? nnlab.colours[0] : nnlab.colours[1]) : undefined,
          "stroke-width": unit * ((w ? 0.06 + (edges.length > 40 ? 0.12 : 0.24) * part : 0.08) + (on ? 0.12 : 0)), "stroke-dasharray": w < 0 ? "7 4" : undefined,
        }, svg);
        if (w !== undefined) draw("title", {}, edge, `weight ${number(w)}`);
      });
      if (weights?.[l]) {
        const free = (layer) => Math.max(r, ...(biases?.[layer - 1] ?? []).map((b) => 0.5 * wide(`b = ${short(b)}`) + 0.5 * unit));
        const share = nnlab.network.share(ends, 1.25 * unit, [free(l), free(l + 1)], Math.max(...edges.map(({ w }) => wide(short(w)))));
        if (share) edges.forEach(({ w }, i) => numbered.push([ends[i], share, short(w)]));
      }
    }
    for (const [[[x1, y1], [x2, y2]], share, words] of numbered) text(x1 + share * (x2 - x1), y1 + share * (y2 - y1), words, { class: "halo" });

    shown.forEach((units, l) => units.forEach((u, i) => {
      const [x, y] = place(l, i);
      if (u === null) { text(x, y, "⋮"); return; }
      draw("circle", { cx: x, cy: y, r, class: `node${path[l] === u ? " active" : ""}` }, svg);
      const [value, name] = [values?.[l]?.[u], labels?.[l]?.[u]];
      if (value !== undefined || (!values && name)) text(x, y, value === undefined ? name : typeof value === "number" ? short(value) : value);
      if (values && name) {
        if (l === 0) text(x - r - 0.4 * unit, y, name, { "text-anchor": "end" });
        else if (l === last) text(x + r + 0.4 * unit, y, name, { "text-anchor": "start" });
        else text(x, y - r - 0.7 * unit, name, { class: "halo" });
      }
      const bias = l > 0 ? biases?.[l - 1]?.[u] : undefined;
      if (bias !== undefined) text(x, y + r + 0.8 * unit, `b = ${short(bias)}`, { class: "halo" });
    }));
    shown.forEach((units, l) => {
      const x = place(l, 0)[0];
      if (titles[l]) text(x, 0.8 * unit, titles[l]);
      text(x, height - foot - 0.6 * unit, count(l));
      if (l < last && between[l]) text((x + place(l + 1, 0)[0]) / 2, height - 0.8 * unit, between[l]);
    });
    panel.replaceChildren(svg);
    return { svg, unit, r, at };
  },
});

/** The units of a layer that are drawn, null where others are left out; `needed` is among them. */
nnlab.network.shown = (count, most, needed) => {
  const all = Array.from({ length: count }, (_, i) => i);
  if (count <= most) return all;
  const first = all.slice(0, most - 2);
  if (needed >= first.length && needed < count - 1) first[first.length - 1] = needed;
  return [...first, null, count - 1];
};

/**
 * The share of the way along lines where numbers of this height and width are farthest apart, clear of what is so
 * wide around both ends; 0 where there is no room.
 */
nnlab.network.share = (ends, high, [before, after], wide) => {
  const across = ends[0][1][0] - ends[0][0][0];
  let [best, most] = [0, high];
  for (let share = 0.2; share <= 0.8; share += 0.02) {
    if (share * across < before + wide / 2 + 4 || (1 - share) * across < after + wide / 2 + 4) continue;
    const heights = ends.map(([[, y1], [, y2]]) => y1 + share * (y2 - y1)).sort((a, b) => a - b);
    const gap = Math.min(...heights.slice(1).map((y, i) => y - heights[i]), 4 * high);
    const middle = Math.abs(share - 0.5) * 0.01 * high; // of equal ones the one nearest to the middle
    if (gap - middle > most) [best, most] = [share, gap - middle];
  }
  return best;
};
