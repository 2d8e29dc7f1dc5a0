"use strict";
// The chain rule at one node: what it passes on is its local derivative times the gradient that arrives.
// data: {operations: [{name, expression of a and b, local: its derivatives by them as formulas}]}
nnlab.widget("chain", (root, { operations }) => {
  const which = nnlab.choice(root, { label: "node", options: operations.map((one, i) => [i, one.name]) }, draw);
  const chart = nnlab.panel(root);
  const slider = (label, value) => nnlab.slider(root, { label, min: -5, max: 5, step: 0.5, value }, draw);
  const [a, b, arrives] = [slider("input a", 3), slider("input b", -4), slider("gradient that arrives", 2)];
  nnlab.legend(root, [{ name: "value", fill: "var(--green)" }, { name: "gradient of L", fill: "var(--red)" }]);
  const says = nnlab.says(root);
  const show = (value) => nnlab.number(value, 3);

  function draw() {
    const { expression, local: formulas } = operations[which.value];
    const graph = nnlab.parse(expression, ["a", "b"]);
    const values = nnlab.forward(graph, { a: a.value, b: b.value });
    const { arrived } = nnlab.backpropagate(graph, values);
    const inputs = [["a", a.value], ["b", b.value]].slice(0, formulas.length).map(([name, value], i) => {
      const local = arrived[graph.nodes.findIndex((node) => node.parameter === name)];
      return { name, value, formula: formulas[i], local, passed: local * arrives.value };
    });
    b.input.disabled = inputs.length < 2;
    drawing(inputs, nnlab.passes.face(graph, graph.nodes.length - 1), values.at(-1));
    const isKnown = Number.isFinite(values.at(-1)) && inputs.every(({ local }) => Number.isFinite(local));
    says(isKnown ? inputs.map(({ name, formula, local, passed }) => `To ${name}: ${formula} = ${show(local)}, times ${show(arrives.value)}, is ${show(passed)}.`).join(" ")
      : "Here the node has no finite value or no derivative: nothing can be passed on.");
  }

  /** Inputs, the node and the loss L: from left to right, or from top to bottom where the page is narrow. */
  function drawing(inputs, face, value) {
    const room = nnlab.room(chart);
    const unit = 0.85 * nnlab.em(chart);
    const width = Math.min(room.width / unit, 42);
    const isNarrow = width < 34;
    const height = Math.min(isNarrow ? 25 : 19, room.height / unit);
    const svg = nnlab.svg("svg", {
      viewBox: `0 0 ${width * unit} ${height * unit}`, role: "img",
      "aria-label": `a node with ${inputs.length} inputs; ${show(arrives.value)} arrives, ${inputs.map(({ passed }) => show(passed)).join(" and ")} is passed on`,
    });
    Object.assign(svg.style, { width: `${width * unit}px`, margin: "0 auto" });
    const px = (v) => v * unit;
    const card = ([x, y], wide, lines, classes = "node") => {
      const high = 1.3 * lines.length + 0.7;
      nnlab.svg("rect", { x: px(x - wide / 2), y: px(y - high / 2), width: px(wide), height: px(high), rx: px(0.9), class: classes }, svg);
      lines.forEach(([kind, words], row) => nnlab.svg("text", { x: px(x), y: px(y - high / 2 + 1.35 + 1.3 * row), "text-anchor": "middle", class: kind }, svg, words));
    };
    /** An arrow to the left of the line that it follows; cards are drawn over its ends. */
    const arrow = ([x1, y1], [x2, y2], colour) => {
      const [dx, dy] = [x2 - x1, y2 - y1].map((d) => d / Math.hypot(x2 - x1, y2 - y1));
      const at = (u, v) => [x2 + u * dx - v * dy, y2 + u * dy + v * dx].map(px);
      const [[tx, ty], [sx, sy]] = [at(-0.5, -0.3), [x1 + 0.3 * dy, y1 - 0.3 * dx].map(px)];
      nnlab.svg("line", { x1: sx, y1: sy, x2: tx, y2: ty, stroke: colour, "stroke-width": 0.14 * unit }, svg);
      nnlab.svg("polygon", { points: [at(0, -0.3), at(-0.9, 0.15), at(-0.9, -0.75)].map((p) => p.join(",")).join(" "), fill: colour }, svg);
    };
    const both = (from, to) => { arrow(from, to, "var(--green)"); arrow(to, from, "var(--red)"); };

    const spread = inputs.length === 2 ? [-1, 1] : [0];
    const node = isNarrow ? [width / 2, height - 8] : [width - 9, height / 2];
    const loss = isNarrow ? [width / 2, height - 0.7] : [width - 1.2, height / 2];
    inputs.forEach(({ name, value: given, formula, local, passed }, i) => {
      const input = isNarrow ? [width / 2 + (spread[i] * width) / 3.5, 2.6] : [3.3, height / 2 + (spread[i] * height) / 4];
      const end = isNarrow ? [node[0] + 1.2 * spread[i], node[1] - 2.3] : [node[0] - 3.2, node[1] + 0.9 * spread[i]];
      const out = isNarrow ? [input[0], input[1] + 2.3] : [input[0] + 3, input[1]];
      both(out, end);
      const share = isNarrow ? 0.28 : 0.5;
      card([0, 1].map((k) => out[k] + share * (end[k] - out[k])), isNarrow ? Math.min(9.4, width / 2 - 2) : 9.4, [["name", `∂q/∂${name} = ${formula}`], ["name", `= ${show(local)}`]]);
      card(input, 6, [["name", name], ["value", show(given)], ["gradient", show(passed)]]);
    });
    both(isNarrow ? [node[0], node[1] + 2.3] : [node[0] + 3.3, node[1]], isNarrow ? [loss[0], loss[1] - 1.2] : [loss[0] - 1.2, loss[1]]);
    nnlab.svg("text", { x: px(loss[0]), y: px(loss[1] + 0.4), "text-anchor": "middle", class: "name" }, svg, "L");
    card(node, 6.6, [["name", face], ["value", `q = ${show(value)}`], ["gradient", show(arrives.value)]], "node active");
    chart.replaceChildren(svg);
  }

  draw();
  return draw;
});
