"use strict";
// Networks of two and three layers: the diagram, the matrices of the formula, the values. data: {most: {inputs, hidden, outputs}, linear}
nnlab.widget("layers", (root, { most, linear: without }) => {
  const { forward } = nnlab.classification;
  let seed = 1;
  const kind = nnlab.choice(root, {
    label: "layers", value: without ? "2 linear" : "2",
    options: [["2", "two"], ["3", "three"], ["2 linear", "two, without max"], ["3 linear", "three, without max"]],
  }, draw);
  nnlab.button(root, "other weights", () => { seed += 1; draw(); });
  const [diagram, matrices] = [nnlab.panel(root, "panel tall"), nnlab.panel(root)];
  const few = (label, max, value) => nnlab.choice(root, { label, options: nnlab.spaced(1, max, max).map((n) => [n, String(n)]), value }, draw);
  const many = (label, max, value) => nnlab.slider(root, { label, min: 1, max, value }, draw);
  const [inputs, outputs] = [few("inputs d", most.inputs, 3), few("outputs C", most.outputs, 2)];
  const hidden = [many("hidden units H₁", most.hidden, 4), many("hidden units H₂", most.hidden, 3)];
  const first = nnlab.slider(root, { label: "input x₁", min: -2, max: 2, step: 0.1, value: 1 }, draw);
  const says = nnlab.says(root);
  nnlab.keep(root, "seed", { get: () => (seed === 1 ? "" : String(seed)), set: (text) => { seed = Math.max(1, Math.trunc(Number(text)) || 1); draw(); } });

  function draw() {
    const [deep, linear] = [kind.value.startsWith("3"), kind.value.endsWith("linear")];
    hidden[1].input.parentElement.style.display = deep ? "" : "none";
    const layers = [Number(inputs.value), hidden[0].value, ...(deep ? [hidden[1].value] : []), Number(outputs.value)];
    const { normal } = nnlab.random(seed);
    const number = () => Math.round(10 * normal()) / 10;
    const weights = layers.slice(1).map((rows, l) => Array.from({ length: rows }, () => Array.from({ length: layers[l] }, number)));
    const x = Array.from({ length: layers[0] }, (_, i) => (i === 0 ? first.value : number()));
    const values = forward(weights, x, linear ? (z) => z : undefined);

    const sub = "₁₂₃";
    const formula = weights.reduce((inner, _, l) => (l === 0 ? `W₁x` : `W${sub[l]} ${linear ? (l === 1 ? inner : `(${inner})`) : `max(0, ${inner})`}`), "");
    nnlab.network(diagram, {
      layers, weights, rows: 8,
      values: values.map((layer) => layer.map((v) => Math.round(10 * v) / 10)), // one decimal: small circles
      titles: ["x", ...layers.slice(1, -1).map((_, l) => (linear ? `h${sub[l]}` : `h${sub[l]} ≥ 0`)), "scores"],
      label: `a network of ${weights.length} layers: ${layers.join(", ")} units`,
    });

    // the formula as matrices, drawn to scale
    const unit = 0.85 * nnlab.em(matrices);
    const room = nnlab.room(matrices);
    const width = Math.min(room.width, 60 * unit);
    const opening = linear ? 0.6 : 4.2; // units for "max(0, "
    const gap = (weights.length - 1) * (opening + 1) * unit + 3 * unit;
    const tallest = Math.max(...layers);
    const across = layers.slice(0, -1).reduce((a, c) => a + c, 0) + 1;
    const foot = 3 * unit;
    const cell = Math.min((width - gap) / across, (Math.min(room.height, 14 * unit) - foot - 4) / tallest, 1.6 * unit);
    const height = tallest * cell + foot + 4;
    const svg = nnlab.svg("svg", { viewBox: `-2 0 ${width} ${height}`, role: "img", "aria-label": `${formula}: ${weights.map((W, l) => `W${sub[l]} has ${W.length} rows and ${W[0].length} columns`).join(", ")}` });
    svg.style.maxWidth = `${width}px`;
    matrices.replaceChildren(svg);
    const middle = (height - foot) / 2;
    let left = 0;
    const text = (words, y = middle, at = left, anchor = "start") => nnlab.svg("text", { x: at, y: y + 0.35 * unit, "text-anchor": anchor }, svg, words);
    const grid = (rows, name, shape) => {
      const [columns, top] = [rows[0].length, middle - (rows.length * cell) / 2];
      const largest = Math.max(...rows.flat().map(Math.abs)) || 1;
      nnlab.pixels(svg, rows.length, columns, (r, c) => nnlab.signed(rows[r][c] / largest), { x: left, y: top, width: columns * cell, height: rows.length * cell });
      const at = left + (columns * cell) / 2;
      text(name, height - 2.1 * unit, at, "middle");
      text(shape, height - 0.7 * unit, at, "middle");
      left += columns * cell;
    };
    [...weights].reverse().forEach((W, i) => {
      const l = weights.length - 1 - i;
      grid(W, `W${sub[l]}`, `${W.length} × ${W[0].length}`);
      left += 0.4 * unit;
      if (l > 0 && !linear) text("max(0,");
      if (l > 0) left += opening * unit;
    });
    left += unit;
    grid(x.map((v) => [v]), "x", String(x.length));
    left += 0.5 * unit;
    if (!linear) text(")".repeat(weights.length - 1));

    const units = values.slice(1, -1).flat();
    const off = units.filter((v) => v === 0).length;
    const count = weights.map((W) => W.length * W[0].length);
    says(`f(x) = ${formula} has ${count.join(" + ")} = ${count.reduce((a, c) => a + c)} weights. `
      + (linear ? `It is a single matrix, ${layers[layers.length - 1]} × ${layers[0]}: layers add nothing.`
        : `For this x, ${off} of ${units.length} hidden units ${off === 1 ? "is" : "are"} 0.`));
  }
  draw();
  return draw;
});
