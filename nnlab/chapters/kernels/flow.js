"use strict";
// Gradient flow beside gradient descent on the linearized network, for several step sizes.
// data: {eigenvalues, start: uᵢ(0), products: ηλmax, gaps: ‖w_k − w(ηk)‖ that were measured}
nnlab.widget("flow", (root, { eigenvalues, start, products, gaps }) => {
  const [BLUE, ORANGE, GREEN] = nnlab.colours;
  const top = eigenvalues[0];
  const SIZES = [0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.5, 1.8, 1.9, 2, 2.05, 2.2];
  const [loss, gap] = nnlab.panels(root, 2);
  nnlab.legend(root, [
    { name: "gradient flow, η → 0", stroke: BLUE }, { name: "gradient descent", stroke: ORANGE, mark: true }, { name: "their distance, computed", stroke: ORANGE, dash: "3 4" }, { name: "measured", stroke: GREEN, mark: true },
  ]);
  const size = nnlab.slider(root, { label: "step size ηλmax", min: 0, max: SIZES.length - 1, value: 5, text: (i) => nnlab.number(SIZES[i]) }, draw);
  const says = nnlab.says(root);
  const END = 12 / top; // of the drawing of the loss
  const { flow, descent, distance } = nnlab.flow(eigenvalues, start);

  function draw() {
    const product = SIZES[size.value];
    const eta = product / top;
    const steps = Math.floor(END / eta + 1e-9);
    const points = Array.from({ length: steps + 1 }, (_, k) => [k * eta, descent(eta, k)]);
    const line = nnlab.spaced(0, END, 160).map((t) => [t, flow(t)]);
    const low = Math.min(...line.map((p) => p[1])) / 1.5;
    const high = 4 * flow(0);
    const left = nnlab.axes(loss, { x: [0, END], y: [low, high], yLog: true, xLabel: "time t = ηk", yLabel: "loss", ratio: 1.2, label: "loss of gradient flow and of gradient descent over time" });
    nnlab.line(left.svg, line.map(([t, v]) => [left.x(t), left.y(v)]), { stroke: BLUE, "stroke-width": 3 });
    const seen = points.filter(([, v]) => v <= high && v >= low);
    nnlab.line(left.svg, seen.map(([t, v]) => [left.x(t), left.y(v)]), { stroke: ORANGE, "stroke-width": 1.4, "stroke-dasharray": "3 4" });
    for (const [t, v] of seen) nnlab.dot(left.svg, left.x(t), left.y(v), { fill: ORANGE, r: steps > 60 ? 0.13 * left.unit : 0.22 * left.unit });

    const inSteps = (k) => [(top * products.time) / k, distance(products.time / k, k)]; // a time that is a whole number of steps
    const curve = [...new Set(nnlab.spaced(2, 320, 60, true).map(Math.round))].map(inSteps);
    const measured = products.values.map((p, i) => [p, gaps[i]]);
    const at = inSteps(Math.max(2, Math.round((top * products.time) / product)));
    const ys = [...curve, ...measured].map((p) => p[1]);
    const right = nnlab.axes(gap, { x: [0.009, 2.4], y: [Math.min(...ys) / 2, Math.max(...ys) * 2], xLog: true, yLog: true, xTicks: [0.01, 0.1, 1], xLabel: "ηλmax", yLabel: "‖w of descent − w of flow‖", ratio: 1.2, label: "distance of the weights of descent and of flow over the step size" });
    nnlab.line(right.svg, curve.map(([p, v]) => [right.x(p), right.y(v)]), { stroke: ORANGE, "stroke-width": 3, "stroke-dasharray": "3 4" });
    for (const [p, v] of measured) nnlab.dot(right.svg, right.x(p), right.y(v), { fill: GREEN, r: 0.26 * right.unit });
    if (product < 2) nnlab.dot(right.svg, right.x(at[0]), right.y(at[1]), { fill: ORANGE, r: 0.32 * right.unit });

    const factor = 1 - product;
    says(`ηλmax = ${nnlab.number(product)}: a step multiplies the fastest mode by 1 − ηλmax = ${nnlab.number(factor, 2)}${product === 1 ? ", so it is gone after one step" : product > 2 ? ": descent diverges, flow never does" : product > 1 ? ": descent jumps across the minimum" : ""}. `
      + "Half the step size, half the distance to the flow: it falls like η.");
  }
  draw();
  return draw;
});

/** Losses and distances of gradient flow and descent on ½‖u‖², u̇ = −Hu, from the eigenvalues and uᵢ(0). */
nnlab.flow = (eigenvalues, start) => {
  const total = (f) => start.reduce((sum, c, i) => sum + f(c, eigenvalues[i]), 0);
  return {
    flow: (t) => total((c, l) => 0.5 * (c * Math.exp(-l * t)) ** 2),
    descent: (eta, k) => total((c, l) => 0.5 * (c * (1 - eta * l) ** k) ** 2),
    // w = w₀ − Jᵀ H⁻¹(I − …)u₀: mode i of the difference of the weights is cᵢ(e^{−λt} − (1 − ηλ)^k)/√λ, t = ηk
    distance: (eta, k) => Math.sqrt(total((c, l) => (l > 0 ? (c * (Math.exp(-l * eta * k) - (1 - eta * l) ** k)) ** 2 / l : 0))),
  };
};
