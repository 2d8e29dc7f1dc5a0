"use strict";
// Cybenko's sums Σ αᵢ φ(wᵢx + bᵢ) + c with random wᵢ, bᵢ and the αᵢ by least squares. Everything is computed here.
(() => {
  const sigmoid = (z) => 1 / (1 + Math.exp(-z));
  const UNITS = { sigmoid, tanh: Math.tanh, "ripple, not monotone": (z) => sigmoid(z) + z * Math.exp(-z * z) };
  const FUNCTIONS = {
    "0.5 + 0.25 sin 2πx + 0.1 sin(7πx + 1)": (x) => 0.5 + 0.25 * Math.sin(2 * Math.PI * x) + 0.1 * Math.sin(7 * Math.PI * x + 1),
    "sin 2πx": (x) => Math.sin(2 * Math.PI * x),
    "1 − |2x − 1|": (x) => 1 - Math.abs(2 * x - 1),
    "1/(1 + 25(2x − 1)²)": (x) => 1 / (1 + 25 * (2 * x - 1) ** 2),
  };
  const COUNTS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
  const [POINTS, STEEP, RIDGE] = [241, 10, 1e-7];
  const [BLUE, ORANGE] = nnlab.colours;

  /** Least squares min ‖Ac − y‖² by Householder's reflections; A is given by its columns. */
  const leastSquares = (columns, y) => {
    const a = columns.map((column) => Float64Array.from(column));
    const b = Float64Array.from(y);
    const [n, m] = [a.length, b.length];
    const diagonal = [];
    for (let k = 0; k < n; k++) {
      let norm = 0;
      for (let i = k; i < m; i++) norm += a[k][i] ** 2;
      norm = Math.sqrt(norm);
      const head = a[k][k] > 0 ? -norm : norm;
      diagonal.push(head);
      a[k][k] -= head;
      let size = 0;
      for (let i = k; i < m; i++) size += a[k][i] ** 2;
      for (const column of [...a.slice(k + 1), b]) {
        let dot = 0;
        for (let i = k; i < m; i++) dot += a[k][i] * column[i];
        if (size > 0) for (let i = k; i < m; i++) column[i] -= ((2 * dot) / size) * a[k][i];
      }
    }
    const c = new Float64Array(n);
    for (let k = n - 1; k >= 0; k--) {
      let rest = b[k];
      for (let j = k + 1; j < n; j++) rest -= a[j][k] * c[j];
      c[k] = diagonal[k] === 0 ? 0 : rest / diagonal[k];
    }
    return c;
  };

  /** The first N of the random units of a seed: w ~ N(0, 10²), and the place −b/w uniform on [0, 1]. */
  const unitsOf = (count, seed) => {
    const { normal, uniform } = nnlab.random(seed);
    return Array.from({ length: count }, () => {
      const w = STEEP * normal();
      return { w, b: -w * uniform() };
    });
  };

  /** The sum with the least squared error at POINTS places; a very small penalty keeps the αᵢ from cancelling each other. */
  const fitted = (f, phi, units) => {
    const xs = nnlab.spaced(0, 1, POINTS);
    const functions = [() => 1, ...units.map(({ w, b }) => (x) => phi(w * x + b))];
    const scale = RIDGE * Math.sqrt(POINTS);
    const columns = functions.map((g, i) => [...xs.map(g), ...functions.map((_, j) => (i === j ? scale : 0))]);
    const alpha = leastSquares(columns, [...xs.map(f), ...functions.map(() => 0)]);
    return { alpha, value: (x) => functions.reduce((sum, g, i) => sum + alpha[i] * g(x), 0) };
  };
  const worst = (f, g) => nnlab.spaced(0, 1, 1001).reduce((most, x) => Math.max(most, Math.abs(f(x) - g(x))), 0);

  nnlab.widget("sums", (root) => {
    const name = nnlab.choice(root, { label: "f(x)", options: Object.keys(FUNCTIONS) }, draw);
    const kind = nnlab.choice(root, { label: "φ", options: Object.keys(UNITS) }, draw);
    let seed = 1;
    nnlab.button(root, "other units", () => { seed += 1; draw(); });
    nnlab.keep(root, "units", { get: () => (seed === 1 ? "" : String(seed)), set: (text) => { seed = Math.min(1e6, Math.max(1, Math.round(Number(text)) || 1)); draw(); } });
    const [fit, errors] = nnlab.panels(root, 2);
    nnlab.legend(root, [{ name: "f", stroke: BLUE }, { name: "the sum", stroke: ORANGE, dash: "9 4" }, { name: "largest error of N terms", stroke: ORANGE, mark: true }]);
    const terms = nnlab.slider(root, { label: "terms N", min: 0, max: COUNTS.length - 1, value: 4, text: (i) => String(COUNTS[i]) }, draw);
    const says = nnlab.says(root);
    let [known, sums] = ["", []];

    function draw() {
      const [f, phi] = [FUNCTIONS[name.value], UNITS[kind.value]];
      const key = `${name.value} ${kind.value} ${seed}`;
      if (key !== known) {
        const units = unitsOf(COUNTS.at(-1), seed);
        sums = COUNTS.map((n) => fitted(f, phi, units.slice(0, n)));
        sums.forEach((one) => { one.error = worst(f, one.value); });
        known = key;
      }
      const { alpha, value, error } = sums[terms.value];
      const xs = nnlab.spaced(0, 1, 401);
      const all = xs.map(f);
      const [low, high] = [Math.min(...all), Math.max(...all)];
      const pad = 0.2 * (high - low);
      const left = nnlab.axes(fit, { x: [0, 1], y: [low - pad, high + pad], xLabel: "x", ratio: 1.2, label: `f and a sum of ${COUNTS[terms.value]} terms` });
      const inside = (y) => (y > low - pad && y < high + pad ? left.y(y) : NaN);
      nnlab.line(left.svg, xs.map((x) => [left.x(x), left.y(f(x))]), { stroke: BLUE, "stroke-width": 3 });
      nnlab.line(left.svg, xs.map((x) => [left.x(x), inside(value(x))]), { stroke: ORANGE, "stroke-width": 3, "stroke-dasharray": "9 4" });
      const found = sums.map((one) => one.error);
      const right = nnlab.axes(errors, { x: [0.9, 75], y: [Math.min(...found) / 2, Math.max(...found) * 2], xLog: true, yLog: true, xTicks: [1, 4, 16, 64], xLabel: "terms N", yLabel: "largest error", ratio: 1.2, label: "largest error over the number of terms" });
      nnlab.line(right.svg, found.map((v, i) => [right.x(COUNTS[i]), right.y(v)]), { stroke: ORANGE, "stroke-width": 2 });
      found.forEach((v, i) => nnlab.dot(right.svg, right.x(COUNTS[i]), right.y(v), { fill: ORANGE, r: (i === terms.value ? 0.42 : 0.22) * right.unit }));
      const largest = alpha.slice(1).reduce((most, a) => Math.max(most, Math.abs(a)), 0);
      says(`${COUNTS[terms.value]} ${COUNTS[terms.value] === 1 ? "term" : "terms"} of random units, αᵢ by least squares: the largest error is ${nnlab.number(error, 3)}, the largest |αᵢ| ${nnlab.number(largest, 2)}. `
        + (kind.value.startsWith("ripple") ? "Cybenko's theorem does not ask φ to be monotone." : "More terms come nearer."));
    }
    draw();
    return draw;
  });

  nnlab.sums = { leastSquares, unitsOf, fitted, UNITS, RIDGE, POINTS };
})();
