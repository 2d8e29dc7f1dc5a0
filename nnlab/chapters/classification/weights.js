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
  const choice = nnlab.choice(root, { label: "penalty", options: penalties.map((p, i) => [i, words(p)[0]]) }, draw);
  const [images, value, shares] = nnlab.panels(root, 3);
  nnlab.legend(root, [
    { name: "weight above 0", fill: "rgb(0,114,178)" }, { name: "below 0", fill: "rgb(213,94,0)" }, { name: "exactly 0", fill: `rgb(${ZERO})` },
    { name: "test accuracy", stroke: GREEN }, { name: "weights that are 0", stroke: GREY, dash: "6 3" },
  ]);
  const strength = nnlab.slider(root, { label: "strength λ", min: 0, max: strengths.length - 1, value: 0, text: (i) => nnlab.number(strengths[i]) }, draw);
  const says = nnlab.says(root);
  const known = penalties.map((penalty) => nnlab.unpacked(penalty.weights));
  const xs = [strengths[0] / 1.3, strengths[strengths.length - 1] * 1.3];

  function draw() {
    const penalty = penalties[choice.value];
    const [name, formula] = words(penalty);
    const i = strength.value;
    const weights = known[choice.value];
    const [, classes, pixels] = penalty.weights.shape;

    const columns = Math.min(classes, classes > 6 ? 4 : 3);
    const high = 0.3 + 0.92 * (height / width); // of a cell: the image and its name, in widths of one
    const sheet = nnlab.sheet(images, { label: `weights of ${classes} classes at λ = ${strengths[i]}`, columns, rows: Math.ceil(classes / columns) * high, most: 520 });
    for (let k = 0; k < classes; k++) {
      const weight = (r, c) => weights[(i * classes + k) * pixels + r * width + c];
      const [x, y] = [(k % columns) * sheet.cell, (Math.floor(k / columns) * high + 0.24) * sheet.cell];
      nnlab.pixels(sheet.svg, height, width, (r, c) => (weight(r, c) === 0 ? ZERO : nnlab.signed(weight(r, c) / penalty.weights.scale)), { x, y: y + 2, width: 0.92 * sheet.cell });
      nnlab.svg("text", { x, y: y - 2 }, sheet.svg, sheet.cell > 5 * sheet.unit ? `class ${k}` : k);
    }

    const above = penalty.value.filter((v) => v > 0);
    const left = nnlab.axes(value, { x: xs, y: [Math.min(...above) / 1.5, Math.max(...above) * 1.5], xLog: true, yLog: true, xLabel: "strength λ", yLabel: formula, ratio: 0.9, label: `${formula} over λ` });
    nnlab.across(left, { x: strengths[i] });
    nnlab.line(left.svg, penalty.value.map((v, k) => [left.x(strengths[k]), v > 0 ? left.y(v) : NaN]), { stroke: BLUE });
    penalty.value.forEach((v, k) => { if (v > 0) nnlab.dot(left.svg, left.x(strengths[k]), left.y(v), { fill: BLUE, r: k === i ? 7 : 4 }); });

    const zeros = penalty.zeros.map((z) => (100 * z) / count);
    const right = nnlab.axes(shares, { x: xs, y: [0, 100], xLog: true, xLabel: "strength λ", yLabel: "%", ratio: 0.9, label: "accuracy and share of zeros over λ" });
    nnlab.across(right, { x: strengths[i] });
    for (const [line, stroke, dash] of [[penalty.accuracy.map((a) => 100 * a), GREEN, null], [zeros, GREY, "6 3"]]) {
      nnlab.line(right.svg, line.map((v, k) => [right.x(strengths[k]), right.y(v)]), { stroke, "stroke-dasharray": dash });
      line.forEach((v, k) => nnlab.dot(right.svg, right.x(strengths[k]), right.y(v), { fill: stroke, r: k === i ? 7 : 4 }));
    }
    says(`${name}, λ = ${nnlab.number(strengths[i])}: ${formula} = ${nnlab.number(penalty.value[i])}, ‖W‖ = ${nnlab.number(penalty.norm[i])}. `
      + `${penalty.zeros[i]} of ${count} weights are exactly 0, and ${nnlab.number(100 * penalty.accuracy[i])} % of the test examples are classified correctly.`);
  }
  draw();
  return draw;
});
