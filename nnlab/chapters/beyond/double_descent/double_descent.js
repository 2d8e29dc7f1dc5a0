"use strict";
// The risk over the number of features: the formula with its two parts, and what was measured.
// data: {examples: n, noise: σ, norm: ‖β‖, gaussian, relu: {features, risk}}
nnlab.widget("double_descent", (root, { examples, noise, norm, gaussian, relu }) => {
  const [BLUE, ORANGE, GREEN, PINK] = nnlab.colours;
  const chart = nnlab.panel(root);
  nnlab.legend(root, [
    { name: "predicted", stroke: ORANGE }, { name: "its noise", stroke: ORANGE, dash: "6 3" }, { name: "what is not seen", stroke: GREEN, dash: "2 3" }, { name: "Gaussian features, measured", stroke: BLUE, mark: true }, { name: "random ReLU features, measured", stroke: PINK, mark: "hollow" },
  ]);
  const most = gaussian.features[gaussian.features.length - 1];
  const counts = Array.from({ length: most }, (_, i) => i + 1);
  const chosen = nnlab.slider(root, { label: "features p", min: 1, max: most, value: Math.min(most, 2 * examples) }, draw);
  const says = nnlab.says(root);
  const variance = (p) => (Math.abs(examples - p) <= 1 ? Infinity : (noise ** 2 * Math.min(examples, p)) / (Math.abs(examples - p) - 1));
  const bias = (p) => norm ** 2 * Math.max(0, 1 - examples / p);
  const all = [...gaussian.risk, ...relu.risk];
  const ends = [Math.min(...all) / 3, Math.max(...all) * 1.5];

  function draw() {
    const p = chosen.value;
    const axes = nnlab.axes(chart, { x: [Math.min(gaussian.features[0], relu.features[0]) / 1.2, most * 1.1], y: ends, xLog: true, yLog: true, xTicks: gaussian.features.filter((_, i) => i % 2 === 0), xLabel: "features p", yLabel: "error on new examples", ratio: 0.5, label: "risk over the number of features" });
    const inside = (v) => (v >= ends[0] && v <= ends[1] ? axes.y(v) : NaN);
    const from = counts.filter((q) => q >= Math.min(gaussian.features[0], relu.features[0]));
    nnlab.across(axes, { x: examples });
    nnlab.line(axes.svg, from.map((q) => [axes.x(q), inside(variance(q))]), { stroke: ORANGE, "stroke-dasharray": "6 3", "stroke-width": 1.6 });
    nnlab.line(axes.svg, from.map((q) => [axes.x(q), inside(bias(q))]), { stroke: GREEN, "stroke-dasharray": "2 3", "stroke-width": 1.6 });
    nnlab.line(axes.svg, from.map((q) => [axes.x(q), inside(variance(q) + bias(q))]), { stroke: ORANGE });
    gaussian.features.forEach((q, i) => nnlab.dot(axes.svg, axes.x(q), inside(gaussian.risk[i]), { fill: BLUE, r: 5 }));
    relu.features.forEach((q, i) => nnlab.dot(axes.svg, axes.x(q), inside(relu.risk[i]), { fill: PINK, hollow: true, r: 5 }));
    const total = variance(p) + bias(p);
    if (p >= from[0] && Number.isFinite(inside(total))) nnlab.dot(axes.svg, axes.x(p), inside(total), { fill: ORANGE, r: 7 });
    const at = gaussian.features.indexOf(p);
    says(`${p} features, ${examples} examples: the predicted error is ${nnlab.number(total, 4)}, of which the noise brings ${nnlab.number(variance(p), 4)} and what is not seen of the target ${nnlab.number(bias(p), 4)}.`
      + (at < 0 ? "" : ` Measured: ${nnlab.number(gaussian.risk[at], 4)}.`));
  }
  draw();
  return draw;
});
