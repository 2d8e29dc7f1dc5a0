"use strict";
// An image as one long vector: where the three numbers of a pixel go, and what the order of the pixels is worth to a dot product.
// data: {side, lines: of the drawn vector}
nnlab.widget("stretch", (root, { side, lines }) => {
  const [size, wide, TALL] = [side * side, (3 * side * side) / lines, 5]; // TALL: from one line of the vector to the next, in its numbers
  const shuffled = nnlab.check(root, { label: "shuffle the pixels" }, draw);
  const [picture, vector] = nnlab.panels(root, 2, 18);
  const slider = (label, value) => nnlab.slider(root, { label, min: 1, max: side, value }, draw);
  const [row, column] = [slider("row", 9), slider("column", 12)];
  const COLOURS = [nnlab.colours[1], nnlab.colours[2], nnlab.colours[0]]; // of the marks in the red, the green and the blue part
  nnlab.legend(root, ["red", "green", "blue"].map((name, k) => ({ name: `its ${name} value`, fill: COLOURS[k] })));
  const says = nnlab.says(root);

  // A sail on the sea, and what takes the place of each pixel once they are shuffled; the same for every reader.
  const paint = (r, c) => {
    const [y, x] = [(r + 0.5) / side, (c + 0.5) / side];
    if (Math.hypot(x - 0.8, y - 0.2) < 0.11) return [255, 214, 80];
    if (y > 0.2 && y < 0.68 && x > 0.34 && x < 0.36 + 0.75 * (y - 0.2)) return [214, 66, 52];
    if (y > 0.7 && y < 0.8 && x > 0.22 + (y - 0.7) && x < 0.75 - (y - 0.7)) return [96, 60, 40];
    if (y > 0.76) return [20 + 30 * x, 92 + 40 * y, 150 + 40 * x];
    return [130 + 90 * y, 180 + 50 * y, 235];
  };
  const chance = (i) => { const v = Math.sin(12.9898 * (i + 1)) * 43758.5453; return v - Math.floor(v); };
  const order = Array.from({ length: size }, (_, i) => i).sort((a, b) => chance(a) - chance(b));
  const weights = Array.from({ length: 3 * size }, (_, i) => 2 * chance(i + 7919) - 1);
  const plain = Array.from({ length: size }, (_, i) => paint(Math.floor(i / side), i % side).map(Math.round));
  const from = (i) => (shuffled.checked ? order[i] : i); // the pixel that stands at place i

  function draw() {
    const at = side * (row.value - 1) + column.value - 1;
    const here = shuffled.checked ? order.indexOf(at) : at; // where the chosen pixel stands
    const sheet = nnlab.sheet(picture, { title: `${side} × ${side} × 3`, label: `an image of ${side} × ${side} pixels${shuffled.checked ? ", shuffled" : ""}`, columns: side, rows: side, most: 420 });
    nnlab.pixels(sheet.svg, side, side, (r, c) => plain[from(side * r + c)], { x: 0, y: sheet.top, width: side * sheet.cell });
    const place = (i) => [(i % side) * sheet.cell, sheet.top + Math.floor(i / side) * sheet.cell];
    const frame = (svg, [x, y], cell, colour) => {
      nnlab.svg("rect", { x: x - 2, y: y - 2, width: cell + 4, height: cell + 4, fill: "none", stroke: "#fff", "stroke-width": 5 }, svg);
      nnlab.svg("rect", { x: x - 2, y: y - 2, width: cell + 4, height: cell + 4, fill: "none", stroke: colour, "stroke-width": 3 }, svg);
    };
    frame(sheet.svg, place(here), sheet.cell, "#111");

    const long = nnlab.sheet(vector, { title: `one vector of ${(3 * size).toLocaleString("en")} numbers`, label: `${3 * size} numbers in ${lines} lines`, columns: wide, rows: lines * TALL, most: 640 });
    const value = (k) => plain[from(k % size)][Math.floor(k / size)];
    for (let line = 0; line < lines; line++) {
      nnlab.pixels(long.svg, 1, wide, (_, c) => Array(3).fill(value(line * wide + c)), { x: 0, y: long.top + TALL * line * long.cell, width: wide * long.cell, height: (TALL - 1) * long.cell });
    }
    const places = [0, 1, 2].map((k) => k * size + here);
    places.forEach((k, channel) => {
      const [x, y] = [(k % wide) * long.cell, long.top + TALL * Math.floor(k / wide) * long.cell];
      const r = Math.max(long.cell, 0.35 * long.unit);
      nnlab.svg("circle", { cx: x + long.cell / 2, cy: y + ((TALL - 1) / 2) * long.cell, r: r + 2, fill: "none", stroke: "#fff", "stroke-width": 5 }, long.svg);
      nnlab.svg("circle", { cx: x + long.cell / 2, cy: y + ((TALL - 1) / 2) * long.cell, r: r + 2, fill: "none", stroke: COLOURS[channel], "stroke-width": 3 }, long.svg);
    });

    // The weights move with the pixels: their columns are shuffled as well.
    let score = 0;
    for (let k = 0; k < 3 * size; k++) score += weights[size * Math.floor(k / size) + from(k % size)] * (value(k) / 255);
    const numbers = places.map((k) => (k + 1).toLocaleString("en"));
    const below = row.value < side ? (shuffled.checked ? order.indexOf(at + side) : at + side) - here : null;
    says(`The pixel is at places ${numbers[0]}, ${numbers[1]} and ${numbers[2]}${below === null ? "" : `; the one below it ${Math.abs(below)} places ${below > 0 ? "on" : "back"}`}. `
      + `A unit's score w·x is ${nnlab.number(score, 6)}, ${shuffled.checked ? "as before, with its weights shuffled alike." : "in whatever order pixels and weights stand."}`);
  }
  draw();
  return draw;
});
