"use strict";
// With a sigmoid on the output the layers before it approximate σ⁻¹∘f: both beside each other, with certified errors.
(() => {
  const FUNCTIONS = ["0.5 + 0.25*sin(2*pi*x) + 0.1*sin(7*pi*x + 1)", "0.1 + 0.8*x", "0.02 + 0.96*exp(-50*(x - 0.5)^2)", "0.5 + 0.4*sin(2*pi*x)"];
  const [BLUE, ORANGE] = nnlab.colours;
  const sigmoid = (z) => 1 / (1 + Math.exp(-z));

  /** f with proved values in (0, 1), and σ⁻¹∘f = log f − log(1 − f). Throws an Error where f leaves (0, 1). */
  const pairOf = (text) => {
    const f = nnlab.enclosure(text);
    const [low, high] = f.range(0, 1);
    if (!(low > 0 && high < 1)) throw new Error(`σ has values between 0 and 1 only; this f has values from ${nnlab.number(low, 3)} to ${nnlab.number(high, 3)}`);
    return { f, inner: nnlab.enclosure(`log(${text}) - log(1 - (${text}))`) };
  };

  nnlab.widget("sigmoid_output", (root) => {
    let pair = pairOf(FUNCTIONS[0]);
    const chosen = nnlab.choice(root, { label: "f", options: [...FUNCTIONS.map((text) => [text, text.replaceAll("*pi", "π").replaceAll("*", "·").replaceAll("-", "−")]), ["typed", "typed below"]] }, (text) => {
      if (text !== "typed") { field.value = text; pair = pairOf(text); }
      draw();
    });
    const field = nnlab.field(root, { label: "f(x) =", value: FUNCTIONS[0], width: 22 }, (text) => {
      try {
        pair = pairOf(text);
      } catch (error) {
        return error.reason ?? error.message;
      }
      chosen.value = FUNCTIONS.includes(text) ? text : "typed";
      draw();
      return undefined;
    });
    const [before, after] = nnlab.panels(root, 2);
    nnlab.legend(root, [{ name: "σ⁻¹∘f, and f", stroke: BLUE }, { name: "bins z, and σ(z)", stroke: ORANGE, dash: "9 4" }]);
    const count = nnlab.slider(root, { label: "bins N", min: 1, max: 60, value: 10 }, draw);
    const says = nnlab.says(root);

    function panel(root2, f, heights, edges, yLabel) {
      const xs = nnlab.spaced(0, 1, 301);
      const all = xs.map(f.value).concat(heights);
      const [low, high] = [Math.min(...all), Math.max(...all)];
      const pad = 0.08 * (high - low) || 1;
      const axes = nnlab.axes(root2, { x: [0, 1], y: [low - pad, high + pad], xLabel: "x", yLabel, ratio: 1.2, label: `${yLabel} and its bins` });
      nnlab.line(axes.svg, xs.map((x) => [axes.x(x), axes.y(f.value(x))]), { stroke: BLUE, "stroke-width": 3 });
      nnlab.line(axes.svg, heights.flatMap((h, i) => [[axes.x(edges[i]), axes.y(h)], [axes.x(edges[i + 1]), axes.y(h)]]), { stroke: ORANGE, "stroke-width": 3, "stroke-dasharray": "9 4" });
    }

    function draw() {
      const { f, inner } = pair;
      const bins = nnlab.bins.equal(inner, count.value);
      const heights = bins.heights.map(sigmoid);
      panel(before, inner, bins.heights, bins.edges, "before the output: σ⁻¹(f)");
      panel(after, f, heights, bins.edges, "output: f");
      const [inside, outside] = [Math.max(...nnlab.bins.certified(inner, bins)), Math.max(...nnlab.bins.certified(f, { edges: bins.edges, heights }))];
      says(`${count.value} bins of σ⁻¹∘f are off by at most ${nnlab.bins.roundedUp(inside)}; behind the sigmoid by at most ${nnlab.bins.roundedUp(outside)}, ${nnlab.number(outside / inside, 2)} times as much. As σ' ≤ ¼, it is never more than a quarter. Both are certified.`);
    }
    draw();
    return draw;
  });
})();
