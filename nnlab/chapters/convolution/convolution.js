"use strict";
// The convolution of two functions on the line: one turned round and moved over the other, and the area of their product.
// data: {functions: names}
nnlab.widget("convolution", (root, { functions }) => {
  const { FUNCTIONS, at } = nnlab.convolution;
  const [BLUE, ORANGE, GREEN] = nnlab.colours;
  const [EDGE, CELLS] = [3, [null, 0.5, 0.25, 0.1]];
  const choice = (label, value) => nnlab.choice(root, { label, options: functions, value }, draw);
  const [first, second] = [choice("f", functions[0]), choice("g", functions[3])];
  const width = nnlab.choice(root, { label: "as", options: CELLS.map((h, i) => [i, h === null ? "an integral" : `a sum, cells of ${h}`]) }, draw);
  const [above, below] = [nnlab.panel(root), nnlab.panel(root)];
  const slider = nnlab.slider(root, { label: "place y", min: -EDGE, max: EDGE, step: 0.05, value: 0.6 }, draw);
  nnlab.legend(root, [{ name: "f(x)", stroke: BLUE }, { name: "g(y − x)", stroke: ORANGE, dash: "8 4" }, { name: "product, area", stroke: GREEN }]);
  const says = nnlab.says(root);

  function draw() {
    const [f, g, h, y] = [FUNCTIONS[first.value], FUNCTIONS[second.value], CELLS[width.value], slider.value];
    const xs = nnlab.spaced(-EDGE, EDGE, 601);
    const top = nnlab.axes(above, { x: [-EDGE, EDGE], y: [0, 1.05], xLabel: "x", ratio: 0.32, label: `f, and g turned round and moved to ${y}` });
    const curve = (axes, values, style) => nnlab.line(axes.svg, xs.map((x, i) => [axes.x(x), axes.y(values[i])]), { "stroke-width": 2.6, ...style });
    const product = xs.map((x) => f(x) * g(y - x));
    if (h === null) {
      const path = `M${top.x(-EDGE)} ${top.y(0)}${xs.map((x, i) => `L${top.x(x).toFixed(1)} ${top.y(product[i]).toFixed(1)}`).join("")}L${top.x(EDGE)} ${top.y(0)}Z`;
      nnlab.svg("path", { d: path, fill: GREEN, opacity: 0.45 }, top.svg);
    } else {
      for (let n = Math.ceil(-EDGE / h); n * h < EDGE; n++) {
        const value = f(n * h) * g(y - n * h);
        if (value > 0) nnlab.svg("rect", { x: top.x(n * h), width: top.x(h) - top.x(0), y: top.y(value), height: top.y(0) - top.y(value), fill: GREEN, opacity: 0.45, stroke: GREEN }, top.svg);
      }
    }
    curve(top, xs.map(f), { stroke: BLUE });
    curve(top, xs.map((x) => g(y - x)), { stroke: ORANGE, "stroke-dasharray": "8 4" });
    const value = at(f, g, y, h);
    const result = nnlab.spaced(-EDGE, EDGE, 121).map((v) => [v, at(f, g, v, h)]);
    const most = Math.max(...result.map((point) => point[1]), value);
    const low = nnlab.axes(below, { x: [-EDGE, EDGE], y: [0, 1.15 * most], xLabel: "y", yLabel: "(f∗g)(y)", ratio: 0.3, label: "the convolution of f and g" });
    nnlab.line(low.svg, result.map(([a, b]) => [low.x(a), low.y(b)]), { stroke: GREEN, "stroke-width": 2.6 });
    nnlab.across(low, { x: y });
    nnlab.dot(low.svg, low.x(y), low.y(value), { fill: GREEN, r: 0.4 * low.unit });
    const exact = at(f, g, y, null);
    says(h === null ? `At y = ${nnlab.number(y)} the area under f(x) g(y − x) is ${nnlab.number(exact, 3)}: the value of f∗g there.`
      : `At y = ${nnlab.number(y)} the sum is ${nnlab.number(value, 3)}, the integral ${nnlab.number(exact, 3)}; they differ by ${nnlab.number(Math.abs(value - exact), 2)}.`);
  }
  draw();
  return draw;
});

nnlab.convolution = {
  FUNCTIONS: {
    box: (x) => (x >= -0.5 && x < 0.5 ? 1 : 0),
    triangle: (x) => Math.max(0, 1 - Math.abs(x)),
    bump: (x) => Math.exp(-4 * x * x),
    "one-sided decay": (x) => (x >= 0 ? Math.exp(-2 * x) : 0),
  },

  /** (f∗g)(y): the sum of f(nh) g(y − nh) h, or for h = null the integral, by the midpoints of small cells. */
  at: (f, g, y, h) => {
    const [step, shift] = h === null ? [0.002, 0.5] : [h, 0];
    let sum = 0;
    for (let n = Math.round(-4 / step); n * step < 4; n++) sum += f((n + shift) * step) * g(y - (n + shift) * step);
    return sum * step;
  },
};
