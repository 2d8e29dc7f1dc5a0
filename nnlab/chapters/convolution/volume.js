"use strict";
// A filter goes through all channels of an image: one number at each place, one map for each filter.
// data: {side, channels, sides: of filters, filters: most, start: {side, stride, padding}}
nnlab.widget("volume", (root, { side, channels, sides, filters, start }) => {
  const choice = (label, options, value) => nnlab.choice(root, { label, options, value }, draw);
  const across = choice("filter", sides.map((f) => [f, `${f} × ${f} × ${channels}`]), start.side);
  const [stride, padding] = [choice("stride", [1, 2, 3].map((s) => [s, s]), start.stride), choice("zeros around", [0, 1, 2, 3].map((p) => [p, p]), start.padding)];
  const chart = nnlab.panel(root);
  const stack = nnlab.slider(root, { label: "filters", min: 1, max: filters, value: 1 }, draw);
  const last = () => nnlab.filtered(side, Number(across.value), Number(stride.value), Number(padding.value));
  const place = nnlab.slider(root, {
    label: "place", min: 0, max: last().size ** 2 - 1, value: Math.round(0.37 * last().size ** 2), text: (k) => `row ${Math.floor(k / last().size) + 1}, column ${(k % last().size) + 1}`,
  }, draw);
  const says = nnlab.says(root);
  const CHANNELS = [nnlab.colours[1], nnlab.colours[2], nnlab.colours[0]];
  const MAPS = [nnlab.colours[0], nnlab.colours[3], nnlab.colours[7], nnlab.colours[2], nnlab.colours[4], nnlab.colours[6]];

  function draw() {
    const { size, left } = last();
    place.input.max = size ** 2 - 1;
    place.value = Math.min(place.value, size ** 2 - 1);
    const [f, s, p] = [across, stride, padding].map((one) => Number(one.value));
    const [row, column] = [Math.floor(place.value / size), place.value % size];
    const count = stack.value;

    const unit = 0.85 * nnlab.em(chart);
    const room = nnlab.room(chart);
    const width = Math.min(room.width, 60 * unit);
    const whole = side + 2 * p; // with the zeros around
    const cell = Math.min((0.4 * width) / (whole + 0.16 * whole * (channels - 1)), (Math.min(room.height, 26 * unit) - 4.5 * unit) / (1.2 * whole));
    const [step, thin] = [0.16 * whole * cell, 0.09 * size * cell]; // from one plane to the next
    const top = 1.8 * unit + step * (channels - 1) * 0.6;
    const height = Math.max(top + whole * cell + 2.2 * unit, 14 * unit);
    const svg = nnlab.svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `a filter of ${f} × ${f} × ${channels} on an image of ${side} × ${side} × ${channels} gives ${size} × ${size} × ${count}` });
    Object.assign(svg.style, { width: `${width}px`, margin: "0 auto" });
    const rect = (x, y, w, h, values) => nnlab.svg("rect", { x, y, width: w, height: h, ...values }, svg);
    const line = (x1, y1, x2, y2) => nnlab.svg("line", { x1, y1, x2, y2, class: "ink", "stroke-width": 1.5 }, svg);

    // The planes of the input, the last channel behind; the filter has a square on each, joined through all of them.
    const plane = (c) => [step * c + 2, top - 0.6 * step * c];
    const window = (c) => [plane(c)[0] + column * s * cell, plane(c)[1] + row * s * cell];
    const tint = `color-mix(in srgb, ${MAPS[count - 1]} 60%, var(--paper))`;
    for (let c = channels - 1; c >= 0; c--) {
      const [x, y] = plane(c);
      if (p > 0) rect(x, y, whole * cell, whole * cell, { fill: "none", stroke: "var(--muted)", "stroke-dasharray": "5 4" });
      rect(x + p * cell, y + p * cell, side * cell, side * cell, { fill: CHANNELS[c % 3], "fill-opacity": 0.3, stroke: CHANNELS[c % 3], "stroke-width": 1.5 });
    }
    for (let c = channels - 1; c >= 0; c--) { // over the planes, which would hide it
      if (c < channels - 1) {
        for (const [i, j] of [[0, 0], [0, 1], [1, 0], [1, 1]]) line(...[c + 1, c].flatMap((k) => [window(k)[0] + i * f * cell, window(k)[1] + j * f * cell]));
      }
      rect(...window(c), f * cell, f * cell, { fill: tint, class: "ink", "stroke-width": 2 });
    }

    // The maps, one behind the other; the last filter's is in front, filled as far as it has come.
    const begin = width - 4 - size * cell - thin * (filters - 1);
    const map = (k) => [begin + thin * (count - 1 - k), top + ((whole - size) * cell) / 2 - 0.6 * thin * (count - 1 - k)];
    for (let k = 0; k < count; k++) {
      const [x, y] = map(k);
      rect(x, y, size * cell, size * cell, { fill: "var(--paper)", stroke: MAPS[k], "stroke-width": 2 });
      const shade = { fill: MAPS[k], opacity: 0.35 };
      const rows = k < count - 1 ? size : row;
      if (rows > 0) rect(x, y, size * cell, rows * cell, shade);
      if (k === count - 1) rect(x, y + row * cell, (column + 1) * cell, cell, shade);
    }
    const [x, y] = map(count - 1);
    const [fx, fy] = window(0);
    const end = [x + column * cell, y + row * cell];
    for (const j of [0, 1]) line(fx + f * cell, fy + j * f * cell, end[0], end[1] + j * cell);
    rect(...end, cell, cell, { fill: MAPS[count - 1], class: "ink", "stroke-width": 2 });

    const under = top + whole * cell + 1.4 * unit;
    nnlab.svg("text", { x: 2, y: under }, svg, `${side} × ${side} × ${channels}`);
    nnlab.svg("text", { x: width - 4, y: under, "text-anchor": "end" }, svg, `${size} × ${size} × ${count}`);
    chart.replaceChildren(svg);

    const terms = f * f * channels;
    says(`At each place a dot product of ${f}·${f}·${channels} = ${terms} numbers, plus a bias. (${side} + 2·${p} − ${f})/${s} + 1 = ${nnlab.number((side + 2 * p - f) / s + 1)}${left ? `, rounded down: ${left === 1 ? "a column is" : `${left} columns are`} left over` : ""}. `
      + `${count === 1 ? "One filter" : `${count} filters`}: ${size} × ${size} × ${count}, ${(count * (terms + 1)).toLocaleString("en")} parameters.`);
  }
  draw();
  return draw;
});

/** The side of a map, and the pixels that are left over at the end of a row. */
nnlab.filtered = (side, filter, stride, padding) => {
  const room = side + 2 * padding - filter;
  return { size: Math.floor(room / stride) + 1, left: room % stride };
};
