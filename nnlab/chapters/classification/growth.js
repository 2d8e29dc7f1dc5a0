"use strict";
// Loss and norm of the weights over the steps. data: {steps, loss, norm}
nnlab.widget("growth", (root, { steps, loss, norm }) => {
  const [BLUE, ORANGE, GREEN] = nnlab.colours;
  const [falls, grows] = nnlab.panels(root, 2);
  nnlab.legend(root, [{ name: "loss", stroke: BLUE }, { name: "1/t through the chosen step", stroke: GREEN, dash: "6 4" }, { name: "‖(W, b)‖", stroke: ORANGE }]);
  const time = nnlab.slider(root, { label: "step t", min: 0, max: steps.length - 1, value: steps.length - 1, text: (i) => nnlab.number(steps[i]) }, draw);
  const says = nnlab.says(root);
  const xs = [steps[0], steps[steps.length - 1]];

  function draw() {
    const at = time.value;
    const t = steps[at];
    const ys = [Math.min(...loss) / 1.5, Math.max(...loss) * 1.5];
    const left = nnlab.axes(falls, { x: xs, y: ys, xLog: true, yLog: true, xLabel: "step t", yLabel: "loss", ratio: 0.7, label: "loss over the steps, both logarithmic" });
    nnlab.across(left, { x: t });
    nnlab.line(left.svg, nnlab.spaced(...xs, 60, true).map((s) => {
      const value = (loss[at] * t) / s;
      return [left.x(s), value >= ys[0] && value <= ys[1] ? left.y(value) : NaN];
    }), { stroke: GREEN, "stroke-dasharray": "6 4" });
    nnlab.line(left.svg, steps.map((s, i) => [left.x(s), left.y(loss[i])]), { stroke: BLUE });
    nnlab.dot(left.svg, left.x(t), left.y(loss[at]), { fill: BLUE, r: 6 });
    const right = nnlab.axes(grows, { x: xs, y: [0, 1.1 * Math.max(...norm)], xLog: true, xLabel: "step t", yLabel: "‖(W, b)‖", ratio: 0.7, label: "norm of the weights over the logarithm of the steps" });
    nnlab.across(right, { x: t });
    nnlab.line(right.svg, steps.map((s, i) => [right.x(s), right.y(norm[i])]), { stroke: ORANGE });
    nnlab.dot(right.svg, right.x(t), right.y(norm[at]), { fill: ORANGE, r: 6 });
    const half = steps.findLastIndex((s) => s <= t / 2);
    says(`Step ${nnlab.number(t)}: the loss is ${nnlab.number(loss[at])}, the norm of the weights is ${nnlab.number(norm[at])}.`
      + (half < 0 ? "" : ` From step ${nnlab.number(steps[half])}, with ${nnlab.number(t / steps[half], 3)} times as many steps, the loss has fallen by a factor of ${nnlab.number(loss[half] / loss[at], 3)} and the norm has grown by ${nnlab.number(norm[at] - norm[half], 3)}.`));
  }
  draw();
  return draw;
});
