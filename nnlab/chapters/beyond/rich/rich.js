"use strict";
// Loss over the step size, one line a width, and the change of the features over the width.
// data: {widths, searches: [{optimizer, name, curves: width by [log₂ η, log loss], best: log₂ η}], features: {mup, ntk}}
nnlab.widget("rich", (root, { widths, searches, features }) => {
  const NAMES = { mup: "µP", ntk: "NTK parameterization", sgd: "gradient descent", adam: "Adam" };
  const [BLUE, ORANGE] = nnlab.colours;
  const colour = (i) => nnlab.ordered(i, widths.length);
  const search = nnlab.choice(root, { label: "training", options: searches.map((s, i) => [i, `${NAMES[s.optimizer]}, ${NAMES[s.name]}`]) }, draw);
  const [losses, moved] = nnlab.panels(root, 2);
  nnlab.legend(root, [...widths.map((m, i) => ({ name: `m = ${m}`, stroke: colour(i), dash: nnlab.dash(i) })), { name: "features, µP", stroke: BLUE, mark: true }, { name: "features, NTK", stroke: ORANGE, mark: true }]);
  const width = nnlab.slider(root, { label: "width m", min: 0, max: widths.length - 1, value: 0, text: (i) => nnlab.number(widths[i]) }, draw);
  const says = nnlab.says(root);

  function draw() {
    const { curves, best } = searches[search.value];
    const i = width.value;
    const points = curves.map((row) => row.map(([lr, loss]) => [2 ** lr, Math.exp(loss)]));
    const all = points.flat();
    const [lrs, values] = [all.map((p) => p[0]), all.map((p) => p[1])];
    const axes = nnlab.axes(losses, { x: [Math.min(...lrs) / 1.2, Math.max(...lrs) * 1.2], y: [Math.min(...values) / 1.3, Math.max(...values) * 1.3], xLog: true, yLog: true, xLabel: "step size η", yLabel: "loss after a few steps", ratio: 1.2, label: "loss over the step size for each width" });
    nnlab.across(axes, { x: 2 ** best[i] });
    points.forEach((row, k) => nnlab.line(axes.svg, row.map(([lr, loss]) => [axes.x(lr), axes.y(loss)]), { stroke: colour(k), "stroke-dasharray": nnlab.dash(k), "stroke-width": k === i ? 4.5 : 2 }));

    const changes = [...features.mup, ...features.ntk];
    const right = nnlab.axes(moved, { x: [widths[0] / 1.3, widths[widths.length - 1] * 1.3], y: [Math.min(...changes) / 1.5, Math.max(...changes) * 1.5], xLog: true, yLog: true, xTicks: widths.filter((_, k) => k % 2 === 0), xLabel: "width m", yLabel: "change of the last hidden layer", ratio: 1.2, label: "change of the features over the width" });
    for (const [kind, stroke] of [["mup", BLUE], ["ntk", ORANGE]]) {
      nnlab.line(right.svg, features[kind].map((v, k) => [right.x(widths[k]), right.y(v)]), { stroke, "stroke-width": 1.6 });
      features[kind].forEach((v, k) => nnlab.dot(right.svg, right.x(widths[k]), right.y(v), { fill: stroke, r: k === i ? 7 : 4.5 }));
    }
    says(`m = ${nnlab.number(widths[i])}: the best η is ${nnlab.number(2 ** best[i], 3)} here. Descent moves the last hidden layer by ${nnlab.number(100 * features.mup[i], 2)}% in µP, by ${nnlab.number(100 * features.ntk[i], 2)}% in NTK parameterization.`);
  }
  draw();
  return draw;
});
