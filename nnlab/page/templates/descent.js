"use strict";
// Gradient descent on a quadratic, mode by mode: a step multiplies mode i by 1 − ηλᵢ.
// data: {unit, lr: η of one unit, quantity, power, factor, eigenvalues, start, steps, logSteps, model, who,
//        measured: [{multiple, points: [[step, value]], end}]}; the quantity is factor·Σ cᵢ²(1 − ηλᵢ)^{2k},
//        or its root where power is 1.
nnlab.widget("descent", (root, { unit, lr, quantity, power, factor, eigenvalues, start, steps, logSteps, model, who, measured }) => {
  const [BLUE, ORANGE] = nnlab.colours;
  const top = Math.max(...eigenvalues);
  const drawn = eigenvalues.filter((l) => l > 1e-7 * top).sort((a, b) => a - b);
  const most = 1.07 * Math.max(1.5, ...measured.map((m) => m.multiple));
  const multiples = [...new Set([...nnlab.spaced(0.05, most, 140, true).map((m) => Number(m.toPrecision(2))), 1, ...measured.map((m) => m.multiple)])].sort((a, b) => a - b);
  const [factors, curve] = nnlab.panels(root, 2);
  nnlab.legend(root, [{ name: model, stroke: BLUE }, { name: `${who}, measured`, stroke: ORANGE, dash: "6 3" }]);
  const slider = nnlab.slider(root, {
    label: `step size η over ${unit}`, min: 0, max: multiples.length - 1, value: multiples.indexOf(measured[0]?.multiple ?? 1), text: (i) => nnlab.number(multiples[i]),
  }, draw);
  for (const { multiple } of measured) {
    nnlab.button(root, `measured: ${nnlab.number(multiple)} × ${unit}`, () => {
      slider.value = multiples.indexOf(multiple);
      draw();
    });
  }
  const says = nnlab.says(root);
  const grid = [...new Set(logSteps ? nnlab.spaced(1, steps, 140, true).map(Math.round) : nnlab.spaced(0, steps, 201).map(Math.round))];

  const after = (k, eta) => {
    const sum = factor * start.reduce((s, c, i) => s + c * c * (1 - eta * eigenvalues[i]) ** (2 * k), 0);
    return power === 1 ? Math.sqrt(sum) : sum;
  };

  function draw() {
    const multiple = multiples[slider.value];
    const eta = multiple * lr;
    const size = (l) => Math.abs(1 - eta * l);
    const worst = Math.max(...drawn.map(size));
    const xs = [drawn[0] / 1.5, top * 1.5];
    const left = nnlab.axes(factors, { x: xs, y: [0, Math.max(1.5, 1.1 * worst)], xLog: true, xLabel: "eigenvalue λ", yLabel: "factor of a step, |1 − ηλ|", ratio: 0.75, label: `factors of ${drawn.length} modes; largest ${nnlab.number(worst)}` });
    const { box } = left;
    nnlab.svg("rect", { x: box.left, y: box.top, width: box.right - box.left, height: left.y(1) - box.top, class: "shade" }, left.svg);
    nnlab.across(left, { y: 1 });
    nnlab.svg("text", { x: box.left + 0.4 * left.unit, y: box.top + 1.2 * left.unit }, left.svg, "grows");
    nnlab.line(left.svg, nnlab.spaced(xs[0], top, 200, true).map((l) => [left.x(l), left.y(size(l))]), { stroke: BLUE, "stroke-width": 1.4 });
    for (const l of drawn) nnlab.dot(left.svg, left.x(l), left.y(size(l)), { fill: size(l) > 1 ? ORANGE : BLUE, r: drawn.length > 60 ? 2.5 : 4.5 });

    const found = measured.find((m) => Math.abs(m.multiple / multiple - 1) < 1e-9);
    const begin = after(0, eta);
    const within = ([, v]) => v > begin * 1e-9 && v < begin * 1e9;
    const line = grid.map((k) => [k, after(k, eta)]).filter(within);
    const real = (found ? found.points : []).filter(([k, v]) => within([k, v]) && (k > 0 || !logSteps));
    const ys = [...line, ...real, [0, begin]].map((point) => point[1]);
    const right = nnlab.axes(curve, {
      x: [logSteps ? 1 : 0, steps], y: [Math.min(...ys, begin / 10) / 1.3, Math.max(...ys) * 1.3], xLog: logSteps, yLog: true, xLabel: "step", yLabel: quantity, ratio: 0.75, label: `${quantity} over the steps`,
    });
    nnlab.line(right.svg, line.map(([k, v]) => [right.x(k), right.y(v)]), { stroke: BLUE, "stroke-width": 2.6 });
    nnlab.line(right.svg, real.map(([k, v]) => [right.x(k), right.y(v)]), { stroke: ORANGE, "stroke-width": 2.6, "stroke-dasharray": "6 3" });

    const growing = drawn.filter((l) => size(l) > 1 + 1e-12).length;
    const words = [`η = ${nnlab.number(multiple)} × ${unit}: |1 − ηλmax| = ${nnlab.number(size(top))}, `
      + (growing ? `and ${growing} of ${drawn.length} modes ${growing === 1 ? "grows" : "grow"}.` : "and every mode shrinks.")];
    words.push(`The ${quantity} is ${nnlab.number(begin)} at the start, ${nnlab.number(after(steps, eta))} after ${steps} steps.`);
    if (found) {
      const values = found.points.map((point) => point[1]);
      words.push(`Measured: the largest is ${nnlab.number(Math.max(...values))}, the last ${nnlab.number(values[values.length - 1])}.${found.end ? ` ${found.end}.` : ""}`);
    }
    says(words.join(" "));
  }
  draw();
  return draw;
});
