"use strict";
// An expression as a computational graph: values forward, gradients back, node by node.
// data: {presets: [{name, expression, values: variable -> number}], first: the one to begin with}
nnlab.widget("graph", (root, { presets, first }) => {
  const [OWN, MOST] = ["own", 60]; // so many nodes can be drawn
  const { fault, steps, term, subscripted, face, derivative } = nnlab.passes;
  const at = { ...presets[first].values };
  let graph, drawn, places, walk; // walk: the steps of both passes
  take(nnlab.parse(presets[first].expression));

  const which = nnlab.choice(root, { label: "example", options: [...presets.map((p, i) => [i, p.name]), [OWN, "your own"]], value: first }, (key) => {
    if (key === OWN) { says("Type an expression behind f =, such as sin(x*y) + log(1 + x^2)."); return; }
    Object.assign(at, presets[key].values);
    typed.value = presets[key].expression;
    typed.dispatchEvent(new Event("input", { bubbles: true }));
  });
  const typed = nnlab.field(root, { label: "f =", value: presets[first].expression, width: 30 }, read);
  const [inputs, turns] = [0, 1].map(() => nnlab.html("div", { class: "controls row" }, nnlab.controls(root)));
  const chart = nnlab.panel(root);
  const preset = () => presets.findIndex((one) => one.expression === typed.value);
  const start = (name) => presets[preset()]?.values[name] ?? 1; // the value of a variable that nobody changed
  nnlab.keep(root, "at", { // before the step, which stays as an address has it
    get: () => graph.variables.filter((name) => at[name] !== start(name)).map((name) => `${name}~${at[name]}`).join("_"),
    set: (text) => {
      for (const pair of text.split("_")) {
        const [name, value] = pair.split("~");
        if (graph.variables.includes(name) && value && Number.isFinite(Number(value))) at[name] = Number(value);
      }
      show();
    },
  });
  const slider = nnlab.slider(root, { label: "step", min: 0, max: walk.length, value: walk.length, text: (k) => `${k} of ${walk.length}` }, draw);
  nnlab.button(turns, "◀ a step back", () => { slider.value -= 1; draw(); });
  nnlab.button(turns, "a step on ▶", () => { slider.value += 1; draw(); });
  nnlab.legend(root, [{ name: "value", fill: "var(--green)" }, { name: "gradient of f", fill: "var(--red)" }]);
  const says = nnlab.says(root);

  /** Reads what is typed; returns what is wrong with it. */
  function read(text) {
    let found;
    try {
      found = nnlab.parse(text);
    } catch (error) {
      if (!(error instanceof nnlab.ExpressionError)) throw error;
      const reason = error.reason.replace(/ ?Allowed: .*$/s, "").replace(/[:.]$/, "");
      return `${reason} (letter ${error.position + 1})`;
    }
    const size = nnlab.varying(found).filter(Boolean).length;
    if (size === 0) return "there is no variable in it, and so no gradient";
    if (size > MOST) return `a graph of ${size} nodes: at most ${MOST} are drawn`;
    take(found);
    which.value = preset() < 0 ? OWN : String(preset());
    show();
    return "";
  }

  /** Takes a graph: the nodes that depend on a variable are drawn, the others stand on the face of those. */
  function take(found) {
    graph = found;
    const varies = nnlab.varying(graph);
    drawn = [...graph.nodes.keys()].filter((i) => varies[i]);
    places = nnlab.layers.ranked(drawn.map((i) => graph.nodes[i].arguments.filter((j) => varies[j]).map((j) => drawn.indexOf(j))));
    for (const name of graph.variables) at[name] ??= 1;
    walk = steps(graph, nnlab.forward(graph, at));
  }

  /** Makes the fields for the variables, and goes to the last step. */
  function show() {
    inputs.replaceChildren();
    for (const name of graph.variables) {
      const label = nnlab.html("label", {}, inputs, `${subscripted(name)} =`);
      const input = nnlab.html("input", { type: "number", step: "any", value: at[name], class: "number" }, label);
      input.addEventListener("input", () => {
        if (!Number.isFinite(input.valueAsNumber)) return;
        at[name] = input.valueAsNumber;
        draw();
      });
    }
    slider.input.max = Number.MAX_SAFE_INTEGER;
    slider.value = Number.MAX_SAFE_INTEGER;
    draw();
  }

  const short = (i) => {
    const words = term(graph, i);
    return subscripted(words.length > 24 ? `${words.slice(0, 23)}…` : words);
  };

  function sentence(k, values, { arrived, passed }) {
    const { number } = nnlab;
    if (k === 0) return "The inputs are given. Each step computes one node.";
    const [[direction, i], result, broken] = [walk[k - 1], `f = ${number(values.at(-1))}`, fault(graph, values)];
    if (direction === "forward") {
      if (broken !== undefined && k === walk.length) return `${short(broken)} has no finite value here, so f has no gradient: change the inputs.`;
      return `Forward: ${short(i)} ${typeof values[i] === "boolean" ? (values[i] ? "holds" : "does not hold") : `= ${number(values[i])}`}.`;
    }
    if (direction === "start") return `${result}. Backward: the gradient of f in itself is ∂f/∂f = 1.`;
    if (k === walk.length) {
      const found = graph.variables.map((name, v) => {
        const j = graph.nodes.findIndex((node) => node.operation === "variable" && node.parameter === name);
        const isShort = v > 0 && graph.variables.length > 5;
        return `${isShort ? "" : "∂f/∂"}${subscripted(name)}${isShort ? ":" : " ="} ${number(arrived[j] ?? 0)}`;
      });
      return `${result}; ${found.join(", ")}.`;
    }
    const local = nnlab.localDerivatives(graph.nodes[i], values, values[i]);
    const found = graph.nodes[i].arguments.flatMap((j, m) => {
      if ((passed[i][m] ?? null) === null) return [];
      const words = derivative(graph, i, m);
      return [`to ${short(j)} ${number(local[m])} × ${number(arrived[i])} = ${number(passed[i][m])}${words ? ` (${words})` : ""}`];
    });
    return `${number(arrived[i])} arrives at ${short(i)}. Passed on: ${found.join(", ")}.`;
  }

  // --- the drawing ----------------------------------------------------------------------------------

  const text = (value) => (value === null || value === undefined ? "" : typeof value === "boolean" ? (value ? "true" : "false") : nnlab.number(value, 3));

  /**
   * Where each place lies, in units of text, with the ranks from left to right (sideways) or from top to bottom. `lines` are the
   * widest ones of each node: its face, its value and its gradient stand inside it, so that no wire runs through a number.
   */
  function arranged(lines, sideways, room, em) {
    const size = (place) => (places.of[place] === null ? [0.6, 0.6] : [Math.max(2.6, 0.78 + 0.57 * Math.max(...lines[place].map((line) => line.length))), 3.9]);
    const [thick, wide] = sideways ? [0, 1] : [1, 0]; // of a size: along the ranks, and across
    const need = (place) => size(place)[wide] + (places.of[place] === null ? 0 : 0.7);
    const across = nnlab.layers.across(places, need);
    const [along, half, channel] = [[], [], 1.3];
    let length = 0;
    for (const row of places.ranks) {
      const width = Math.max(...row.map((place) => size(place)[thick]));
      row.forEach((place) => { [along[place], half[place]] = [length + width / 2, width / 2]; });
      length += width + channel;
    }
    const breadth = Math.max(...across.map((value, place) => value + need(place) / 2));
    const [width, height] = sideways ? [length - channel + 2.25, breadth + 0.4] : [breadth + 0.4, length - channel + 0.4];
    return {
      width, height, sideways, size, thick, half, scale: Math.min(room.height < Infinity ? 1.4 : 1, room.width / (width * em), room.height / (height * em)),
      at: (place) => (sideways ? [along[place] + 0.2, across[place] + 0.2] : [across[place] + 0.2, along[place] + 0.2]),
    };
  }

  function draw() {
    const { nodes } = graph;
    const values = nnlab.forward(graph, at);
    const wasLast = slider.value >= walk.length;
    walk = steps(graph, values); // fewer where a value is not finite
    slider.input.max = walk.length;
    slider.value = wasLast ? walk.length : Math.min(slider.value, walk.length);
    const done = walk.slice(0, slider.value);
    const [direction, active] = done.at(-1) ?? [];
    const computed = new Set(done.map(([, i]) => i));
    const begun = done.some(([way]) => way === "start");
    const back = begun ? nnlab.backpropagate(graph, values, done.filter(([way]) => way === "back").length) : { arrived: [], passed: [] };
    const whole = nnlab.backpropagate(graph, values).arrived; // the numbers of all steps have room, so that nothing moves
    const place = best(drawn.map((i) => [face(graph, i), text(values[i]), text(whole[i])]));

    const unit = 0.85 * nnlab.em(chart) * place.scale;
    const [width, height] = [place.width * unit, place.height * unit];
    const svg = nnlab.svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `graph of ${graph.text} with ${drawn.length} nodes` });
    Object.assign(svg.style, { width: `${width}px`, fontSize: `${unit / 0.85}px`, margin: "0 auto" });
    const px = (v) => (v * unit).toFixed(1);
    for (const path of places.paths) {
      const isActive = active !== undefined && (direction === "start" ? false : drawn[path.to] === active);
      nnlab.svg("path", { d: wire(place, path, px), fill: "none", class: isActive ? "wire active" : "wire" }, svg);
    }
    drawn.forEach((i, p) => {
      const [[x, y], [wide, high], given] = [place.at(p), place.size(p), nodes[i].operation === "variable"];
      nnlab.svg("rect", {
        x: px(x - wide / 2), y: px(y - high / 2), width: px(wide), height: px(high), rx: px(given ? 0.25 : 1.2), class: i === active ? "node active" : "node",
      }, svg);
      const lines = [["name", face(graph, i)], ["value", given || computed.has(i) ? text(values[i]) : ""], ["gradient", text(back.arrived[i])]];
      lines.forEach(([kind, line], row) => {
        nnlab.svg("text", { x: px(x), y: px(y - 0.8 + 1.2 * row), "text-anchor": "middle", class: kind }, svg, line);
      });
    });
    if (place.sideways) {
      const [x, y] = place.at(drawn.length - 1);
      nnlab.svg("text", { x: px(x + place.size(drawn.length - 1)[0] / 2 + 0.3), y: px(y + 0.4), class: "name" }, svg, "= f");
    }
    chart.replaceChildren(svg);
    says(sentence(slider.value, values, back));
  }

  /** The arrangement in which text is largest. */
  function best(lines) {
    const [room, em] = [nnlab.room(chart), 0.85 * nnlab.em(chart)];
    const [beside, below] = [true, false].map((sideways) => arranged(lines, sideways, room, em));
    return below.scale > 1.15 * beside.scale ? below : beside;
  }

  /** The path of a wire: curved between two ranks, straight through them. */
  function wire({ sideways, at: where, size, thick, half }, { from, to, argument, through }, px) {
    const into = places.paths.filter((path) => path.to === to);
    const [along, across] = [thick, 1 - thick].map((axis) => (p) => where(p)[axis]);
    const isOrdered = !["add", "multiply", "maximum", "minimum"].includes(graph.nodes[drawn[to]].operation);
    const last = (path) => path.through.at(-1) ?? path.from;
    const ports = [...into].sort((a, b) => (isOrdered ? a.argument - b.argument : across(last(a)) - across(last(b))));
    const port = across(to) + 0.9 * (ports.findIndex((path) => path.argument === argument) - (ports.length - 1) / 2);
    const point = (u, v) => (sideways ? `${px(u)} ${px(v)}` : `${px(v)} ${px(u)}`);
    let [u, v] = [along(from) + half[from], across(from)];
    let path = `M${point(along(from) + size(from)[thick] / 2, v)}L${point(u, v)}`;
    for (const [p, end] of [...through.map((p) => [p, across(p)]), [to, port]]) {
      const next = along(p) - half[p];
      path += `C${point((u + next) / 2, v)} ${point((u + next) / 2, end)} ${point(next, end)}`;
      [u, v] = [p === to ? along(p) - size(p)[thick] / 2 : along(p) + half[p], end];
      path += `L${point(u, v)}`;
    }
    return path;
  }

  show();
  return draw;
});
