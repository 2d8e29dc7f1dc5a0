"use strict";
// Curves of training: one line per run and split, and a slider that reads the values at a step.
// data: metric -> [{name, points: [step, value, step, value, …]}]
nnlab.widget("curves", (root, data) => {
  const DASHES = [null, "8 3", "2 3", "8 3 2 3"];
  const metrics = Object.keys(data);
  const metric = nnlab.choice(root, { label: "metric", options: metrics, value: metrics.includes("loss") ? "loss" : metrics[0] }, draw);
  const logX = nnlab.check(root, { label: "steps on a logarithmic scale" }, draw);
  const logY = nnlab.check(root, { label: "values on a logarithmic scale" }, draw);
  const chart = nnlab.panel(root);
  const slider = nnlab.slider(root, { label: "step", min: 0, max: 1000, value: 1000, text: () => "" }, draw);
  const says = nnlab.says(root);

  const pairs = (flat) => flat.flatMap((value, i) => (i % 2 ? [] : [[value, flat[i + 1]]]));
  const lines = () => data[metric.value].map((line, i) => ({
    name: line.name,
    points: pairs(line.points).filter(([a, b]) => (!logX.checked || a > 0) && (!logY.checked || b > 0)),
    stroke: nnlab.colours[i % nnlab.colours.length],
    "stroke-dasharray": DASHES[Math.floor(i / nnlab.colours.length) % DASHES.length],
  })).filter((line) => line.points.length > 0);
  const ends = (values) => [Math.min(...values), Math.max(...values)];

  function draw() {
    const drawn = lines();
    if (drawn.length === 0) {
      chart.replaceChildren();
      says("No value is above 0: a logarithmic scale has no place for them.");
      return;
    }
    const [xs, ys] = [0, 1].map((k) => ends(drawn.flatMap((line) => line.points.map((point) => point[k]))));
    const { svg, x, y, box } = nnlab.axes(chart, {
      x: xs, y: ys, xLog: logX.checked, yLog: logY.checked, xLabel: "step", yLabel: metric.value, label: `${metric.value} over steps`,
    });
    for (const { name, points, ...style } of drawn) nnlab.line(svg, points.map(([a, b]) => [x(a), y(b)]), style);
    const at = nnlab.scale([0, 1000], xs, false)(slider.value);
    const step = logX.checked ? x.inverse(box.left + (slider.value / 1000) * (box.right - box.left)) : at;
    nnlab.line(svg, [[x(step), box.top], [x(step), box.bottom]], { class: "cursor", stroke: nnlab.paint.ink, "stroke-width": 1, "stroke-dasharray": "3 3" });
    says(drawn.map(({ name, points, stroke }) => {
      const [a, b] = points.findLast(([a]) => a <= step * (1 + 1e-9)) || points[0];
      nnlab.svg("circle", { cx: x(a), cy: y(b), r: 4.5, fill: stroke }, svg);
      return [stroke, `${name || metric.value}: ${nnlab.number(b)} at step ${nnlab.number(a)}`];
    }));
    slider.input.setAttribute("aria-valuetext", `step ${nnlab.number(step)}`);
  }
  draw();
  return draw;
});
