"use strict";
// Scores s, probabilities P(k) = e^{s_k}/Σ e^{s_j}, and the loss −log P of the right class.
// data: {scores, names, right}
nnlab.widget("softmax", (root, { scores, names, right }) => {
  const [BLUE, , GREEN] = nnlab.colours;
  const choice = nnlab.choice(root, { label: "right class", options: names.map((name, i) => [i, name]), value: right }, draw);
  const [bars, curve] = nnlab.panels(root, 2);
  const sliders = scores.map((value, i) => nnlab.slider(root, { label: `score of ${names[i]}`, min: -8, max: 8, step: 0.1, value }, draw));
  const says = nnlab.says(root);

  function draw() {
    const values = sliders.map((slider) => slider.value);
    const top = Math.max(...values); // taken off before exp, which changes nothing and cannot overflow
    const total = values.reduce((sum, s) => sum + Math.exp(s - top), 0);
    const probabilities = values.map((s) => Math.exp(s - top) / total);
    const y = Number(choice.value);
    const [p, loss] = [probabilities[y], Math.log(total) - (values[y] - top)];

    const left = nnlab.axes(bars, { x: [-0.5, names.length - 0.5], y: [0, 1], xTicks: [], yLabel: "P(Y = k | x)", ratio: 0.7, label: names.map((name, i) => `${name} ${nnlab.number(probabilities[i], 2)}`).join(", ") });
    probabilities.forEach((q, i) => {
      const [x0, x1] = [left.x(i - 0.32), left.x(i + 0.32)];
      nnlab.svg("rect", { x: x0, width: x1 - x0, y: left.y(q), height: left.box.bottom - left.y(q), fill: i === y ? GREEN : BLUE }, left.svg);
      nnlab.svg("text", { x: left.x(i), y: left.y(q) - 0.4 * left.unit, "text-anchor": "middle" }, left.svg, nnlab.number(q, 2));
      nnlab.svg("text", { x: left.x(i), y: left.box.bottom + 1.4 * left.unit, "text-anchor": "middle" }, left.svg, names[i]);
    });
    const high = Math.max(5, 1.15 * loss);
    const plot = nnlab.axes(curve, { x: [0, 1], y: [0, high], xLabel: `P(${names[y]})`, yLabel: "loss −log P", ratio: 0.7, label: `loss ${nnlab.number(loss)}` });
    nnlab.line(plot.svg, nnlab.spaced(Math.exp(-high), 1, 300, true).map((q) => [plot.x(q), plot.y(-Math.log(q))]), { stroke: BLUE });
    nnlab.dot(plot.svg, plot.x(p), plot.y(loss), { fill: GREEN, r: 7 });
    const sum = values.map((s) => `exp(${nnlab.number(s)})`).join(" + ");
    says(`P(${names[y]}) = exp(${nnlab.number(values[y])})/(${sum}) = ${nnlab.number(p, 3)}, so the loss is −log ${nnlab.number(p, 3)} = ${nnlab.number(loss, 3)}.`
      + " It is never 0, only nearly so, far above the others.");
  }
  draw();
  return draw;
});
