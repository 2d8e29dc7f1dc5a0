"use strict";
// The direction of the weights beside that of the largest margin, and the angle between them over the steps.
// data: {steps, angle, predicted: in degrees at the steps, vectors: w at the steps, points: y·x, margin: ŵ}
nnlab.widget("max_margin", (root, { steps, angle, predicted, vectors, points, margin }) => {
  const [BLUE, ORANGE] = nnlab.colours;
  const [plane, turning] = nnlab.panels(root, 2);
  nnlab.legend(root, [
    { name: "example times its class", stroke: "currentColor", mark: "hollow" }, { name: "weights", stroke: BLUE }, { name: "largest margin", stroke: ORANGE }, { name: "predicted angle", stroke: ORANGE, dash: "6 3" },
  ]);
  const time = nnlab.slider(root, { label: "step t", min: 0, max: steps.length - 1, value: Math.floor(steps.length / 2), text: (i) => nnlab.number(steps[i]) }, draw);
  const says = nnlab.says(root);
  const norm = ([a, b]) => Math.hypot(a, b);
  const reach = 1.1 * Math.max(...points.map(norm));
  const top = 1.15 * Math.max(...angle.map(Math.abs));
  const inside = (v) => (v <= top ? v : NaN);

  function draw() {
    const at = time.value;
    const w = vectors[at];
    const square = { x: [-reach, reach], y: [-reach, reach], xLabel: "y·x₁", yLabel: "y·x₂", ratio: 1, label: `examples and directions at step ${steps[at]}` };
    const { box } = nnlab.axes(plane, square);
    const tall = (box.bottom - box.top) / (box.right - box.left); // one scale for both axes: angles are to be seen
    const left = nnlab.axes(plane, tall > 1 ? { ...square, y: [-tall * reach, tall * reach] } : { ...square, x: [-reach / tall, reach / tall] });
    const ray = (v, values) => nnlab.line(left.svg, [[left.x(0), left.y(0)], [left.x((reach * v[0]) / norm(v)), left.y((reach * v[1]) / norm(v))]], values);
    ray(margin, { stroke: ORANGE });
    ray(w, { stroke: BLUE });
    points.forEach(([a, b]) => nnlab.dot(left.svg, left.x(a), left.y(b), { fill: "currentColor", hollow: true, r: 4 }));

    const right = nnlab.axes(turning, { x: [steps[0], steps[steps.length - 1]], y: [0, top], xLog: true, xLabel: "step t", yLabel: "angle in degrees", ratio: 1.2, label: "angle over the steps" });
    nnlab.across(right, { x: steps[at] });
    nnlab.line(right.svg, steps.map((t, i) => [right.x(t), right.y(Math.abs(angle[i]))]), { stroke: BLUE });
    nnlab.line(right.svg, steps.map((t, i) => [right.x(t), right.y(inside(Math.abs(predicted[i])))]), { stroke: ORANGE, "stroke-dasharray": "6 3" });
    nnlab.dot(right.svg, right.x(steps[at]), right.y(Math.abs(angle[at])), { fill: BLUE, r: 6 });
    const reached = Math.min(...points.map(([a, b]) => a * w[0] + b * w[1])) / norm(w);
    says(`Step ${nnlab.number(steps[at])}: the weights are ${nnlab.number(Math.abs(angle[at]), 3)}° away from the largest margin, predicted for late steps ${nnlab.number(Math.abs(predicted[at]), 3)}°. Their length is ${nnlab.number(norm(w), 3)}, and the nearest point is ${nnlab.number(reached, 3)} in front, of at most ${nnlab.number(1 / norm(margin), 3)}.`);
  }
  draw();
  return draw;
});
