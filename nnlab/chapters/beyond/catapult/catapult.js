"use strict";
// The map of f and λ for a chosen step size: loss and ηλ over the steps, beside what training did.
// data: {start: {output, kernel, x, width}, steps, products: ηλ₀ of trainings, loss, sharpness: training by step}
nnlab.widget("catapult", (root, { start, steps, products, loss, sharpness }) => {
  const [BLUE, ORANGE] = nnlab.colours;
  const choices = [...new Set([...Array.from({ length: 43 }, (_, i) => (i + 1) / 10), ...products])].sort((a, b) => a - b);
  const [falls, flat] = nnlab.panels(root, 2);
  nnlab.legend(root, [{ name: "map of two numbers", stroke: ORANGE }, { name: "trained network", stroke: BLUE, mark: true }]);
  const first = choices.indexOf(products.find((p) => p > 2) ?? products[0]);
  const size = nnlab.slider(root, { label: "ηλ₀", min: 0, max: choices.length - 1, value: first, text: (i) => nnlab.number(choices[i]) }, draw);
  const says = nnlab.says(root);
  const LARGEST = 1e6; // times the first loss: beyond, it is on its way to infinity
  const before = start.output ** 2 / 2;
  const floor = before * 1e-9;

  /** Loss and ηλ by the map, until the loss is out of sight. */
  function follow(product) {
    const lr = product / start.kernel;
    const a = start.x ** 2 / start.width;
    const path = [];
    let [f, kernel] = [start.output, start.kernel];
    for (let k = 0; k <= steps && f * f / 2 <= LARGEST * before; k++) {
      path.push([f * f / 2, lr * kernel]);
      [f, kernel] = [f * (1 - lr * kernel + lr * lr * a * f * f), kernel + lr * a * f * f * (lr * kernel - 4)];
    }
    return path;
  }

  function draw() {
    const product = choices[size.value];
    const path = follow(product);
    const trained = products.indexOf(product);
    const clipped = (v) => Math.max(v, floor);
    const left = nnlab.axes(falls, { x: [0, steps], y: [floor, LARGEST * before], yLog: true, xLabel: "step", yLabel: "loss", ratio: 1.2, label: "loss over the steps" });
    nnlab.across(left, { y: before });
    nnlab.line(left.svg, path.map(([v], k) => [left.x(k), left.y(clipped(v))]), { stroke: ORANGE });
    const right = nnlab.axes(flat, { x: [0, steps], y: [0, 4.6], xLabel: "step", yLabel: "ηλ", ratio: 1.2, label: "ηλ over the steps" });
    nnlab.across(right, { y: 2 });
    nnlab.line(right.svg, path.map(([, v], k) => [right.x(k), right.y(Math.min(v, 4.6))]), { stroke: ORANGE });
    if (trained >= 0) {
      loss[trained].forEach((v, k) => nnlab.dot(left.svg, left.x(k), left.y(clipped(v)), { fill: BLUE, r: 3 }));
      sharpness[trained].forEach((v, k) => nnlab.dot(right.svg, right.x(k), right.y(v), { fill: BLUE, r: 3 }));
    }
    const diverged = path.length <= steps;
    const peak = Math.max(...path.map(([v]) => v)) / before;
    const [, end] = path[path.length - 1];
    says(`ηλ₀ = ${nnlab.number(product)}: ` + (diverged
      ? `the loss grows without end, and λ with it.`
      : `the loss ${peak > 1.001 ? `climbs to ${nnlab.number(peak, 3)} times its first value` : "falls at every step"}, and ηλ ends at ${nnlab.number(end, 3)}.`)
      + (trained >= 0 ? ` The trained network ended at ${nnlab.number(sharpness[trained][sharpness[trained].length - 1], 3)}.` : ""));
  }
  draw();
  return draw;
});
