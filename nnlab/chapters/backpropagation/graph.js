"use strict";
// A computational graph: values forward (above the wires), gradients back (below them), node by node.
// data: {graphs: [{name, nodes: [{op, at: [column, row], of: arguments, name, value}]}]}
nnlab.widget("graph", (root, { graphs }) => {
  const [RED, GREEN] = ["var(--red)", "var(--green)"]; // dark enough for text
  // op -> its value, and for each argument the local derivative and how it reads.
  const OPS = {
    "+": { f: (a, b) => a + b, d: () => [1, 1], words: ["1", "1"] },
    "×": { f: (a, b) => a * b, d: (v, a, b) => [b, a], words: ["the other factor", "the other factor"] },
    "×(−1)": { f: (a) => -a, d: () => [-1], words: ["−1"] },
    exp: { f: Math.exp, d: (v) => [v], words: ["eᵃ"] },
    "+1": { f: (a) => a + 1, d: () => [1], words: ["1"] },
    "1/x": { f: (a) => 1 / a, d: (v) => [-v * v], words: ["−1/a²"] },
  };
  const which = nnlab.choice(root, { label: "example", options: graphs.map((g, i) => [i, g.name]) }, choose);
  const inputs = nnlab.html("div", { class: "controls" }, nnlab.controls(root));
  const chart = nnlab.html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "computational graph" }, nnlab.area(root, "drawings"));
  nnlab.legend(root, [{ name: "value, forward", fill: GREEN }, { name: "gradient of f, backward", fill: RED }]);
  const place = nnlab.html("div", {}, nnlab.area(root, "words"));
  const says = nnlab.says(root);
  let graph, given, slider;

  function choose() {
    graph = graphs[which.value];
    given = graph.nodes.map((node) => node.value);
    inputs.replaceChildren();
    graph.nodes.forEach((node, i) => {
      if (node.op !== "input") return;
      const label = nnlab.html("label", {}, inputs, `${node.name} = `);
      const field = nnlab.html("input", { type: "number", step: "any", value: node.value, class: "number" }, label);
      field.addEventListener("input", () => {
        if (!Number.isFinite(field.valueAsNumber)) return;
        given[i] = field.valueAsNumber;
        draw();
      });
    });
    place.replaceChildren();
    const last = 2 * operations().length + 1;
    slider = nnlab.slider(place, { label: "step", min: 0, max: last, value: last, text: (k) => `${k} of ${last}` }, draw);
    nnlab.button(place, "◀ a step back", () => { slider.value -= 1; draw(); });
    nnlab.button(place, "a step on ▶", () => { slider.value += 1; draw(); });
    draw();
  }

  const operations = () => graph.nodes.map((_, i) => i).filter((i) => graph.nodes[i].op !== "input");

  /** Values of the first `forward` operations, gradients after `back` nodes have passed theirs on. */
  function evaluate(forward, back) {
    const [values, gradients, order] = [[...given], graph.nodes.map(() => null), operations()];
    for (const i of order.slice(0, forward)) values[i] = OPS[graph.nodes[i].op].f(...graph.nodes[i].of.map((j) => values[j]));
    if (back >= 0) gradients[order[order.length - 1]] = 1;
    for (const i of [...order].reverse().slice(0, Math.max(0, back))) {
      shares(i, values, gradients[i]).forEach(({ to, share }) => { gradients[to] = (gradients[to] ?? 0) + share; });
    }
    return { values, gradients };
  }

  /** What node i passes on to each of its arguments: local derivative × the gradient that arrives. */
  function shares(i, values, arrived) {
    const { op, of } = graph.nodes[i];
    return OPS[op].d(values[i], ...of.map((j) => values[j])).map((local, k) => ({ to: of[k], local, words: OPS[op].words[k], share: local * arrived }));
  }

  const title = (i) => graph.nodes[i].name ?? `“${graph.nodes[i].op}”`;

  function sentence(k, order, { values, gradients }) {
    const n = order.length;
    if (k === 0) return "The inputs are given. Each step computes one node.";
    if (k <= n) return `Forward: the node ${title(order[k - 1])} is ${nnlab.number(values[order[k - 1]])}.`;
    if (k === n + 1) return `f = ${nnlab.number(values[order[n - 1]])}. Backward: the gradient of f in itself is 1.`;
    const i = order[2 * n + 1 - k];
    const found = shares(i, values, gradients[i]).map(({ to, local, words, share }) => {
      const product = `${nnlab.number(local)} × ${nnlab.number(gradients[i])} = ${nnlab.number(share)}`;
      return `to ${title(to)} it passes on ${product} (local derivative: ${words})`;
    });
    return `The gradient ${nnlab.number(gradients[i])} arrives at ${title(i)}; ${found.join(", ")}.`
      + (k === 2 * n + 1 ? ` All gradients: ${graph.nodes.map((node, j) => (node.op === "input" ? `∂f/∂${node.name} = ${nnlab.number(gradients[j])}` : "")).filter(Boolean).join(", ")}.` : "");
  }

  function draw() {
    const [k, order] = [slider.value, operations()];
    const n = order.length;
    const state = evaluate(Math.min(k, n), k - n - 1);
    const active = k === 0 ? -1 : k <= n ? order[k - 1] : k === n + 1 ? order[n - 1] : order[2 * n + 1 - k];
    const unit = 0.85 * nnlab.em(chart);
    const columns = Math.max(...graph.nodes.map((node) => node.at[0])) + 1;
    const rows = Math.max(...graph.nodes.map((node) => node.at[1]));
    const least = columns * 6.2 * unit;
    const width = Math.max(least, Math.min(chart.clientWidth || 720, columns * 13 * unit));
    const [across, down, radius] = [(width - 4 * unit) / columns, 5 * unit, 1.8 * unit];
    const height = rows * down + 4.5 * unit;
    const svg = nnlab.svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `graph of ${graph.name}` });
    svg.style.width = `${width}px`;
    svg.style.margin = "0 auto";
    const x = (node) => 3 * unit + node.at[0] * across;
    const y = (node) => 2.2 * unit + node.at[1] * down;

    const wire = (i, x2, y2) => {
      const node = graph.nodes[i];
      const x1 = x(node) + (node.op === "input" ? 1.1 * unit : radius);
      const on = active === i ? "wire active" : "wire";
      nnlab.svg("line", { x1, y1: y(node), x2, y2, class: on }, svg);
      const share = node.op === "input" ? 0.3 : 0.45; // near its source, where wires are still apart
      const [mx, my] = [x1 + share * (x2 - x1), y(node) + share * (y2 - y(node))];
      const steep = 0.3 * Math.abs(y2 - y(node)) * Math.min(1, (2 * unit) / (x2 - x1)); // labels of a slanted wire stand off it
      if (state.values[i] !== undefined) nnlab.svg("text", { x: mx, y: my - 0.45 * unit - steep, class: "value", "text-anchor": "middle" }, svg, nnlab.number(state.values[i], 3));
      if (state.gradients[i] !== null) nnlab.svg("text", { x: mx, y: my + 1.25 * unit + steep, class: "gradient", "text-anchor": "middle" }, svg, nnlab.number(state.gradients[i], 3));
    };
    graph.nodes.forEach((node) => node.of.forEach((j) => {
      const from = graph.nodes[j];
      const [dx, dy] = [x(node) - x(from), y(node) - y(from)];
      const shorter = 1 - radius / Math.hypot(dx, dy);
      wire(j, x(from) + dx * shorter, y(from) + dy * shorter);
    }));
    const end = graph.nodes[order[n - 1]];
    wire(order[n - 1], x(end) + across, y(end));
    graph.nodes.forEach((node, i) => {
      if (node.op !== "input") nnlab.svg("circle", { cx: x(node), cy: y(node), r: radius, class: i === active ? "node active" : "node" }, svg);
      nnlab.svg("text", { x: x(node), y: y(node) + 0.35 * unit, "text-anchor": "middle", class: "name" }, svg, node.op === "input" ? node.name : node.op);
    });
    chart.replaceChildren(svg);
    if (active >= 0) chart.scrollLeft = x(graph.nodes[active]) - chart.clientWidth / 2; // in view where the page is narrow
    says(sentence(k, order, state));
  }
  choose();
  return draw;
});
