"use strict";
// The squared distance of the weights from their start: the part of every mode, and the whole over the steps.
// data: {eigenvalues, start: cᵢ, lr, steps, linearized, network: ‖w − w₀‖² at the steps}
nnlab.widget("minimal_norm", (root, { eigenvalues, start, lr, steps, linearized, network }) => {
  const [BLUE, ORANGE] = nnlab.colours;
  const [parts, whole] = nnlab.panels(root, 2);
  nnlab.legend(root, [
    { name: "least that fits, c²/λ", stroke: "currentColor", mark: "hollow" }, { name: "predicted", stroke: ORANGE }, { name: "linearized network, measured", stroke: BLUE, mark: true }, { name: "network, measured", stroke: "currentColor", dash: "6 3" },
  ]);
  const time = nnlab.slider(root, { label: "step k", min: 1, max: steps.length - 1, value: Math.floor(steps.length / 2), text: (i) => nnlab.number(steps[i]) }, draw);
  const says = nnlab.says(root);
  const least = eigenvalues.map((l, i) => start[i] ** 2 / l);
  const part = (i, k) => least[i] * (1 - (1 - lr * eigenvalues[i]) ** k) ** 2;
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  const top = Math.max(...least);
  const floor = top * 1e-5;
  const last = steps[steps.length - 1];
  const ends = [eigenvalues[eigenvalues.length - 1] / 1.4, eigenvalues[0] * 1.4];

  function draw() {
    const at = time.value;
    const k = steps[at];
    const left = nnlab.axes(parts, { x: ends, y: [floor, top * 2], xLog: true, yLog: true, xLabel: "eigenvalue λᵢ", yLabel: "part of ‖w − w₀‖²", ratio: 1.2, label: `part of every mode at step ${k}` });
    const height = (v) => left.y(Math.max(floor, v));
    eigenvalues.forEach((l, i) => {
      const x = left.x(l);
      nnlab.svg("line", { x1: x, x2: x, y1: left.y(floor), y2: height(part(i, k)), stroke: ORANGE, "stroke-width": 5 }, left.svg);
      nnlab.dot(left.svg, x, height(least[i]), { fill: "currentColor", hollow: true });
    });

    const total = (step) => sum(eigenvalues.map((_, i) => part(i, step)));
    const seen = steps.map((_, i) => i).filter((i) => steps[i] > 0);
    const values = seen.flatMap((i) => [linearized[i], network[i]]).filter((v) => v > 0);
    const right = nnlab.axes(whole, { x: [1, last], y: [Math.min(...values) / 1.3, Math.max(...values, sum(least)) * 1.3], xLog: true, yLog: true, xLabel: "step k", yLabel: "‖w − w₀‖²", ratio: 1.2, label: "squared distance over the steps" });
    nnlab.across(right, { y: sum(least) });
    nnlab.line(right.svg, seen.map((i) => [right.x(steps[i]), right.y(total(steps[i]))]), { stroke: ORANGE, "stroke-width": 2.6 });
    nnlab.line(right.svg, seen.map((i) => [right.x(steps[i]), right.y(network[i])]), { stroke: "currentColor", "stroke-width": 1.6, "stroke-dasharray": "6 3" });
    seen.filter((_, j) => j % 6 === 0).forEach((i) => nnlab.dot(right.svg, right.x(steps[i]), right.y(linearized[i]), { fill: BLUE, r: 3 }));
    nnlab.dot(right.svg, right.x(k), right.y(linearized[at]), { fill: BLUE, r: 6.5 });
    says(`Step ${nnlab.number(k)}: ‖w − w₀‖² is predicted to be ${nnlab.number(total(k))} and was measured as ${nnlab.number(linearized[at])} in the linearized network, ${nnlab.number(network[at])} in the network. The least that fits the targets is ${nnlab.number(sum(least))}; ${nnlab.number(100 * total(k) / sum(least), 3)} % of it is behind.`);
  }
  draw();
  return draw;
});
