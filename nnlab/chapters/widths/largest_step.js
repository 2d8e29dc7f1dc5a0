"use strict";
// The largest eigenvalue of the kernel over the width, and for which widths a step size η is too large.
// data: {widths, families: [{name, lambda: mean over the seeds, low, high}], lr}
nnlab.widget("largest_step", (root, { widths, families, lr }) => {
  const chart = nnlab.panel(root);
  const legend = nnlab.legend(root);
  const all = families.flatMap(({ low, high }) => [...low, ...high]);
  const ends = [0.5 / Math.max(...all), 8 / Math.min(...all)];
  const SIZES = nnlab.spaced(Math.log10(ends[0]), Math.log10(ends[1]), 121).map((v) => Number((10 ** v).toPrecision(2)));
  const first = SIZES.reduce((best, eta, i) => (Math.abs(Math.log(eta / lr)) < Math.abs(Math.log(SIZES[best] / lr)) ? i : best), 0);
  const size = nnlab.slider(root, { label: "step size η", min: 0, max: SIZES.length - 1, value: first, text: (i) => nnlab.number(SIZES[i]) }, draw);
  const says = nnlab.says(root);
  legend([...families.map(({ name }, i) => ({ name, stroke: nnlab.colours[i], dash: nnlab.dash(i) })), { name: "η is too large", fill: nnlab.paint.line }]);

  function draw() {
    const eta = SIZES[size.value];
    const limit = 2 / eta;
    const ys = [Math.min(...all, limit) / 1.6, Math.max(...all, limit) * 1.6];
    const axes = nnlab.axes(chart, { x: [widths[0] / 1.25, widths[widths.length - 1] * 1.25], y: ys, xLog: true, yLog: true, xTicks: widths, xLabel: "width m", yLabel: "λmax of H(w₀)", ratio: 0.6, label: "the largest eigenvalue of the kernel at the start over the width" });
    const { svg, x, y, box, unit } = axes;
    nnlab.svg("rect", { x: box.left, width: box.right - box.left, y: box.top, height: Math.max(0, y(limit) - box.top), class: "shade" }, svg);
    nnlab.across(axes, { y: limit }, { "stroke-width": 2.4 });
    families.forEach(({ lambda, low, high }, i) => {
      const stroke = nnlab.colours[i];
      lambda.forEach((_, j) => nnlab.line(svg, [[x(widths[j]), y(low[j])], [x(widths[j]), y(high[j])]], { stroke, "stroke-width": 6, opacity: 0.35 }));
      nnlab.line(svg, lambda.map((v, j) => [x(widths[j]), y(v)]), { stroke, "stroke-width": 3, "stroke-dasharray": nnlab.dash(i) });
      lambda.forEach((v, j) => nnlab.dot(svg, x(widths[j]), y(v), { fill: stroke, hollow: v > limit, r: 0.28 * unit }));
    });
    const tooLarge = families.map(({ name, lambda }) => [name, widths.filter((_, j) => lambda[j] > limit)]).filter(([, found]) => found.length);
    says(`η = ${nnlab.number(eta)} works below λmax = 2/η = ${nnlab.number(limit, 3)}. `
      + (tooLarge.length === 0 ? "That is every width shown." : `Too large for ${tooLarge.map(([name, found]) => `${name} ${found.length === widths.length ? "at all m" : `from m = ${found[0]}`}`).join("; ")}.`));
  }
  draw();
  return draw;
});
