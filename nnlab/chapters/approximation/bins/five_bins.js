"use strict";
// N bins side by side as a network of 2N steep hidden units, drawn beside the histogram that it makes.
(() => {
  const FUNCTIONS = {
    "0.5 + 0.25 sin 2πx + 0.1 sin(7πx + 1)": (x) => 0.5 + 0.25 * Math.sin(2 * Math.PI * x) + 0.1 * Math.sin(7 * Math.PI * x + 1),
    "sin 2πx": (x) => Math.sin(2 * Math.PI * x),
    "1 − |2x − 1|": (x) => 1 - Math.abs(2 * x - 1),
    "x": (x) => x,
  };
  const MOST = 12;
  const [BLUE, ORANGE] = nnlab.colours;
  const sigmoid = (z) => 1 / (1 + Math.exp(-z));

  /** Weights of y(x) = Σ hᵢ(σ(w(x − eᵢ)) − σ(w(x − eᵢ₊₁))), the outer edges two bins outside of [0, 1]. */
  const towers = (f, bins, w) => {
    const edge = (i) => (i === 0 ? -2 / bins : i === bins ? 1 + 2 / bins : i / bins);
    const heights = Array.from({ length: bins }, (_, i) => f((i + 0.5) / bins));
    const edges = heights.flatMap((_, i) => [edge(i), edge(i + 1)]);
    const outer = heights.flatMap((h) => [h, -h]);
    return { heights, edges, outer, value: (x) => outer.reduce((y, c, i) => y + c * sigmoid(w * (x - edges[i])), 0) };
  };

  nnlab.widget("five_bins", (root) => {
    const name = nnlab.choice(root, { label: "f(x)", options: Object.keys(FUNCTIONS) }, draw);
    const [chart, net] = nnlab.panels(root, 2, 16);
    nnlab.legend(root, [{ name: "f", stroke: BLUE }, { name: "the network's y", stroke: ORANGE, dash: "8 3" }]);
    const count = nnlab.slider(root, { label: "bins N", min: 1, max: MOST, value: 5 }, draw);
    const steep = nnlab.slider(root, { label: "steepness w", min: 4, max: 40, value: 36, text: (k) => nnlab.number(steepness(k)) }, draw);
    const says = nnlab.says(root);
    function steepness(k) { return Number((10 ** (k / 10)).toPrecision(2)); }

    function draw() {
      const [f, bins, w] = [FUNCTIONS[name.value], count.value, steepness(steep.value)];
      const { heights, edges, outer, value } = towers(f, bins, w);
      const near = edges.flatMap((e) => nnlab.spaced(-8, 8, 33).map((z) => e + z / w));
      const xs = nnlab.spaced(0, 1, 401).concat(near).filter((x) => x >= 0 && x <= 1).sort((a, b) => a - b);
      const all = xs.flatMap((x) => [f(x), value(x)]).concat(0);
      const [low, high] = [Math.min(...all), Math.max(...all)];
      const pad = 0.08 * (high - low);
      const { svg, x, y } = nnlab.axes(chart, { x: [0, 1], y: [low < 0 ? low - pad : 0, high + pad], xLabel: "x", ratio: 0.75, label: `f and ${bins} bins` });
      heights.forEach((h, i) => nnlab.svg("rect", {
        x: x(i / bins), width: x((i + 1) / bins) - x(i / bins), y: Math.min(y(h), y(0)), height: Math.abs(y(h) - y(0)), class: i % 2 ? "shade" : "band",
      }, svg));
      nnlab.line(svg, xs.map((at) => [x(at), y(f(at))]), { stroke: BLUE, "stroke-width": 3 });
      nnlab.line(svg, xs.map((at) => [x(at), y(value(at))]), { stroke: ORANGE, "stroke-width": 3, "stroke-dasharray": "8 3" });
      nnlab.network(net, {
        layers: [1, 2 * bins, 1], weights: [outer.map(() => [w]), [outer]], between: [`w = ${nnlab.number(w)}`, "h and −h"],
        titles: ["x", `${2 * bins} units`, "y"], label: `${2 * bins} hidden units; output weights ${outer.map((c) => nnlab.number(c, 2)).join(", ")}`, rows: 2 * MOST,
      });
      const worst = xs.reduce((most, at) => Math.max(most, Math.abs(value(at) - f(at))), 0);
      const soft = w < 10 * bins ? " The units are too flat for bins so narrow: raise w." : "";
      says(`${bins} ${bins === 1 ? "bin" : "bins"}, ${2 * bins} hidden units: the pair of bin i has the weight w = ${nnlab.number(w)}, the biases −weᵢ and −weᵢ₊₁, and the output weights hᵢ and −hᵢ. Largest error ${nnlab.number(worst, 3)}.${soft}`);
    }
    draw();
    return draw;
  });

  nnlab.towers = towers;
})();
