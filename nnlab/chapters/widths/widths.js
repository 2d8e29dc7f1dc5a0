"use strict";
// Relative change of the weights and loss over the steps, one line a width, and the change over the width.
// data: {widths, steps, settings: [{name, change: width by step, loss, predicted: exponent}]}
nnlab.widget("widths", (root, { widths, steps, settings }) => {
  const colour = (i) => nnlab.ordered(i, widths.length);
  const [LOSS, LAW] = ["the loss", "the change over the width"];
  const setting = nnlab.choice(root, { label: "networks", options: settings.map((s, i) => [i, s.name]), value: 0 }, draw);
  const second = nnlab.choice(root, { label: "beside it", options: [LOSS, LAW] }, draw);
  const [moved, other] = nnlab.panels(root, 2);
  nnlab.legend(root, widths.map((m, i) => ({ name: `m = ${m}`, stroke: colour(i), dash: nnlab.dash(i) })));
  const width = nnlab.slider(root, { label: "width m", min: 0, max: widths.length - 1, value: 0, text: (i) => nnlab.number(widths[i]) }, draw);
  const time = nnlab.slider(root, { label: "step", min: 0, max: steps.length - 1, value: steps.length - 1, text: (i) => nnlab.number(steps[i]) }, draw);
  const says = nnlab.says(root);
  const shown = steps.map((_, k) => k).filter((k) => steps[k] > 0); // a logarithmic axis has no place for 0
  const ticks = widths.filter((_, i) => i % Math.ceil(widths.length / 4) === 0);

  /** Exponent and constant of the power law through points (m, c), by least squares of the logarithms. */
  function fit(values) {
    const points = widths.map((m, i) => [Math.log(m), Math.log(values[i])]).filter(([, v]) => Number.isFinite(v));
    if (points.length < 2) return [NaN, NaN];
    const mean = (j) => points.reduce((sum, p) => sum + p[j], 0) / points.length;
    const [a, b] = [mean(0), mean(1)];
    const slope = points.reduce((s, p) => s + (p[0] - a) * (p[1] - b), 0) / points.reduce((s, p) => s + (p[0] - a) ** 2, 0);
    return [slope, Math.exp(b - slope * a)];
  }

  function overSteps(panel, rows, yLabel, chosen, at) {
    const values = rows.flatMap((row) => shown.map((k) => row[k])).filter((v) => v > 0);
    const axes = nnlab.axes(panel, {
      x: [steps[shown[0]], steps[steps.length - 1]], y: [Math.min(...values) / 1.2, Math.max(...values) * 1.2], xLog: true, yLog: true, xLabel: "step", yLabel, ratio: 1.2, label: `${yLabel} over the steps for each width`,
    });
    if (steps[at] > 0) nnlab.across(axes, { x: steps[at] });
    rows.forEach((row, i) => nnlab.line(axes.svg, shown.map((k) => [axes.x(steps[k]), row[k] > 0 ? axes.y(row[k]) : NaN]), { stroke: colour(i), "stroke-dasharray": nnlab.dash(i), "stroke-width": i === chosen ? 4.5 : 2 }));
    if (steps[at] > 0 && rows[chosen][at] > 0) nnlab.dot(axes.svg, axes.x(steps[at]), axes.y(rows[chosen][at]), { fill: colour(chosen), r: 0.3 * axes.unit });
  }

  function overWidths(change, at, chosen) {
    const values = change.map((row) => row[at]);
    const [slope, constant] = fit(values);
    const all = change.flat().filter((v) => v > 0);
    const axes = nnlab.axes(other, {
      x: [widths[0] / 1.3, widths[widths.length - 1] * 1.3], y: [Math.min(...all) / 1.5, Math.max(...all) * 1.5], xLog: true, yLog: true, xTicks: ticks, xLabel: "width m", yLabel: "at this step", ratio: 1.2, label: `change of the weights at step ${steps[at]} over the width`,
    });
    if (Number.isFinite(slope)) nnlab.line(axes.svg, [widths[0], widths[widths.length - 1]].map((m) => [axes.x(m), axes.y(constant * m ** slope)]), { stroke: "currentColor", "stroke-width": 1.4, "stroke-dasharray": "4 3" });
    values.forEach((v, j) => { if (v > 0) nnlab.dot(axes.svg, axes.x(widths[j]), axes.y(v), { fill: colour(j), r: (j === chosen ? 0.36 : 0.26) * axes.unit }); });
  }

  function draw() {
    const { change, loss, predicted } = settings[setting.value];
    const [i, at] = [width.value, time.value];
    overSteps(moved, change, "‖w − w₀‖/‖w₀‖", i, at);
    if (second.value === LOSS) overSteps(other, loss, "loss", i, at);
    else overWidths(change, at, i);
    const [slope] = fit(change.map((row) => row[at]));
    const words = [`m = ${nnlab.number(widths[i])}, step ${nnlab.number(steps[at])}: the weights have moved by ${nnlab.number(100 * change[i][at], 3)}%, the loss fell from ${nnlab.number(loss[i][0], 2)} to ${nnlab.number(loss[i][at], 2)}.`];
    if (Number.isFinite(slope)) words.push(`Exponent over the widths: ${nnlab.number(slope, 3)}${predicted === null ? "" : `; predicted ${nnlab.number(predicted)}`}.`);
    says(words.join(" "));
  }
  draw();
  return draw;
});
