"use strict";
// A measured quantity over the width beside the power of the width that is predicted.
// data: {widths, yLabel, series: [{name, mean, low, high, power: predicted exponent or null}]}
nnlab.widget("law", (root, { widths, yLabel, series }) => {
  const chart = nnlab.panel(root);
  nnlab.legend(root, series.flatMap(({ name, power }, i) => [
    { name: `${name}, measured`, stroke: nnlab.colours[i], mark: true }, ...(power === null ? [] : [{ name: `exponent ${nnlab.number(power)}, the limit`, stroke: nnlab.colours[i], dash: nnlab.dash(i + 1) }]),
  ]));
  const width = nnlab.slider(root, { label: "from width m", min: 0, max: widths.length - 2, value: 0, text: (i) => nnlab.number(widths[i]) }, draw);
  const says = nnlab.says(root);

  function draw() {
    const from = width.value;
    const all = series.flatMap(({ low, high }) => [...low, ...high]).filter((v) => v > 0);
    const { svg, x, y, unit } = nnlab.axes(chart, { x: [widths[0] / 1.25, widths.at(-1) * 1.25], y: [Math.min(...all) / 1.4, Math.max(...all) * 1.4], xLog: true, yLog: true, xTicks: widths, xLabel: "width m", yLabel, ratio: 0.6, label: `${yLabel} over the width` });
    const words = series.map(({ name, mean, low, high, power }, i) => {
      const stroke = nnlab.colours[i];
      mean.forEach((v, j) => {
        nnlab.line(svg, [[x(widths[j]), y(low[j])], [x(widths[j]), y(high[j])]], { stroke, "stroke-width": 5, opacity: 0.35 });
        nnlab.dot(svg, x(widths[j]), y(v), { fill: stroke, hollow: j < from, r: 0.3 * unit });
      });
      const last = mean.at(-1);
      if (power !== null) nnlab.line(svg, [widths[0], widths.at(-1)].map((m) => [x(m), y(last * (m / widths.at(-1)) ** power)]), { stroke, "stroke-width": 2.4, "stroke-dasharray": nnlab.dash(i + 1) });
      const found = nnlab.guess.exponent(widths.slice(from), mean.slice(from));
      return `${name} falls like m to the power ${nnlab.number(found, 2)}${power === null ? "" : ` (${nnlab.number(power)} in the limit)`}`;
    });
    says(`From m = ${nnlab.number(widths[from])} on: ${words.join("; ")}. Means over the seeds; the bars hold eight of ten networks.`);
  }
  draw();
  return draw;
});
