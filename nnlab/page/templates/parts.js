"use strict";
// What several figures are made of, beside the frame in page.js.
Object.assign(nnlab, {
  /** So many places to draw in, side by side where each gets its least width, in rem. */
  panels: (root, count, least = 42 / count) => {
    const row = nnlab.html("div", { class: "panels" }, nnlab.area(root, "drawings"));
    row.style.setProperty("--least", `${least}rem`);
    return Array.from({ length: count }, () => nnlab.panel(row));
  },

  /** Which line is which: [{name, stroke, dash, mark}]; a mark is drawn as a dot. The result replaces the entries. */
  legend: (root, entries = []) => {
    const list = nnlab.html("ul", { class: "legend" }, nnlab.area(root, "words"));
    const show = (all) => {
      list.replaceChildren();
      for (const { name, stroke, dash, mark, fill } of all) {
        const item = nnlab.html("li", {}, list);
        const sample = nnlab.svg("svg", { viewBox: "0 0 28 12", width: 28, height: 12, "aria-hidden": "true" }, item);
        if (fill) nnlab.svg("rect", { width: 28, height: 12, fill, class: "sample" }, sample);
        else if (mark) nnlab.dot(sample, 14, 6, { r: 4.5, fill: stroke, hollow: mark === "hollow" });
        else nnlab.svg("line", { x1: 0, x2: 28, y1: 6, y2: 6, stroke, "stroke-width": 2.6, "stroke-dasharray": dash }, sample);
        item.append(name);
      }
    };
    show(entries);
    return show;
  },

  /** Keeps a dragged point (x, y) in the page's address, where no coordinate is beyond ±`most`. */
  keepPoint: (root, label, { start, most, get, set }) => nnlab.keep(root, label, {
    get: () => (get().join() === start.join() ? "" : get().map((v) => v.toFixed(2)).join("_")),
    set: (text) => {
      const values = text.split("_").map(Number);
      if (values.length === 2 && values.every((v) => Math.abs(v) <= most)) set(values);
    },
  }),

  /** A dot, filled or hollow. */
  dot: (parent, x, y, { fill = nnlab.colours[0], r = "0.28em", hollow = false, ...more } = {}) => nnlab.svg("circle", {
    cx: x, cy: y, r, fill: hollow ? "none" : fill, stroke: fill, "stroke-width": 1.6, ...more,
  }, parent),

  /** A straight line across the axes at one value of x or y. */
  across: ({ svg, x, y, box }, { x: at, y: height }, values = {}) => {
    const ends = at === undefined
      ? { x1: box.left, x2: box.right, y1: y(height), y2: y(height) } : { x1: x(at), x2: x(at), y1: box.top, y2: box.bottom };
    return nnlab.svg("line", { ...ends, class: "ink", "stroke-width": 1.4, "stroke-dasharray": "4 3", ...values }, svg);
  },

  /** Numbers low … high, each the same step, or the same factor, from the last. */
  spaced: (low, high, count, log = false) => Array.from({ length: count }, (_, i) => {
    const share = count > 1 ? i / (count - 1) : 0;
    return log ? low * (high / low) ** share : low + (high - low) * share;
  }),

  /** Random numbers that are always the same for a seed (mulberry32): uniform on (0, 1), and standard normal. */
  random: (seed) => {
    const uniform = () => {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
    };
    return { uniform, normal: () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()) };
  },

  /** The dashes of the i-th of several lines, beside its colour. */
  dash: (i) => [null, "9 4", "3 4", "9 4 3 4"][i % 4],

  /** A colour for the i-th of n things that have an order: violet, blue, green, orange. */
  ordered: (i, n) => {
    const stops = [[128, 92, 190], [0, 114, 178], [0, 158, 115], [230, 159, 0]];
    const at = n > 1 ? (i / (n - 1)) * (stops.length - 1) : 0;
    const k = Math.min(Math.floor(at), stops.length - 2);
    return `rgb(${stops[k].map((c, j) => Math.round(c + (at - k) * (stops[k + 1][j] - c))).join(",")})`;
  },

  /** Red, green, blue of a share from −1 (vermillion, negative) over 0 (white) to 1 (blue, positive). */
  signed: (share) => {
    const end = share < 0 ? [213, 94, 0] : [0, 114, 178];
    const part = Math.min(1, Math.abs(share));
    return end.map((c) => Math.round(255 + part * (c - 255)));
  },

  /** The numbers of a packed array, one after the other: 128 is exactly 0, 1 and 255 are −scale and scale. */
  unpacked: ({ scale, bytes }) => Float64Array.from(atob(bytes), (c) => (scale * (c.charCodeAt(0) - 128)) / 127),

  /** The numbers of an array of floats, one after the other. */
  floats: ({ floats }) => {
    const bytes = new DataView(Uint8Array.from(atob(floats), (c) => c.charCodeAt(0)).buffer);
    return Float32Array.from({ length: bytes.byteLength / 4 }, (_, i) => bytes.getFloat32(4 * i, true));
  },

  /** An image with sharp pixels in a drawing: `colour(row, column)` gives red, green and blue. */
  pixels: (parent, rows, columns, colour, { x, y, width, height = (width * rows) / columns, ...more }) => {
    const canvas = nnlab.html("canvas", { width: columns, height: rows });
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, rows);
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) image.data.set([...colour(r, c), 255], 4 * (r * columns + c));
    }
    context.putImageData(image, 0, 0);
    nnlab.svg("image", { x, y, width, height, href: canvas.toDataURL(), preserveAspectRatio: "none", class: "pixels", ...more }, parent);
    nnlab.svg("rect", { x, y, width, height, class: "frame" }, parent);
    return height;
  },

  /** A drawing without axes of columns × rows squares under a title; its text grows with the page's. */
  sheet: (panel, { title = "", label = title, columns, rows, most = Infinity }) => {
    const unit = 0.85 * nnlab.em(panel);
    const room = nnlab.room(panel);
    const top = title ? 1.6 * unit : 2;
    const width = Math.max(120, Math.min(room.width, room.height < Infinity ? 4 + ((room.height - top - 2) / rows) * columns : most));
    const cell = (width - 4) / columns;
    const height = top + rows * cell + 2;
    const svg = nnlab.svg("svg", { viewBox: `-2 0 ${width} ${height}`, role: "img", "aria-label": label });
    svg.style.maxWidth = `${width}px`;
    nnlab.svg("text", { x: 0, y: unit }, svg, title);
    panel.replaceChildren(svg);
    return { svg, unit, cell, top };
  },
});
