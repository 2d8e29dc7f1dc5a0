"use strict";
// A filter slides over an image: the dot product of its weights and the pixels under it is one number of the map.
// data: {image: channel by row by column, stride, padding, filters: [{name, weights: channel by row by column, bias}]}
nnlab.widget("filter", (root, { image, stride, padding, filters }) => {
  const [channels, rows, columns] = [image.length, image[0].length, image[0][0].length];
  const side = filters[0].weights[0].length;
  const [high, wide] = [rows, columns].map((size) => Math.floor((size + 2 * padding - side) / stride) + 1);
  const BOX = nnlab.colours[1];
  const choice = filters.length > 1
    ? nnlab.choice(root, { label: "filter", options: filters.map((f, i) => [i, f.name]) }, draw) : { value: 0 };
  const [seen, products, map] = nnlab.panels(root, 3, 8.5);
  products.classList.add("last-if-narrow", "tall");
  const place = nnlab.slider(root, {
    label: "place", min: 0, max: high * wide - 1, value: Math.floor((high * wide) / 2), text: (k) => `row ${Math.floor(k / wide) + 1}, column ${(k % wide) + 1}`,
  }, draw);
  const says = nnlab.says(root);
  const [least, greatest] = [Math.min(...image.flat(2)), Math.max(...image.flat(2))];
  const grey = (v) => Array(3).fill(Math.round(50 + (205 * (v - least)) / (greatest - least || 1)));
  const pixel = (c, r, k) => image[c][r]?.[k] ?? 0; // zeros around the image

  /** Returns the activation map of a filter. */
  const convolved = ({ weights, bias }) => Array.from({ length: high }, (_, r) => Array.from({ length: wide }, (_, k) => {
    let sum = bias;
    for (let c = 0; c < channels; c++) for (let i = 0; i < side; i++) for (let j = 0; j < side; j++) {
      sum += weights[c][i][j] * pixel(c, r * stride - padding + i, k * stride - padding + j);
    }
    return sum;
  }));

  /** Returns a number short enough for a cell: an integer as it is, others with so many decimals. */
  const short = (v, decimals) => (Number.isInteger(v) ? nnlab.number(v) : v.toFixed(decimals).replace(/^-(?=[0.]*$)/, "").replace("-", "−"));
  /** The size of letters in which all these cells have room for their lines; 0 where that is below the page's. */
  const fitting = (sheet, cells) => {
    const letters = Math.max(2, ...cells.flat().map((line) => line.length + (line.includes("−") ? 0.8 : 0))); // a minus is wide
    const size = Math.min(1.6 * sheet.unit, sheet.cell / (0.56 * letters), sheet.cell / (1.15 * Math.max(...cells.map((lines) => lines.length))));
    return size < sheet.unit ? 0 : size;
  };
  const written = (sheet, size, x, y, lines, values = {}) => {
    if (size > 0) lines.forEach((line, i) => nnlab.svg("text", {
      x: x + sheet.cell / 2, y: y + sheet.cell / 2 + (i - (lines.length - 1) / 2) * 1.15 * size, "text-anchor": "middle", "dominant-baseline": "central", class: "on-colour", style: `font-size: ${size}px`, ...values,
    }, sheet.svg, line));
  };
  const frame = (svg, x, y, size) => nnlab.svg("rect", { x, y, width: size, height: size, fill: "none", stroke: BOX, "stroke-width": 3 }, svg);

  function draw() {
    const filter = filters[choice.value];
    const result = convolved(filter);
    const [row, column] = [Math.floor(place.value / wide), place.value % wide];
    const [top, left] = [row * stride - padding, column * stride - padding];

    // The image, channel under channel, and the window on it.
    const step = rows + 2 * padding;
    const picture = nnlab.sheet(seen, {
      title: channels > 1 ? "image, by channel" : "image", label: `image of ${rows} × ${columns} pixels, the filter at row ${row + 1}, column ${column + 1}`,
      columns: columns + 2 * padding, rows: channels * step, most: 300,
    });
    for (let c = 0; c < channels; c++) {
      const at = (r, k) => [(k + padding) * picture.cell, picture.top + (c * step + r + padding) * picture.cell];
      const [x, y] = at(0, 0);
      nnlab.pixels(picture.svg, rows, columns, (r, k) => grey(image[c][r][k]), { x, y, width: columns * picture.cell });
      if (rows <= 10 && image.flat(2).every(Number.isInteger)) {
        const size = fitting(picture, image.flat(2).map((v) => [short(v, 1)]));
        image[c].forEach((line, r) => line.forEach((v, k) => written(picture, size, ...at(r, k), [short(v, 1)], { class: v < (least + greatest) / 2 ? "on-dark" : "on-colour" })));
      }
      frame(picture.svg, ...at(top, left), side * picture.cell);
    }

    // pixel × weight, for every weight.
    const largest = Math.max(...filter.weights.flat(2).map(Math.abs)) || 1;
    const sums = nnlab.sheet(products, { title: "pixel · weight", columns: side, rows: channels * (side + 0.1), most: 300 });
    const product = (w, c, i, j) => [short(pixel(c, top + i, left + j), 2), `· ${w < 0 ? `(${short(w, 2)})` : short(w, 2)}`];
    const size = fitting(sums, filter.weights.flatMap((plane, c) => plane.flatMap((line, i) => line.map((w, j) => product(w, c, i, j)))));
    filter.weights.forEach((plane, c) => plane.forEach((line, i) => line.forEach((w, j) => {
      const [x, y] = [j * sums.cell, sums.top + (c * (side + 0.1) + i) * sums.cell];
      nnlab.svg("rect", { x, y, width: sums.cell, height: sums.cell, class: "frame", style: `fill: rgb(${nnlab.signed((0.75 * w) / largest)})` }, sums.svg);
      written(sums, size, x, y, product(w, c, i, j));
    })));

    // The map, as far as the filter has come.
    const strongest = Math.max(...result.flat().map(Math.abs)) || 1;
    const maps = nnlab.sheet(map, { title: `map, ${high} × ${wide}`, label: `activation map of ${high} × ${wide} numbers`, columns: wide, rows: high, most: 300 });
    const filled = (r, k) => r * wide + k <= place.value;
    nnlab.pixels(maps.svg, high, wide, (r, k) => (filled(r, k) ? nnlab.signed((0.8 * result[r][k]) / strongest) : [255, 255, 255]), { x: 0, y: maps.top, width: wide * maps.cell });
    const at = (r, k) => [k * maps.cell, maps.top + r * maps.cell];
    const small = fitting(maps, result.flat().map((v) => [short(v, 1)]));
    if (wide <= 10) result.forEach((line, r) => line.forEach((v, k) => { if (filled(r, k)) written(maps, small, ...at(r, k), [short(v, 1)]); }));
    frame(maps.svg, ...at(row, column), maps.cell);

    const dot = result[row][column] - filter.bias;
    says(`${filter.name[0].toUpperCase()}${filter.name.slice(1)}, row ${row + 1}, column ${column + 1}: the dot product of ${channels * side * side} pixels with the weights is ${nnlab.number(dot)}`
      + (filter.bias ? `; with the bias ${nnlab.number(filter.bias)} the map gets ${nnlab.number(result[row][column])}.` : "."));
  }
  draw();
  return draw;
});
