"use strict";
// Where a penalty pulls the minimum of a loss of two weights. data: {matrix, centre, beta}
nnlab.widget("penalty", (root, { matrix, centre: start, beta: beta0 }) => {
  const { contour, quadratic, penalty, ball, minimizer, plane, inside } = nnlab.classification;
  const [BLUE, ORANGE, GREEN] = nnlab.colours;
  const NAMES = { l2: "L2", l1: "L1", elastic_net: "elastic net" };
  const STRENGTHS = nnlab.spaced(0.01, 10, 61, true);
  let centre = [...start];
  const kind = nnlab.choice(root, { label: "penalty R(w)", options: Object.entries(NAMES), value: "l1" }, draw);
  const chart = nnlab.panel(root);
  const strength = nnlab.slider(root, { label: "strength λ", min: 0, max: STRENGTHS.length - 1, value: 44, text: (i) => nnlab.number(STRENGTHS[i], 2) }, draw);
  const mix = nnlab.slider(root, { label: "β of the elastic net", min: 0.1, max: 2, step: 0.1, value: beta0 }, draw);
  nnlab.legend(root, [
    { name: "loss L(w)", stroke: BLUE }, { name: "R(w) at most that of the minimizer", fill: GREEN }, { name: "minimizer for all λ", stroke: ORANGE, dash: "7 4" },
  ]);
  const says = nnlab.says(root);
  nnlab.keepPoint(root, "minimum", { start, most: 2.5, get: () => centre, set: (point) => { centre = point; draw(); } });
  const move = (x, y) => {
    centre = [x, y].map((v) => Math.min(2.5, Math.max(-2.5, v)));
    draw();
  };

  function draw() {
    const [name, lambda, beta] = [kind.value, STRENGTHS[strength.value], mix.value];
    mix.input.parentElement.style.display = name === "elastic_net" ? "" : "none";
    const at = (value) => minimizer(matrix, centre, name, value, beta);
    const w = at(lambda);
    const axes = plane(chart, { x: [-3, 3], y: [-2.2, 2.2], xLabel: "weight w₁", yLabel: "weight w₂", ratio: 0.75, label: `the minimizer with the ${NAMES[name]} penalty is (${w.map((v) => nnlab.number(v, 3)).join(", ")})` });
    const { x, y } = axes;
    const group = inside(axes);
    const curve = (points, values) => nnlab.line(group, points.map(([a, b]) => [x(a), y(b)]), values);
    nnlab.across(axes, { x: 0 }, { class: "tick", "stroke-dasharray": null, "stroke-width": 1 });
    nnlab.across(axes, { y: 0 }, { class: "tick", "stroke-dasharray": null, "stroke-width": 1 });
    curve(ball(name, beta, penalty(name, beta, w)), { class: "band", stroke: GREEN, "stroke-width": 2 });
    const touching = quadratic(matrix, centre, w);
    for (const level of [0.1, 0.4, 0.9, 1.6, 2.5, 3.6]) curve(contour(matrix, centre, level), { stroke: BLUE, "stroke-width": 1, opacity: 0.6 });
    if (touching > 1e-4) curve(contour(matrix, centre, touching), { stroke: BLUE, "stroke-width": 2.6 });
    curve([...STRENGTHS.map(at), ...nnlab.spaced(10, 1000, 20, true).map(at)], { stroke: ORANGE, "stroke-width": 3, "stroke-dasharray": "7 4" });
    nnlab.dot(axes.svg, x(w[0]), y(w[1]), { fill: ORANGE, r: 0.4 * axes.unit });
    nnlab.handle(axes.svg, {
      x: x(centre[0]), y: y(centre[1]), label: "minimum of the loss", value: centre[0], text: centre.map((v) => nnlab.number(v, 2)).join(", "), fill: BLUE,
      onMove: (a, b) => move(x.inverse(a), y.inverse(b)), keys: (dx, dy) => move(centre[0] + 0.05 * dx, centre[1] + 0.05 * dy),
    });
    const zeros = w.flatMap((v, i) => (v === 0 ? [`w${"₁₂"[i]}`] : []));
    says(`λ = ${nnlab.number(lambda, 2)}: the minimizer of L + λR is (${w.map((v) => nnlab.number(v, 2)).join(", ")}), R(w) = ${nnlab.number(penalty(name, beta, w), 2)}. `
      + (zeros.length ? `${zeros.join(" and ")} ${zeros.length > 1 ? "are" : "is"} exactly 0: the ball has a corner there.` : name === "l2" ? "A circle has no corners: both weights shrink, none to 0." : "Both weights shrink; neither is 0 yet."));
  }
  draw();
  return draw;
});
