"use strict";
// ηλmax of the Hessian and the loss over the steps, one line a step size.
// data: {starts: ηλmax at step 0, steps, sharpness, loss: training by step}
nnlab.widget("edge_of_stability", (root, { starts, steps, sharpness, loss }) => {
  const colour = (i) => nnlab.colours[i % nnlab.colours.length];
  const [sharp, falls] = nnlab.panels(root, 2);
  nnlab.legend(root, starts.map((s, i) => ({ name: `η = ${nnlab.number(s)}/λmax`, stroke: colour(i), dash: nnlab.dash(i) })));
  const time = nnlab.slider(root, { label: "step", min: 0, max: steps.length - 1, value: steps.length - 1, text: (i) => nnlab.number(steps[i]) }, draw);
  const says = nnlab.says(root);
  const last = steps[steps.length - 1];
  const losses = loss.flat().filter((v) => v > 0);

  function draw() {
    const at = time.value;
    const left = nnlab.axes(sharp, { x: [0, last], y: [0, 1.1 * Math.max(2, ...sharpness.flat())], xLabel: "step", yLabel: "ηλmax of the Hessian", ratio: 1.2, label: "sharpness over the steps" });
    nnlab.across(left, { x: steps[at], y: 2 });
    const right = nnlab.axes(falls, { x: [0, last], y: [Math.min(...losses) / 1.5, Math.max(...losses) * 1.5], yLog: true, xLabel: "step", yLabel: "loss", ratio: 1.2, label: "loss over the steps" });
    nnlab.across(right, { x: steps[at] });
    starts.forEach((_, i) => {
      nnlab.line(left.svg, steps.map((k, j) => [left.x(k), left.y(sharpness[i][j])]), { stroke: colour(i), "stroke-dasharray": nnlab.dash(i) });
      nnlab.line(right.svg, steps.map((k, j) => [right.x(k), loss[i][j] > 0 ? right.y(loss[i][j]) : NaN]), { stroke: colour(i), "stroke-dasharray": nnlab.dash(i) });
      nnlab.dot(left.svg, left.x(steps[at]), left.y(sharpness[i][at]), { fill: colour(i), r: 6 });
      if (loss[i][at] > 0) nnlab.dot(right.svg, right.x(steps[at]), right.y(loss[i][at]), { fill: colour(i), r: 6 });
    });
    says(`Step ${nnlab.number(steps[at])}: ` + starts.map((s, i) => `ηλmax from ${nnlab.number(s)} to ${nnlab.number(sharpness[i][at], 3)}`).join("; ") + ". The edge is at 2.");
  }
  draw();
  return draw;
});
