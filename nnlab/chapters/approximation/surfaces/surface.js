"use strict";
// Histograms over [0, 1]²: isolated towers and quadrants that add up, with the weights of nnlab.approximation.surfaces.
(() => {
  const FUNCTIONS = {
    "sin πx₁ sin πx₂": (a, b) => Math.sin(Math.PI * a) * Math.sin(Math.PI * b),
    "(x₁ + x₂)/2": (a, b) => (a + b) / 2,
    "constant 1": () => 1,
    "½ + ½ cos 2π(x₁ + x₂²)": (a, b) => 0.5 + 0.5 * Math.cos(2 * Math.PI * (a + b * b)),
  };
  const [BLUE, ORANGE] = nnlab.colours;
  const sigmoid = (z) => 1 / (1 + Math.exp(-z));
  const TOWERS = "isolated towers", QUADRANTS = "quadrants that add up";

  /** Heights n × n at the centres, and their mixed differences D with Σ_{k≤i, l≤j} D_kl = H_ij. */
  const heightsOf = (f, n) => {
    const heights = Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => f((i + 0.5) / n, (j + 0.5) / n)));
    const at = (i, j) => (i < 0 || j < 0 ? 0 : heights[i][j]);
    const differences = heights.map((row, i) => row.map((h, j) => h - at(i - 1, j) - at(i, j - 1) + at(i - 1, j - 1)));
    return { heights, differences };
  };

  /** The network for a tolerance τ: its value at (x₁, x₂), the steepness w₁ of its steps, and w₂ of its thresholds. */
  const build = (f, n, kind, tolerance) => {
    const { heights, differences } = heightsOf(f, n);
    const weights = kind === TOWERS ? heights : differences;
    const sizes = weights.flat().map(Math.abs);
    const size = sizes.reduce((a, b) => a + b, 0) - (kind === TOWERS ? 0 : sizes[0]);
    let steps = 0; // the largest difference of neighbouring heights
    heights.forEach((row, i) => row.forEach((h, j) => {
      if (i) steps = Math.max(steps, Math.abs(h - heights[i - 1][j]));
      if (j) steps = Math.max(steps, Math.abs(h - row[j - 1]));
    }));
    if (steps === 0) steps = Math.max(...heights.flat().map(Math.abs), 1);
    const m = Math.min((tolerance * steps) / (2 * Math.max(size, 1e-300)), tolerance / 8);
    const second = 2 * (Math.log(1 / m) + (kind === TOWERS ? 6 : 8) * m);
    const rho = kind === TOWERS ? (4 * m) / (3 * second) : (4 * m) / second;
    const first = Math.log(1 / rho) / (tolerance / n / 2);
    const line = (x) => [1, ...Array.from({ length: n - 1 }, (_, i) => sigmoid(first * (x - (i + 1) / n))), 0];
    const value = (x1, x2) => {
      const [a, b] = [line(x1), line(x2)];
      let sum = kind === TOWERS ? 0 : differences[0][0];
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < n; j++) {
          if (kind === TOWERS) sum += heights[i][j] * sigmoid(second * (a[i] - a[i + 1] + b[j] - b[j + 1] - 1.5));
          else if (i || j) sum += differences[i][j] * sigmoid(second * (a[i] + b[j] - 1.5));
        }
      }
      return sum;
    };
    return { value, first, second };
  };

  nnlab.widget("two-variables", (root) => {
    const SIDE = 72;
    const TOLERANCES = [0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02];
    const kind = nnlab.choice(root, { label: "network", options: [TOWERS, QUADRANTS] }, draw);
    const name = nnlab.choice(root, { label: "f", options: Object.keys(FUNCTIONS) }, draw);
    const [image, cut] = nnlab.panels(root, 2);
    nnlab.legend(root, [{ name: "f on the dashed line", stroke: BLUE }, { name: "network", stroke: ORANGE, dash: "9 4" }]);
    const cells = nnlab.slider(root, { label: "cells a side n", min: 2, max: 10, value: 5 }, draw);
    const steep = nnlab.slider(root, { label: "steepness w₁", min: 0, max: TOLERANCES.length - 1, value: 4, text: (i) => nnlab.number(built(TOLERANCES[i]).first, 2) }, draw);
    const across = nnlab.slider(root, { label: "x₂ of the cut", min: 0, max: 1, step: 0.01, value: 0.4 }, draw);
    const says = nnlab.says(root);
    function built(tolerance) { return build(FUNCTIONS[name.value], cells.value, kind.value, tolerance); }

    function draw() {
      const [n, f] = [cells.value, FUNCTIONS[name.value]];
      const { value } = built(TOLERANCES[steep.value]);
      steep.value = steep.value; // its words follow from the other controls, too
      const { svg, cell, top } = nnlab.sheet(image, { title: "the network over (x₁, x₂)", columns: SIDE, rows: SIDE, most: 420 });
      const at = (k) => (k + 0.5) / SIDE;
      const values = Array.from({ length: SIDE }, (_, r) => Array.from({ length: SIDE }, (_, c) => value(at(c), at(SIDE - 1 - r))));
      const most = Math.max(...values.flat().map(Math.abs), 1e-9);
      nnlab.pixels(svg, SIDE, SIDE, (r, c) => nnlab.signed(values[r][c] / most), { x: 0, y: top, width: SIDE * cell });
      const y = top + (1 - across.value) * SIDE * cell;
      nnlab.line(svg, [[0, y], [SIDE * cell, y]], { stroke: ORANGE, "stroke-width": 2.5, "stroke-dasharray": "9 4" });

      const xs = [...nnlab.spaced(0, 1, 241), ...Array.from({ length: n - 1 }, (_, i) => (i + 1) / n)].sort((a, b) => a - b);
      const [target, network] = [xs.map((x) => f(x, across.value)), xs.map((x) => value(x, across.value))];
      const all = [...target, ...network, 0];
      const [low, high] = [Math.min(...all), Math.max(...all)];
      const axes = nnlab.axes(cut, { x: [0, 1], y: [low < -0.01 ? 1.1 * low : 0, 1.1 * high], xLabel: `x₁, at x₂ = ${nnlab.number(across.value)}`, ratio: 1.2, label: "f and the network along a line" });
      nnlab.line(axes.svg, xs.map((x, i) => [axes.x(x), axes.y(target[i])]), { stroke: BLUE, "stroke-width": 3 });
      nnlab.line(axes.svg, xs.map((x, i) => [axes.x(x), axes.y(network[i])]), { stroke: ORANGE, "stroke-width": 3, "stroke-dasharray": "9 4" });

      let hole = 0;
      for (let i = 1; i < n; i++) for (let j = 1; j < n; j++) hole = Math.max(hole, Math.abs(value(i / n, j / n) - f(i / n, j / n)));
      says(`Where four cells meet the network is off by up to ${nnlab.number(hole, 3)}: `
        + (kind.value === TOWERS ? "every tower is at ½ + ½ < 3/2 there. Steeper ones have narrower holes, not shallower ones." : "no more than elsewhere, and less with more cells."));
    }
    draw();
    return draw;
  });

  nnlab.surface = { FUNCTIONS, TOWERS, QUADRANTS, build, heightsOf };
})();
