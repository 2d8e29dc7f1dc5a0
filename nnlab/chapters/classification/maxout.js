"use strict";
// A maxout unit, built from lines by hand, beside a convex function: x² on [0, 1]. data: {pieces}
nnlab.widget("maxout", (root, { pieces }) => {
  const { bestLines, largest, error } = nnlab.classification;
  const [BLUE, ORANGE, GREEN] = nnlab.colours;
  const ENDS = [0.1, 0.9]; // where a line is held
  let lines = bestLines(2);
  const which = nnlab.choice(root, { label: "line to move", options: Array.from({ length: pieces }, (_, i) => [i, `line ${i + 1}`]), value: 0 }, draw);
  const best = () => { lines = bestLines(count.value); draw(); };
  nnlab.button(root, "the best lines", () => { best(); chart.dispatchEvent(new Event("input", { bubbles: true })); });
  const chart = nnlab.panel(root);
  const count = nnlab.slider(root, { label: "lines k", min: 1, max: pieces, value: 2 }, best);
  nnlab.legend(root, [{ name: "x²", stroke: GREEN, dash: "9 5" }, { name: "the lines", stroke: nnlab.paint.muted }, { name: "their maximum", stroke: BLUE }]);
  const says = nnlab.says(root);
  nnlab.keep(root, "drawn", {
    get: () => (lines.join() === bestLines(count.value).join() ? "" : lines.flat().map((v) => v.toFixed(3)).join("_")),
    set: (text) => {
      const values = text.split("_").map(Number);
      if (values.length !== 2 * count.value || !values.every((v) => Math.abs(v) <= 20)) return;
      lines = Array.from({ length: count.value }, (_, i) => values.slice(2 * i, 2 * i + 2));
      draw();
    },
  });

  function draw() {
    for (const option of which.options) option.disabled = Number(option.value) >= count.value;
    if (Number(which.value) >= count.value) which.value = count.value - 1;
    const moved = Number(which.value);
    const axes = nnlab.axes(chart, { x: [0, 1], y: [-0.6, 1.1], xLabel: "x", yLabel: "", ratio: 0.6, label: `the maximum of ${lines.length} lines beside x²` });
    const { x, y } = axes;
    const group = nnlab.classification.inside(axes);
    const at = nnlab.spaced(0, 1, 401);
    lines.forEach(([w, b], i) => nnlab.line(group, [[x(0), y(b)], [x(1), y(w + b)]], { stroke: i === moved ? ORANGE : nnlab.paint.muted, "stroke-width": i === moved ? 2.4 : 1.4 }));
    nnlab.line(group, at.map((v) => { const [w, b] = largest(v, lines); return [x(v), y(w * v + b)]; }), { stroke: BLUE, "stroke-width": 4 });
    nnlab.line(group, at.map((v) => [x(v), y(v * v)]), { stroke: GREEN, "stroke-width": 3, "stroke-dasharray": "9 5" });
    const [w, b] = lines[moved];
    ENDS.forEach((end, i) => {
      const value = w * end + b;
      const move = (to) => {
        const heights = ENDS.map((e) => w * e + b);
        heights[i] = Math.min(1.1, Math.max(-0.6, to));
        const slope = (heights[1] - heights[0]) / (ENDS[1] - ENDS[0]);
        lines[moved] = [slope, heights[0] - slope * ENDS[0]];
        draw();
      };
      nnlab.handle(axes.svg, {
        x: x(end), y: y(Math.min(1.1, Math.max(-0.6, value))), label: `line ${moved + 1} at x = ${end}`, value, text: nnlab.number(value, 3), fill: ORANGE,
        onMove: (_, to) => move(y.inverse(to)), keys: (dx, dy) => move(value + 0.01 * (dx + dy)),
      });
    });
    const [found, least] = [error(lines), 1 / (8 * lines.length ** 2)];
    says(`The maximum of ${lines.length} ${lines.length === 1 ? "line" : "lines"} is within ${nnlab.number(found, 3)} of x². `
      + (found < least * 1.001 ? `No ${lines.length} lines come nearer than 1/(8k²) = ${nnlab.number(least, 3)}.` : `The best ones are within 1/(8k²) = ${nnlab.number(least, 3)}.`));
  }
  draw();
  return draw;
});
