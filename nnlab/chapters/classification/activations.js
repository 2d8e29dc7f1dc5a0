"use strict";
// Activation functions beside each other: graph, slope, formula. data: {functions: [{key, name, formula, slope}]}
nnlab.widget("activations", (root, { functions }) => {
  const { activations } = nnlab.classification;
  const [BLUE, ORANGE] = nnlab.colours;
  const chart = nnlab.panel(root);
  const z = nnlab.slider(root, { label: "z", min: -3, max: 3, step: 0.1, value: 1, text: (v) => nnlab.number(v, 2) }, draw);
  nnlab.legend(root, [{ name: "φ(z)", stroke: BLUE }, { name: "slope φ′(z)", stroke: ORANGE, dash: "6 4" }]);
  const says = nnlab.says(root);
  const [Z, Y] = [[-3, 3], [-1.6, 3]];

  function draw() {
    const unit = 0.85 * nnlab.em(chart);
    const room = nnlab.room(chart);
    const width = Math.min(room.width, 72 * unit);
    const columns = Math.max(1, Math.min(3, Math.floor(width / (13 * unit))));
    const rows = Math.ceil(functions.length / columns);
    const cell = width / columns;
    const high = Math.max(9.5 * unit, Math.min(room.height / rows, 0.62 * cell + 5 * unit));
    const svg = nnlab.svg("svg", { viewBox: `0 0 ${width} ${rows * high}`, role: "img", "aria-label": `${functions.map((f) => f.name).join(", ")} and their slopes` });
    chart.replaceChildren(svg);
    functions.forEach(({ key, name, formula, slope }, i) => {
      const [left, top] = [(i % columns) * cell, Math.floor(i / columns) * high];
      const [x, y] = [nnlab.scale(Z, [left + 0.6 * unit, left + cell - 1.4 * unit]), nnlab.scale(Y, [top + high - 3.4 * unit, top + 1.7 * unit])];
      nnlab.svg("text", { x: x(Z[0]), y: top + 1.1 * unit, "font-weight": 600 }, svg, name);
      nnlab.svg("line", { x1: x(Z[0]), x2: x(Z[1]), y1: y(0), y2: y(0), class: "tick" }, svg);
      nnlab.svg("line", { x1: x(0), x2: x(0), y1: y(Y[0]), y2: y(Y[1]), class: "tick" }, svg);
      const f = activations[key];
      const at = nnlab.spaced(...Z, 241);
      nnlab.line(svg, at.map((v) => [x(v), y(f(v)[0])]), { stroke: BLUE, "stroke-width": 2.6 });
      // a jump of the slope is a gap, not a slanted line
      nnlab.line(svg, at.map((v, k) => { const s = f(v)[1]; return k > 0 && Math.abs(s - f(at[k - 1])[1]) > 0.3 ? [NaN, NaN] : [x(v), y(s)]; }), { stroke: ORANGE, "stroke-width": 2.6, "stroke-dasharray": "6 4" });
      const [value, derivative] = f(z.value);
      nnlab.dot(svg, x(z.value), y(value), { fill: BLUE, r: 0.28 * unit });
      nnlab.dot(svg, x(z.value), y(derivative), { fill: ORANGE, r: 0.28 * unit });
      nnlab.svg("text", { x: x(Z[0]), y: top + high - 1.9 * unit }, svg, formula);
      nnlab.svg("text", { x: x(Z[0]), y: top + high - 0.7 * unit }, svg, slope);
    });
    says(`Slopes at z = ${nnlab.number(z.value, 2)}, the share of the gradient that is passed on: ${functions.map((f) => `${f.name} ${nnlab.number(activations[f.key](z.value)[1], 2)}`).join(", ")}.`);
  }
  draw();
  return draw;
});
// What is left of a gradient after layers in a row. data: {functions: [{key, name}], deepest}
nnlab.widget("slopes", (root, { functions, deepest }) => {
  const { activations } = nnlab.classification;
  const chart = nnlab.panel(root);
  const z = nnlab.slider(root, { label: "pre-activation z of every layer", min: -3, max: 3, step: 0.1, value: 0.5, text: (v) => nnlab.number(v, 2) }, draw);
  const depth = nnlab.slider(root, { label: "layers", min: 1, max: deepest, value: 3 }, draw);
  nnlab.legend(root, functions.map(({ name }, i) => ({ name, stroke: nnlab.colours[i], dash: nnlab.dash(i) })));
  const says = nnlab.says(root);

  function draw() {
    const axes = nnlab.axes(chart, { x: [0, deepest], y: [1e-12, 10], yLog: true, xLabel: "layers in a row", yLabel: "share of the gradient that arrives", ratio: 0.55, label: `what is left of a gradient after up to ${deepest} layers` });
    nnlab.across(axes, { x: depth.value });
    const left = functions.map(({ key, name }, i) => {
      const slope = activations[key](z.value)[1];
      const at = (n) => slope ** n;
      nnlab.line(axes.svg, nnlab.spaced(0, deepest, deepest + 1).map((n) => [axes.x(n), at(n) >= 1e-12 ? axes.y(at(n)) : NaN]), { stroke: nnlab.colours[i], "stroke-dasharray": nnlab.dash(i), "stroke-width": 3 });
      if (at(depth.value) >= 1e-12) nnlab.dot(axes.svg, axes.x(depth.value), axes.y(at(depth.value)), { fill: nnlab.colours[i], r: 0.3 * axes.unit });
      return `${name} ${nnlab.number(at(depth.value), 2)}`;
    });
    says(`After ${depth.value} ${depth.value === 1 ? "layer" : "layers"} with weights 1 and z = ${nnlab.number(z.value, 2)} there is left: ${left.join(", ")}. Sigmoids leave at most 1/${nnlab.number(4 ** depth.value)}.`);
  }
  draw();
  return draw;
});
