"use strict";
// The residual along the eigenvectors of H: predicted e^{−λt} or (1 − ηλ)^k, and what the network did.
// data: {eigenvalues, lr, steps, start: uᵢ(0), network: uᵢ at the steps, mode by mode}
nnlab.widget("modes", (root, { eigenvalues, lr, steps, start, network }) => {
  const [BLUE, ORANGE] = nnlab.colours;
  const count = eigenvalues.length;
  const alive = eigenvalues.map((_, i) => i).filter((i) => eigenvalues[i] > 1e-9 * eigenvalues[0]);
  const LAWS = { "gradient flow exp(−λt)": (l, k) => Math.exp(-l * lr * k), "gradient descent (1 − ηλ)ᵏ": (l, k) => (1 - lr * l) ** k };
  const law = nnlab.choice(root, { label: "prediction", options: Object.keys(LAWS) }, draw);
  const [decay, state] = nnlab.panels(root, 2);
  nnlab.legend(root, [
    { name: "at the start", stroke: "currentColor", mark: "hollow" }, { name: "predicted", stroke: ORANGE }, { name: "network, measured", stroke: BLUE, mark: true },
  ]);
  const time = nnlab.slider(root, { label: "step k", min: 0, max: steps.length - 1, value: Math.floor(steps.length / 2), text: (i) => nnlab.number(steps[i]) }, draw);
  const says = nnlab.says(root);
  const norm = (values) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));
  const widest = [eigenvalues[alive[alive.length - 1]] / 1.6, eigenvalues[0] * 1.6];
  const largest = Math.max(...start.map(Math.abs), ...network.flat().map(Math.abs));
  const floor = largest * 1e-6;

  function draw() {
    const [at, factor] = [time.value, LAWS[law.value]];
    const k = steps[at];
    const last = steps[steps.length - 1];

    const left = nnlab.axes(decay, { x: [1, last], y: [0, 1.02], xLog: true, xLabel: "step k", yLabel: "|uᵢ(k)/uᵢ(0)|, predicted", ratio: 0.75, label: "decay of each mode over the steps" });
    const grid = nnlab.spaced(1, last, 120, true);
    const share = (i, step) => { // of a step size above η_max a mode may grow out of the drawing
      const size = Math.abs(factor(eigenvalues[i], step));
      return size <= 1.02 ? left.y(size) : NaN;
    };
    for (const i of [...alive].reverse()) {
      nnlab.line(left.svg, grid.map((step) => [left.x(step), share(i, step)]), { stroke: nnlab.ordered(i, count), "stroke-width": 1.8 });
    }
    if (k > 0) nnlab.across(left, { x: k });
    for (const i of alive) {
      if (share(i, k) > 0) nnlab.dot(left.svg, left.x(Math.max(1, k)), share(i, k), { fill: nnlab.ordered(i, count), r: 3.5 });
    }

    const right = nnlab.axes(state, { x: widest, y: [floor, largest * 2], xLog: true, yLog: true, xLabel: "eigenvalue λᵢ", yLabel: "|uᵢ|", ratio: 0.75, label: `size of each mode at step ${k}` });
    const height = (v) => right.y(Math.max(floor, Math.abs(v)));
    if (k > 0 && 1 / (lr * k) > widest[0] && 1 / (lr * k) < widest[1]) {
      const x = right.x(1 / (lr * k));
      nnlab.svg("rect", { x, y: right.box.top, width: right.box.right - x, height: right.box.bottom - right.box.top, class: "shade" }, right.svg);
      nnlab.svg("text", { x: x + 4, y: right.box.top + right.unit }, right.svg, "λ > 1/t");
    }
    for (const i of alive) {
      const x = right.x(eigenvalues[i]);
      const predicted = height(start[i] * factor(eigenvalues[i], k));
      nnlab.dot(right.svg, x, height(start[i]), { fill: "currentColor", hollow: true, r: 4, opacity: 0.6 });
      nnlab.svg("line", { x1: x, x2: x, y1: height(start[i]), y2: predicted, stroke: ORANGE, "stroke-width": 1.2, opacity: 0.6 }, right.svg);
      nnlab.svg("line", { x1: x - 7, x2: x + 7, y1: predicted, y2: predicted, stroke: ORANGE, "stroke-width": 2.6 }, right.svg);
      nnlab.dot(right.svg, x, height(network[i][at]), { fill: BLUE, r: 4 });
    }
    const dead = alive.filter((i) => Math.abs(factor(eigenvalues[i], k)) < Math.exp(-1)).length;
    const predicted = norm(start.map((u, i) => u * factor(eigenvalues[i], k)));
    const measured = norm(network.map((row) => row[at]));
    says(`Step ${nnlab.number(k)}, t = ηk = ${nnlab.number(lr * k)}: of ${alive.length} modes ${dead} ${dead === 1 ? "is" : "are"} predicted below 1/e of the start`
      + (k > 0 ? `; the front stands at λ = 1/t = ${nnlab.number(1 / (lr * k))}.` : ".")
      + ` ‖u‖ is predicted to be ${nnlab.number(predicted)} and was measured as ${nnlab.number(measured)}; it began at ${nnlab.number(norm(start))}.`);
  }
  draw();
  return draw;
});
