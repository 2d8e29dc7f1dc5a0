"use strict";
// The weights of each class as images for every strength λ, with R(W), zeros and accuracy.
// data: {strengths, count, beta, height, width, penalties: [{name, weights: λ by class by pixel, packed, zeros, accuracy, value, norm}]}
nnlab.widget("weights", (root, { strengths, count, beta, height, width, penalties }) => {
  const [BLUE, , GREEN, , , GREY] = nnlab.colours;
  const WORDS = {
    l2: ["L2", "R(W) = Σw²"], l1: ["L1", "R(W) = Σ|w|"], elastic_net: ["elastic net", `R(W) = Σ(${nnlab.number(beta)}w² + |w|)`],
  };
  const ZERO = [150, 150, 150];
  const words = (p) => WORDS[p.name] || [p.name, "R(W)"];
  const choice = nnlab.choice(root, { label: "penalty", options: penalties.map((p, i) => [i, words(p)[0]]), value: Math.max(0, penalties.findIndex((p) => p.name === "l1")) }, draw);
  const beside = nnlab.choice(root, { label: "over λ", options: [["value", "R(W)"], ["shares", "zeros and accuracy"]] }, draw);
  const [images, chart] = nnlab.panels(root, 2);
  const legend = nnlab.legend(root);
  const strength = nnlab.slider(root, { label: "strength λ", min: 0, max: strengths.length - 1, value: strengths.length - 1, text: (i) => nnlab.number(strengths[i]) }, draw);
  const says = nnlab.says(root);
  const known = penalties.map((penalty) => nnlab.unpacked(penalty.weights));
  const xs = [strengths[0] / 1.3, strengths[strengths.length - 1] * 1.3];

  function draw() {
    const penalty = penalties[choice.value];
    const [name, formula] = words(penalty);
    const i = strength.value;
    const weights = known[choice.value];
    const [, classes, pixels] = penalty.weights.shape;

    // as many columns as make the images largest
    const unit = 0.85 * nnlab.em(images);
    const room = nnlab.room(images);
    const wide = Math.min(room.width, 36 * unit);
    const name0 = 1.4 * unit; // above each image
    const side = (columns) => Math.min(wide / columns, (Math.min(room.height, 1.25 * wide) / Math.ceil(classes / columns) - name0) * (width / height));
    const columns = nnlab.spaced(1, classes, classes).reduce((best, n) => (side(n) > side(best) ? n : best));
    const cell = side(columns);
    const tall = (cell * height) / width + name0;
    const svg = nnlab.svg("svg", { viewBox: `-2 0 ${columns * cell + 2} ${Math.ceil(classes / columns) * tall}`, role: "img", "aria-label": `weights of ${classes} classes at λ = ${strengths[i]}` });
    svg.style.maxWidth = `${columns * cell + 2}px`;
    images.replaceChildren(svg);
    for (let k = 0; k < classes; k++) {
      const weight = (r, c) => weights[(i * classes + k) * pixels + r * width + c];
      const [x, y] = [(k % columns) * cell, Math.floor(k / columns) * tall];
      nnlab.pixels(svg, height, width, (r, c) => (weight(r, c) === 0 ? ZERO : nnlab.signed(weight(r, c) / penalty.weights.scale)), { x, y: y + name0, width: 0.94 * cell });
      nnlab.svg("text", { x, y: y + 1.1 * unit }, svg, cell > 5 * unit ? `class ${k}` : k);
    }

    const signs = [{ name: "above 0", fill: "rgb(0,114,178)" }, { name: "below 0", fill: "rgb(213,94,0)" }, { name: "exactly 0", fill: `rgb(${ZERO})` }];
    const curves = beside.value === "value"
      ? [{ name: "R(W)", line: penalty.value, stroke: BLUE }]
      : [{ name: "test accuracy", line: penalty.accuracy.map((a) => 100 * a), stroke: GREEN }, { name: "weights that are 0", line: penalty.zeros.map((z) => (100 * z) / count), stroke: GREY, dash: "6 3" }];
    const above = penalty.value.filter((v) => v > 0);
    const axes = nnlab.axes(chart, {
      x: xs, xLog: true, xLabel: "strength λ", ratio: 0.9,
      ...(beside.value === "value"
        ? { y: [Math.min(...above) / 1.5, Math.max(...above) * 1.5], yLog: true, yLabel: formula, label: `${formula} over λ` }
        : { y: [0, 100], yLabel: "%", label: "accuracy and share of zeros over λ" }),
    });
    nnlab.across(axes, { x: strengths[i] });
    for (const { line, stroke, dash } of curves) {
      const drawable = (v) => beside.value !== "value" || v > 0;
      nnlab.line(axes.svg, line.map((v, k) => [axes.x(strengths[k]), drawable(v) ? axes.y(v) : NaN]), { stroke, "stroke-dasharray": dash, "stroke-width": 2.6 });
      line.forEach((v, k) => { if (drawable(v)) nnlab.dot(axes.svg, axes.x(strengths[k]), axes.y(v), { fill: stroke, r: (k === i ? 0.4 : 0.25) * axes.unit }); });
    }
    legend([...signs, ...curves.slice(beside.value === "value" ? 1 : 0)]);
    says(`${name}, λ = ${nnlab.number(strengths[i])}: ${formula} = ${nnlab.number(penalty.value[i])}, ‖W‖ = ${nnlab.number(penalty.norm[i])}. `
      + `${penalty.zeros[i]} of ${count} weights are exactly 0; ${nnlab.number(100 * penalty.accuracy[i])}% of the test examples are right.`);
  }
  draw();
  return draw;
});
